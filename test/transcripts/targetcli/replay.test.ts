// Everything that was recorded with targetcli, typed into our shell: the same to the byte, but for the list of differences.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Differences } from '../differences.js';
import { RECORDINGS, replay } from './replay.js';

const LEAST_PERCENT = 95;
const LIST = join(import.meta.dirname, 'differences.txt');

test('as recorded, but for the list of differences', async (t) => {
  const differences = Differences.read(LIST);
  const comparisons = (await Promise.all(RECORDINGS.map(replay))).flat();
  const verdicts = comparisons.map((comparison) => differences.judge(comparison));
  const count = (kind: string): number => verdicts.filter((verdict) => verdict.kind === kind).length;
  const percent = (100 * count('identical')) / verdicts.length;
  t.diagnostic(
    `targetcli transcripts: ${count('identical')} of ${verdicts.length} identical (${percent.toFixed(1)} %), ` +
      `${count('listed')} in the list of differences`,
  );
  assert.equal(verdicts.map(({ text }) => text).join(''), '');
  assert.ok(percent >= LEAST_PERCENT, `${percent} %`);
});

test('every reason is an item of lunctl-target(8), and every item that names one has a command', () => {
  const prose = readFileSync(join(import.meta.dirname, '../../../man/prose/lunctl-target.mdoc'), 'utf8');
  const section = /^\.Sh DIFFERENCES\n([\s\S]*?)^\.Sh /m.exec(prose)?.[1] ?? '';
  const named = [...section.matchAll(/^\.It .*\n\.\\" ([\w-]+)$/gm)].map(([, reason]) => reason);
  assert.deepEqual([...Differences.read(LIST).reasons].sort(), named.sort());
});
