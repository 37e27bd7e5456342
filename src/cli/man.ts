// Build step: writes man/*.8 from oclif.manifest.json and man/prose/*.mdoc. The pages are committed; a test compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Interfaces } from '@oclif/core';
import { manPage, PAGES, parseProse } from './man-page.js';

/** Every page of the package in `root`, as [file below man/, text]. A topic without commands has none. */
export function manPages(root: string, manifest: Interfaces.Manifest): [string, string][] {
  const commands = Object.values(manifest.commands);
  return PAGES.filter(
    ({ scope }) => scope === null || commands.some(({ id }) => id === scope || id.startsWith(`${scope}:`)),
  ).map((page) => {
    const prose = parseProse(readFileSync(join(root, 'man/prose', `${page.name}.mdoc`), 'utf8'));
    return [`${page.name}.8`, manPage(page, commands, prose)];
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const manifest = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as Interfaces.Manifest;
  for (const [file, text] of manPages(root, manifest)) writeFileSync(join(root, 'man', file), text);
}
