// Build step: writes what commands need and should not work out at every start. oclif.manifest.json, so that a call loads
// only the command it runs, and dist/schemas/*.json, so that `lunctl schema` needs no converter.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Interfaces, Plugin } from '@oclif/core';

/** The manifest of the package in `root`, from its compiled commands. @throws when a command cannot be loaded. */
export async function buildManifest(root: string): Promise<Interfaces.Manifest> {
  const plugin = new Plugin({ root, type: 'core', ignoreManifest: true, errorOnManifestCreate: true });
  await plugin.load();
  return plugin.manifest;
}

/** Beside the commands that were compiled just now; `lunctl schema` reads them there. */
async function writeSchemas(folder: string): Promise<void> {
  // Its converter is there for the build alone: buildManifest must work without.
  const { jsonSchemas } = await import('./json-schema.js');
  mkdirSync(folder, { recursive: true });
  for (const [file, schema] of jsonSchemas()) writeJson(join(folder, file), schema);
}

function writeJson(path: string, value: object): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

const self = fileURLToPath(import.meta.url);
if (process.argv[1] === self) {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  writeJson(join(root, 'oclif.manifest.json'), await buildManifest(root));
  await writeSchemas(join(root, 'dist/schemas'));
}
