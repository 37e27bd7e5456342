// Build step: writes oclif.manifest.json from the compiled commands, so that a call loads only the command it runs.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Interfaces, Plugin } from '@oclif/core';

/** The manifest of the package in `root`, from its compiled commands. @throws when a command cannot be loaded. */
export async function buildManifest(root: string): Promise<Interfaces.Manifest> {
  const plugin = new Plugin({ root, type: 'core', ignoreManifest: true, errorOnManifestCreate: true });
  await plugin.load();
  return plugin.manifest;
}

const self = fileURLToPath(import.meta.url);
if (process.argv[1] === self) {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const manifest = await buildManifest(root);
  writeFileSync(join(root, 'oclif.manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}
