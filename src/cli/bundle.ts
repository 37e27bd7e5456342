// Build step: everything a command may load goes into one file, and what V8 has compiled of it beside that. Finding,
// reading and compiling the hundreds of modules one by one takes several times as long as what most commands do.
//
// dist/lunctl.bundle is the command line with oclif, dist/quick.bundle what is answered without it. Modules behind an
// `await import()` run when they are asked for, as in the sources, and each of them once. bin/load.js loads the files.
// Session workers and other processes of their own run the single modules.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Script } from 'node:vm';
import type { Interfaces } from '@oclif/core';
import type { Metafile, Plugin } from 'esbuild';

/** Native, or rarely needed: loaded from node_modules when the time comes. */
const LEFT_OUT = ['@node-rs/crc32', 'inquirer', 'koffi', 'pino'];
/** Command lines that are run for the compiler: what they use, and no more, is compiled beforehand. */
const TYPICAL: Readonly<Record<string, readonly string[]>> = {
  lunctl: ['session', 'show'],
  quick: ['iscsiadm', '-m', 'session'],
};

const HEAD = `(function (exports, require, module, __filename, __dirname) {
const moduleUrl = (path) => require('node:url').pathToFileURL(__dirname + '/' + path).href;`;

const self = fileURLToPath(import.meta.url);
const root = join(dirname(self), '../..');
const dist = join(root, 'dist');

/** The bundle of `entry`, the text of a module in dist/. What it consists of is returned. */
async function writeBundle(name: string, entry: string): Promise<Metafile> {
  const { build } = await import('esbuild');
  const { outputFiles, metafile, warnings } = await build({
    stdin: { contents: entry, resolveDir: dist, sourcefile: `${name}.js` },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    external: LEFT_OUT,
    minifyWhitespace: true,
    define: { 'import.meta.resolve': 'undefined' },
    plugins: [modulesKnowTheirPlace, oclifLoadsLittle],
    banner: { js: HEAD },
    footer: { js: '})' },
    absWorkingDir: root,
    outdir: dist,
    write: false,
    metafile: true,
  });
  if (warnings.length > 0) throw new Error(`${name}: ${warnings.map(({ text }) => text).join('\n')}`);
  writeFileSync(bundleFile(name), ascii(outputFiles[0]?.text ?? ''));
  return metafile;
}

function bundleFile(name: string): string {
  return join(dist, `${name}.bundle`);
}

/** A module finds its neighbours by `import.meta.url`: in the bundle it has to go on naming the module's own file. */
const modulesKnowTheirPlace: Plugin = {
  name: 'modules-know-their-place',
  setup({ onLoad }) {
    onLoad({ filter: /\/dist\/.*\.js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      const url = `moduleUrl(${JSON.stringify(relative(dist, path))})`;
      return { contents: text.replaceAll('import.meta.url', url), loader: 'js' };
    });
  },
};

/** What oclif would load at every start and never needs here: its debug output would also tell command lines with secrets. */
const STAND_INS: Readonly<Record<string, string>> = {
  debug: 'module.exports = () => () => {};',
  // bin/start.js has compared the versions.
  semver: 'exports.satisfies = () => true;',
  'wsl-utils': 'exports.isWsl = false;',
};

/** oclif's modules require all their imports at once, twice as many as a command needs: here each when it is used first. */
const oclifLoadsLittle: Plugin = {
  name: 'oclif-loads-little',
  setup({ onLoad, onResolve }) {
    const fromOclif = /\/@oclif\/core\/lib\//;
    onResolve({ filter: new RegExp(`^(${Object.keys(STAND_INS).join('|')})$`) }, ({ path, importer }) =>
      fromOclif.test(importer) ? { path, namespace: 'stand-in' } : undefined,
    );
    onLoad({ filter: /^/, namespace: 'stand-in' }, ({ path }) => ({ contents: STAND_INS[path] ?? '' }));
    onLoad({ filter: fromOclif }, ({ path }) => {
      // Ids are ASCII; the first comparison by a language's rules takes longer than all of the parsing.
      const text = readFileSync(path, 'utf8').replace('a.id.localeCompare(b.id)', '(a.id < b.id ? -1 : 1)');
      return { contents: requireLate(text) };
    });
  },
};

