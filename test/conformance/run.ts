// `npm run test:conformance`: libiscsi's iscsi-test-cu, every family of it, against `serve` with a file and with memory behind
// the LUN. Arguments: names of families, to run only those; nothing is written then. Ends with 1 after a failure or with too many
// skips. It needs what `npm run build` makes, and iscsi-test-cu (Debian's libiscsi-bin).
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Column, count, markdown } from './report.js';
import { complete, listedTests, readVerdicts } from './verdicts.js';

/** The most distinct tests that may be left out. */
const MOST_SKIPS = 40;
/** A family that has not ended by then hangs. */
const FAMILY_MS = 120_000;
const START_MS = 60_000;
/** What one `serve` is asked: families or single tests, on a disk of `mib` MiB. */
interface Round {
  readonly parts: readonly string[];
  readonly mib: number;
  readonly flags?: readonly string[];
  /** Of the suite. */
  readonly env?: Readonly<Record<string, string>>;
}
const MIB = 100;
/** Wants a disk that is write-protected. */
const READ_ONLY = 'ReadOnly.ReadOnlySBC';
/** Wants to see a SANITIZE under way for a while, through every reset: it has a larger disk of its own. */
const SLOW = { test: 'Sanitize.Reset', mib: 256 } as const;
/** Makes its naps a tenth as long: at the end it sleeps for a minute without answering a ping, which no target puts up with. */
const FAKETIME = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path));
/** dpkg-query's own notation. */
const FIELDS = ['Package', 'Version'].map((field) => `$\{${field}}`).join(' ');
const TARGET = 'iqn.2022-08.com.test:conformance';
const INITIATORS = ['', '-2'].map((end) => `iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-test${end}`);
const BACKSTORES = [
  { title: 'fileio', disk: sparseFile },
  { title: 'ramdisk', disk: (_folder: string, mib: number) => `ramdisk:${mib}M` },
] as const;

const familyOf = (test: string): string => test.slice(0, test.indexOf('.'));
const root = fileURLToPath(new URL('../..', import.meta.url));

interface Served {
  readonly url: string;
  stop(): Promise<void>;
}

function sparseFile(folder: string, mib: number): string {
  const path = join(folder, 'disk.img');
  writeFileSync(path, '');
  truncateSync(path, mib * 2 ** 20);
  return path;
}

async function serve(disk: string, folder: string, flags: readonly string[]): Promise<Served> {
  const allow = INITIATORS.map((name) => `--allow=${name}`);
  const args = ['bin/run.js', 'serve', disk, '-T', TARGET, '-p', '127.0.0.1:0', ...allow, ...flags];
  const env = { ...process.env, LUNCTL_RUN_DIR: join(folder, 'run') };
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await listeningPort(child);
  return {
    url: `iscsi://127.0.0.1:${port}/${TARGET}/0`,
    async stop() {
      const ended = once(child, 'close');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function listeningPort(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const late = setTimeout(() => reject(new Error(`serve does not listen: ${said}`)), START_MS);
    child.stdout?.on('data', (chunk) => {
      said += chunk;
      const port = /listening on \S+:(\d+)/.exec(said)?.[1];
      if (port === undefined) return;
      clearTimeout(late);
      resolve(port);
    });
    child.once('close', (code) => reject(new Error(`serve ended with ${code}: ${said}`)));
  });
}

/** What one family, or one test of it, says; cut off where it does not end in time. */
async function runPart(part: string, url: string, env: Round['env']): Promise<string> {
  const args = ['-V', '-d', '-S', '-t', `ALL.${part}`, url, url];
  const child = spawn('iscsi-test-cu', args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    timeout: FAMILY_MS,
    killSignal: 'SIGKILL',
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  await once(child, 'close');
  return said;
}

type Backstore = (typeof BACKSTORES)[number];

async function runBackstore(backstore: Backstore, tests: readonly string[]): Promise<Column> {
  const said = await Promise.all(roundsOf(tests).map((round) => runRound(backstore, round)));
  return { title: backstore.title, results: complete(tests, readVerdicts(said.join('\n'))) };
}

/** Family by family; that of the slow test goes test by test, or the slow one would run twice. */
function roundsOf(tests: readonly string[]): Round[] {
  const alone: readonly string[] = [SLOW.test, READ_ONLY];
  const parts = tests
    .filter((test) => !alone.includes(test))
    .map((test) => (familyOf(test) === familyOf(SLOW.test) ? test : familyOf(test)));
  const rounds: Round[] = [{ parts: [...new Set(parts)], mib: MIB }];
  if (tests.includes(READ_ONLY)) rounds.push({ parts: [READ_ONLY], mib: MIB, flags: ['--read-only'] });
  if (tests.includes(SLOW.test)) rounds.push({ parts: [SLOW.test], mib: SLOW.mib, env: haste() });
  return rounds;
}

function haste(): Readonly<Record<string, string>> {
  if (FAKETIME === undefined) throw new Error('libfaketime is missing: apt-get install libfaketime');
  return { LD_PRELOAD: FAKETIME, FAKETIME: '+0 x10' };
}

async function runRound({ disk }: Backstore, { parts, mib, flags = [], env = {} }: Round): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-cu-'));
  try {
    const served = await serve(disk(folder, mib), folder, flags);
    let said = '';
    try {
      for (const part of parts) said += await runPart(part, served.url, env);
    } finally {
      await served.stop();
    }
    return said;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Prints what is not a pass; true if the column is good. */
function judge({ title, results }: Column): boolean {
  for (const { name, verdict, reason } of results) {
    if (verdict !== 'pass') console.log(`${title}  ${verdict}  ${name}: ${reason}`);
  }
  const [failed, skipped] = [count(results, 'fail'), count(results, 'skip')];
  console.log(`${title}: ${results.length} tests, ${failed} failed, ${skipped} skipped`);
  return failed === 0 && skipped <= MOST_SKIPS;
}

async function main(wanted: readonly string[]): Promise<boolean> {
  const all = listedTests(execFileSync('iscsi-test-cu', ['--list'], { encoding: 'utf8' }));
  const tests = wanted.length === 0 ? all : all.filter((test) => wanted.includes(familyOf(test)));
  const columns = await Promise.all(BACKSTORES.map((backstore) => runBackstore(backstore, tests)));
  if (wanted.length === 0) {
    const version = execFileSync('dpkg-query', ['-W', '-f', FIELDS, 'libiscsi-bin'], {
      encoding: 'utf8',
    });
    writeFileSync(join(root, 'test/conformance/iscsi-test-cu.md'), markdown(version, columns));
  }
  return columns.map(judge).every(Boolean);
}

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
