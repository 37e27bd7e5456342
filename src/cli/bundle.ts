// Build step: what a command may load goes into dist/bundle, and what V8 has compiled of it beside that. Finding, reading and
// compiling a few hundred modules one by one takes several times as long as what most commands do.
//
// lunctl.js there is the command line with oclif, quick.js what is answered without it; modules behind an `await import()`,
// and those that several need, are pieces of their own, so that each is loaded once and only when it is asked for.
// bin/load.js loads them. Session workers and other processes of their own run the single modules.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Script } from 'node:vm';
import type { Interfaces } from '@oclif/core';
import { build, type Metafile, type Plugin, transformSync } from 'esbuild';

const TARGET = 'node20.19';
/** Native, or rarely needed: loaded from node_modules when the time comes. */
const LEFT_OUT = ['@node-rs/crc32', 'inquirer', 'koffi', 'pino'];
/**
 * Command lines that are run for the compiler: what they use, and no more, is compiled beforehand. What the first of each
 * program needs becomes one file, its pack.
 */
const TYPICAL = [
  ['quick', 'iscsiadm', '-m', 'session'],
  ['lunctl', 'session', 'show'],
  ['quick', 'iscsiadm', '-m', 'node'],
  ['lunctl', 'node', 'list'],
  ['lunctl', 'login'],
];

const self = fileURLToPath(import.meta.url);
const root = join(dirname(self), '../..');
const dist = join(root, 'dist');
const bundle = join(dist, 'bundle');

/** Writes the bundle whose parts start with the text in `entries`, by name. What it consists of is returned. */
async function writeBundle(entries: Readonly<Record<string, string>>): Promise<Metafile> {
  const { outputFiles, metafile, warnings } = await build({
    entryPoints: Object.keys(entries).map((name) => ({ in: `entry:${name}`, out: name })),
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: TARGET,
    external: LEFT_OUT,
    define: { 'import.meta.resolve': 'undefined' },
    plugins: [entryTexts(entries), modulesKnowTheirPlace, oclifLoadsLittle],
    absWorkingDir: root,
    outdir: bundle,
    write: false,
    metafile: true,
  });
  if (warnings.length > 0) throw new Error(warnings.map(({ text }) => text).join('\n'));
  mkdirSync(bundle);
  for (const { path, text } of outputFiles) writeFileSync(path, asFunction(text));
  return metafile;
}

function entryTexts(entries: Readonly<Record<string, string>>): Plugin {
  return {
    name: 'entry-texts',
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /^entry:/ }, ({ path }) => ({ path: path.slice('entry:'.length), namespace: 'entry' }));
      onLoad({ filter: /^/, namespace: 'entry' }, ({ path }) => ({ contents: entries[path] ?? '', resolveDir: dist }));
    },
  };
}

/** A piece as bin/load.js runs it: esbuild divides only ES modules, and those V8 would compile afresh at every start. */
function asFunction(text: string): string {
  const { code } = transformSync(text, { format: 'cjs', platform: 'node', target: TARGET });
  // Node's own modules come late too: streams, sockets or cryptography take as long as many a command.
  const late = requireLate(code, /^var (import_\w+) = ((?:__toESM\()?require\("node:[^"]+"\)\)?);$/gm);
  const pieces = late.replaceAll('import("', 'later("');
  const { code: small } = transformSync(
    `(function (exports, require, module, __dirname, moduleUrl, later) {${pieces}})`,
    { platform: 'node', target: TARGET, minifyWhitespace: true },
  );
  return ascii(small);
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
      return { contents: requireLate(text, TYPESCRIPT) };
    });
  },
};

/** What TypeScript writes: `const name_1 = require("…");`, and every use as `name_1.something`. */
const TYPESCRIPT = /^(?:const|var) (\w+_\d+) = ((?:__\w+\()?require\("[^"]+"\)\)?);$/gm;

/** Modules are loaded at their first use. `statement` captures the name that a module gets and what loads it. */
function requireLate(text: string, statement: RegExp): string {
  const names: string[] = [];
  const late = text.replace(statement, (_all, name: string, load: string) => {
    names.push(name);
    return `let ${name}_; const ${name} = () => (${name}_ ??= ${load});`;
  });
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
function writeLicenses({ inputs }: Metafile): void {
  const folders = Object.keys(inputs).flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []);
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
function runAside(task: string, line: readonly string[]): void {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-build-'));
  const env = { HOME: folder, LUNCTL_CONFIG_DIR: folder, LUNCTL_DB_DIR: folder, LUNCTL_RUN_DIR: folder };
  try {
    const { status, stderr } = spawnSync(process.execPath, [self, task, ...line], { env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${line.join(' ')}: ${stderr}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs one command, then packs its pieces or keeps what V8 has compiled: of each file for the first that uses it. */
async function run(task: string, program: string, words: readonly string[]): Promise<void> {
  const { loadProgram, modules, scripts } = createRequire(self)('../../bin/load.js') as Loader;
  await loadProgram(program).main(words, root);
  if (task === 'pack') writePack(program, [...modules.keys()]);
  else {
    for (const [name, script] of scripts) {
      const file = join(bundle, `${name}.cache`);
      if (!existsSync(file)) writeFileSync(file, script.createCachedData());
    }
  }
  // Of the command itself: it has found nothing to show.
  process.exitCode = 0;
}

function writePack(program: string, names: readonly string[]): void {
  const members = names.map(
    (name) => `${JSON.stringify(name)}:${functionIn(readFileSync(join(bundle, name), 'latin1'))}`,
  );
  writeFileSync(join(bundle, `${program}.pack`), `({${members.join(',\n')}})`);
}

function functionIn(script: string): string {
  return script.trimEnd().replace(/;$/, '');
}

interface Loader {
  loadProgram(name: string): { main(argv: readonly string[], root: string): Promise<unknown> };
  readonly modules: ReadonlyMap<string, unknown>;
  readonly scripts: ReadonlyMap<string, Script>;
}

const [task, program, ...words] = process.argv.slice(2);
if (task !== undefined && program !== undefined) await run(task, program, words);
else {
  const quick = `export { main } from './cli/quick.js';`;
  writeLicenses(await writeBundle({ lunctl: commandLineEntry(), quick }));
  for (const name of ['quick', 'lunctl']) runAside('pack', TYPICAL.find(([of]) => of === name) ?? []);
  for (const line of TYPICAL) runAside('compile', line);
}