/** For what TypeScript writes: `const name_1 = require("…")`, and every use as `name_1.something`. */
function requireLate(text: string): string {
  const names: string[] = [];
  const late = text.replace(
    /^(?:const|var) (\w+_\d+) = ((?:__\w+\()?require\("[^"]+"\)\)?);$/gm,
    (_all, name: string, load: string) => {
      names.push(name);
      return `let ${name}_; const ${name} = () => (${name}_ ??= ${load});`;
    },
  );
  return names.reduce((done, name) => done.replaceAll(new RegExp(`\\b${name}\\b(?=[.)])`, 'g'), `(${name}())`), late);
}

/** One byte a character is read fastest. esbuild has escaped all but regular expressions, where the same escape holds. */
function ascii(text: string): string {
  return text.replace(/[^\0-\x7f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The start of everything that has commands: oclif is given the functions that load them. */
function commandLineEntry(): string {
  const manifest = JSON.parse(readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as Interfaces.Manifest;
  const loaders = Object.values(manifest.commands).map(({ id, relativePath }) => {
    const path = `./${(relativePath ?? []).join('/').replace(/^dist\//, '')}`;
    return `${JSON.stringify(id)}: async () => (await import(${JSON.stringify(path)})).default`;
  });
  return `import { main as start } from './cli/main.js';
    const commands = { ${loaders.join(',\n')} };
    export const main = (argv, root) => start(argv, root, commands);`;
}

/** The packages that have gone into a bundle keep their authors' names and terms. */
function writeLicenses(metafiles: readonly Metafile[]): void {
  const inputs = metafiles.flatMap(({ inputs }) => Object.keys(inputs));
  const folders = inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []);
  const texts = [...new Set(folders)].sort().map((folder) => licenseOf(join(root, folder)));
  writeFileSync(join(dist, 'licenses.txt'), texts.join('\n'));
}

function licenseOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageJson;
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  return `${name} ${version}, ${license}\n\n${file === undefined ? '' : readFileSync(join(folder, file), 'utf8')}\n`;
}
type PackageJson = Readonly<Record<'name' | 'version' | 'license', string>>;

/** In a process and folders of its own: commands change both. What V8 makes fits this very version of Node alone. */
function compileBeforehand(name: string, words: readonly string[]): void {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-build-'));
  const env = { HOME: folder, LUNCTL_CONFIG_DIR: folder, LUNCTL_DB_DIR: folder, LUNCTL_RUN_DIR: folder };
  try {
    const { status, stderr } = spawnSync(process.execPath, [self, name, ...words], { env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${name}: ${stderr}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs one command and keeps what V8 has compiled for it. */
async function runAndKeep(name: string, words: readonly string[]): Promise<void> {
  const { load } = createRequire(self)('../../bin/load.js') as Loader;
  const { script, exports } = load(name);
  await exports.main(words, root);
  writeFileSync(`${bundleFile(name)}.cache`, script.createCachedData());
  // Of the command itself: it has found no session.
  process.exitCode = 0;
}

interface Loader {
  load(name: string): {
    readonly script: Script;
    readonly exports: { main(argv: readonly string[], root: string): Promise<unknown> };
  };
}

const [bundle, ...words] = process.argv.slice(2);
if (bundle !== undefined) await runAndKeep(bundle, words);
else {
  const lunctl = await writeBundle('lunctl', commandLineEntry());
  const quick = await writeBundle('quick', `export { main } from './cli/quick.js';`);
  writeLicenses([lunctl, quick]);
  for (const [name, command] of Object.entries(TYPICAL)) compileBeforehand(name, command);
}
