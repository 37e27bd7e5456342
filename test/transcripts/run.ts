// npm run test:transcripts: replays recordings of the real iscsiadm on ours and counts.
//   run.ts [--ground own|lio] [--json] [--update] [RECORDING...]
// --update: the commands in the list get today's answers; look at the change before it is committed.
// Ends with 1 when a command answers differently and is not in the list of differences, when one in the list does not
// differ, or when fewer than 95 % of all are identical.
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { DIFFERENCES, Differences, type Verdict } from './differences.js';
import { missing, spawnInside } from './namespaces.js';
import type { Comparison } from './replay.js';
import { SCENES } from './scenes.js';

const LEAST_PERCENT = 95;
/** Mostly waiting: the recording with the connection errors takes longest, and comes first. */
const AT_ONCE = 2;

async function* replay(name: string, ground: string): AsyncGenerator<Comparison> {
  const file = import.meta.filename;
  const program = file.endsWith('.ts') ? ['--import', 'tsx'] : [];
  const command = [process.execPath, ...program, file.replace(/run(\.[tj]s)$/, 'replay$1'), name, ground];
  const child = spawnInside(command, { network: ground === 'own' });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line);
  const code = await ended;
  if (code !== 0) throw new Error(`the replay of ${name} ended with ${code}`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ground: { type: 'string', default: 'own' },
    json: { type: 'boolean', default: false },
    update: { type: 'boolean', default: false },
  },
});
const obstacle = missing();
if (obstacle !== null) throw new Error(obstacle);
const names = positionals.length > 0 ? positionals : [...SCENES.keys()];
const differences = Differences.read();
const verdicts: Verdict[] = [];
const comparisons: Comparison[] = [];
const queue = [...names].sort((a, b) => Number(b === 'connection-errors') - Number(a === 'connection-errors'));

async function work(): Promise<void> {
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    for await (const comparison of replay(name, values.ground)) {
      const verdict = differences.judge(comparison);
      comparisons.push(comparison);
      verdicts.push(verdict);
      if (values.json) console.log(JSON.stringify({ ...comparison, kind: verdict.kind }));
      else if (verdict.text !== '') console.log(verdict.text);
    }
    console.error(`${name}: done`);
  }
}
await Promise.all(Array.from({ length: values.ground === 'lio' ? 1 : AT_ONCE }, work));

if (values.update) writeFileSync(DIFFERENCES, differences.updated(comparisons));

const count = (kind: Verdict['kind']): number => verdicts.filter((verdict) => verdict.kind === kind).length;
const identical = count('identical');
const percent = (100 * identical) / verdicts.length;
const stale = count('stale');
console.log(
  `transcripts: ${identical} of ${verdicts.length} identical (${percent.toFixed(1)} %), ` +
    `${count('listed')} in the list of differences, ${count('unexplained')} unexplained` +
    (stale === 0 ? '' : `, ${stale} in the list without a difference`),
);
// Some recordings are made of what differs: the share is asked of all of them together.
const tooFew = names.length === SCENES.size && percent < LEAST_PERCENT;
if (count('unexplained') + stale > 0 || tooFew) process.exitCode = 1;
