// The long forms of the rows in test/faults and test/long: the same files as in `npm test`, with the counts below set by
// environment variables. Rows that mostly wait run side by side; those that measure times run alone. Arguments: parts of
// file names, to run only those. Writes test/long/results.md, which is committed.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROWS } from './long-rows.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const results = `${root}test/long/results.md`;
const wanted = process.argv.slice(2);
const rows = ROWS.filter(({ file }) => wanted.length === 0 || wanted.some((part) => file.includes(part)));

/** Runs one row; resolves with its line of the table. */
function run({ file, env, minutes }) {
  if (!existsSync(`${root}test/${file}`))
    return Promise.resolve({ file, outcome: 'not there', figures: [], seconds: 0 });
  const began = performance.now();
  const child = spawn(process.execPath, ['--import', 'tsx', '--test', '--test-reporter=spec', `test/${file}`], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
    process.stdout.write(chunk);
  });
  const tooLong = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), minutes * 60_000);
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(tooLong);
      const number = (word) => Number(new RegExp(`^. ${word} (\\d+)$`, 'm').exec(output)?.[1] ?? 0);
      const [failed, passed, skipped] = ['fail', 'pass', 'skipped'].map(number);
      const outcome =
        signal !== null
          ? `killed after ${minutes} min`
          : code !== 0
            ? `${failed} of ${failed + passed} FAILED`
            : skipped > 0
              ? `${passed} passed, ${skipped} skipped`
              : `${passed} passed`;
      const figures = [...output.matchAll(/FIGURE ([^\n]*)/g)].map(([, text]) => text);
      resolve({
        file,
        env,
        outcome,
        figures,
        seconds: Math.round((performance.now() - began) / 1000),
        bad: code !== 0,
      });
    });
  });
}

/** At most `width` at a time. */
async function sideBySide(list, width, done) {
  const queue = [...list];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let row = queue.shift(); row !== undefined; row = queue.shift()) done(await run(row));
    }),
  );
}

function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
}

/** The lines of rows that were not run now stay as they were, with the commit they were run at. */
function write(lines) {
  const old = existsSync(results) ? readFileSync(results, 'utf8').match(/^\| [a-z0-9]+\/.*$/gm) : null;
  const kept = (old ?? []).filter((line) => !lines.some((fresh) => key(fresh) === key(line)));
  const all = [...kept, ...lines].sort();
  const text = [
    '# Results of `npm run test:long`',
    '',
    'Written by test/tools/run-long.mjs: the long forms of the tests, with the counts in test/tools/long-rows.mjs. A row that was',
    'not part of the last run keeps its line; each line names the commit, day, Node version and machine it was read on.',
    '',
    '| row | counts | outcome | figures | seconds | read on |',
    '|---|---|---|---|---|---|',
    ...all,
    '',
  ].join('\n');
  mkdirSync(dirname(results), { recursive: true });
  writeFileSync(results, text);
}

const key = (line) => line.split('|')[1]?.trim();
const dirty = git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+';
const where = `${new Date().toISOString().slice(0, 10)}, ${git('rev-parse', '--short', 'HEAD')}${dirty}, Node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
const lines = [];
let bad = false;
const done = (result) => {
  if (result.bad) bad = true;
  const counts = Object.entries(result.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const cells = [result.file, counts.join(' '), result.outcome, result.figures.join('; '), result.seconds, where];
  lines.push(`| ${cells.map((cell) => String(cell).replaceAll('|', '/')).join(' | ')} |`);
  write(lines);
};
await sideBySide(
  rows.filter(({ alone }) => !alone),
  3,
  done,
);
await sideBySide(
  rows.filter(({ alone }) => alone),
  1,
  done,
);
console.log(`${lines.length} rows, written to test/long/results.md`);
process.exitCode = bad ? 1 : 0;
