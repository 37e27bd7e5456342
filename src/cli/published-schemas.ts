// The JSON Schemas that the build has left in dist/schemas/.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '../util/errors.js';
import { oneLine } from '../util/printable.js';
import { closest } from './suggest.js';

export interface PublishedSchema {
  /** `session show`: the command, or what else --json can print. */
  readonly name: string;
  /** `lunctl.session-show/1`: the value of `schema` in every object of this kind. */
  readonly id: string;
  readonly jsonSchema: Readonly<Record<string, unknown>>;
}

/** The file of a schema below dist/schemas/. */
export function schemaFile(name: string): string {
  return `${name.replaceAll(' ', '-')}.json`;
}

/** All of the package in `root`, by name. */
export function readSchemas(root: string): PublishedSchema[] {
  const folder = join(root, 'dist/schemas');
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => {
      const jsonSchema = JSON.parse(readFileSync(join(folder, file), 'utf8')) as SchemaFile;
      return { name: jsonSchema.title, id: jsonSchema.properties.schema.const, jsonSchema };
    });
}
/** What the build has written is what it says. */
type SchemaFile = { readonly title: string; readonly properties: { readonly schema: { readonly const: string } } };

/**
 * The schema called `wanted`: `session show`, or the id that an output carries.
 * @throws AppError ERR_USAGE, with the nearest name
 */
export function findSchema(schemas: readonly PublishedSchema[], wanted: string): PublishedSchema {
  const found = schemas.find(({ name, id }) => name === wanted || id === wanted);
  if (found !== undefined) return found;
  const near = closest(
    wanted,
    schemas.map(({ name }) => name),
  );
  throw new AppError('ERR_USAGE', `no schema is called "${oneLine(wanted)}"`, {
    hint: near === undefined ? 'lunctl schema lists them' : `did you mean "lunctl schema ${near}"?`,
  });
}
