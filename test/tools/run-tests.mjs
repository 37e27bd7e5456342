// Runs the test files with node's own runner. Arguments: the folders below test/ to run (default: all but lab/ and long/).
// Ends with 1 when a test failed, when something is left on the machine afterwards (named: a process, device, mount or
// socket), when a secret of the tests was seen where none may be, and under CI also when one was skipped: there no peer may
// be missing.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';

const SEPARATE = ['lab', 'long'];
const root = fileURLToPath(new URL('..', import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(root, { recursive: true })
  .filter((file) => file.endsWith('.test.ts'))
  .filter((file) => {
    const top = file.split('/')[0];
    return wanted.length > 0 ? wanted.some((w) => file === w || file.startsWith(`${w}/`)) : !SEPARATE.includes(top);
  })
  .sort()
  .map((file) => `test/${file}`);
if (files.length === 0) {
  console.error(`no test files in ${wanted.join(' ')}`);
  process.exit(1);
}
// A file that has not ended by then hangs: a leaked socket must not hold up a whole run.
const MOST_MINUTES = wanted.some((w) => SEPARATE.includes(w.split('/')[0])) ? 120 : 10;
const cwd = fileURLToPath(new URL('../..', import.meta.url));
// What the tests make lies here, and tells by that whose it is. Its name is short: sockets have room for 107 bytes.
const folder = mkdtempSync(`${tmpdir()}/lt-`);
chmodSync(folder, 0o1777);
// tsx keeps what it has compiled among temporary files: that is shared with other runs.
const compiled = `tsx-${process.getuid?.() ?? 0}`;
mkdirSync(`${tmpdir()}/${compiled}`, { recursive: true });
symlinkSync(`${tmpdir()}/${compiled}`, `${folder}/${compiled}`);
const beside = (program) =>
  spawn(process.execPath, ['--import', 'tsx', fileURLToPath(program), folder], {
    cwd,
    stdio: ['pipe', 'inherit', 'inherit'],
  });
const orphans = beside(new URL('./orphans.ts', import.meta.url));
const watch = beside(new URL('./secret-watch.ts', import.meta.url));
/** Ends it, and returns its exit status. */
const verdictOf = async (one) => {
  one.stdin.end();
  return one.exitCode ?? (await once(one, 'close'))[0];
};
/** The mark of every secret in the tests: see helpers/canary.ts. */
const MARK = 'canary-';
let shown = false;
// Two at a time: suites that time their peers do not like more neighbours than cores.
const child = spawn(
  process.execPath,
  [
    '--import',
    'tsx',
    '--test',
    '--test-concurrency=2',
    `--test-timeout=${MOST_MINUTES * 60_000}`,
    '--test-reporter=spec',
    ...files,
  ],
  { cwd, env: { ...process.env, TMPDIR: folder }, stdio: ['ignore', 'pipe', 'inherit'] },
);
let tail = '';
child.stdout.on('data', (chunk) => {
  process.stdout.write(chunk);
  shown ||= (tail.slice(-MARK.length) + chunk).includes(MARK);
  tail = (tail + chunk).slice(-65536);
});
child.on('close', async (code) => {
  // One after the other: the first would be left behind for the second.
  const secrets = await verdictOf(watch);
  const left = await verdictOf(orphans);
  if (shown) console.error('the output of the tests shows a secret');
  // What is still mounted there is not to be emptied.
  if (left === 0) rmSync(folder, { recursive: true, force: true });
  else console.error(`${folder} is kept`);
  const skipped = Number(/^. skipped (\d+)$/m.exec(tail)?.[1] ?? 0);
  if (skipped > 0 && process.env.CI) console.error(`${skipped} tests were skipped, which CI does not allow`);
  process.exitCode = code !== 0 || left !== 0 || secrets !== 0 || shown ? 1 : skipped > 0 && process.env.CI ? 1 : 0;
});
