// Build step: the schemas of what --json prints, as JSON Schema of draft-07, the one that most validators know.
// manifest.ts writes them to dist/schemas/.
import { type JsonSchema, toJsonSchema } from '@valibot/to-json-schema';
import { schemaFile } from './published-schemas.js';
import { SCHEMAS } from './schemas/all.js';

/** Every schema by the name of its file. @throws when one says something that JSON Schema cannot */
export function jsonSchemas(): Map<string, JsonSchema> {
  return new Map(
    Object.entries(SCHEMAS).map(([name, schema]) => {
      const { $schema, ...rest } = toJsonSchema(schema, { target: 'draft-07', errorMode: 'throw' });
      return [schemaFile(name), { ...($schema === undefined ? {} : { $schema }), title: name, ...rest }];
    }),
  );
}
