// npm run test:transcripts: replays recordings of the real iscsiadm on ours and counts.
//   run.ts [--ground own|lio] [--json] [RECORDING...]
// Ends with 1 when a command answers differently and is not in the list of differences, when one in the list does not
// differ, or when fewer than 95 % are identical.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Differences, type Verdict } from './differences.js';
import type { Comparison } from './replay.js';
import { SCENES } from './scenes.js';

const LEAST_PERCENT = 95;
/** Mostly waiting: the recording with the connection errors takes longest, and comes first. */
const AT_ONCE = 2;

/** Everything that the recordings name is empty or absent, and goes when the first process ends. */
const NAMESPACES = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
const EMPTY = `set -e
mount -t tmpfs -o mode=755 tmpfs /etc/iscsi
if [ -d /var/lib/iscsi ]; then mount -t tmpfs tmpfs /var/lib/iscsi; fi
`;
const OWN = `mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock
ip link set lo up
`;
/** A host that is silent: what is sent to it comes back, and is no address of this one. */
const REPLAY = `ip route add 10.77.0.9/32 dev lo
set +e
"$@"
exit $?`;

async function* replay(name: string, ground: string): AsyncGenerator<Comparison> {
  const own = ground === 'own';
  const script = `${EMPTY}${own ? OWN : ''}${REPLAY}`;
  const program = import.meta.filename.endsWith('.ts') ? ['--import', 'tsx'] : [];
  const file = import.meta.filename.replace(/run(\.[tj]s)$/, 'replay$1');
  const child = spawn(
    'unshare',
    [
      ...(own ? ['--net'] : []),
      ...NAMESPACES,
      ...['bash', '-c', script, 'replay', process.execPath, ...program, file, name, ground],
    ],
    { env: { ...process.env, LUNCTL_STATE_DIR: '/run/lunctl-state' }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line);
  const code = await ended;
  if (code !== 0) throw new Error(`the replay of ${name} ended with ${code}`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { ground: { type: 'string', default: 'own' }, json: { type: 'boolean', default: false } },
});
const names = positionals.length > 0 ? positionals : [...SCENES.keys()];
const differences = Differences.read();
const verdicts: Verdict[] = [];
const queue = [...names].sort((a, b) => Number(b === 'connection-errors') - Number(a === 'connection-errors'));

async function work(): Promise<void> {
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    for await (const comparison of replay(name, values.ground)) {
      const verdict = differences.judge(comparison);
      verdicts.push(verdict);
      if (values.json) console.log(JSON.stringify({ ...comparison, kind: verdict.kind }));
      else if (verdict.text !== '') console.log(verdict.text);
    }
    console.error(`${name}: done`);
  }
}
await Promise.all(Array.from({ length: values.ground === 'lio' ? 1 : AT_ONCE }, work));

const count = (kind: Verdict['kind']): number => verdicts.filter((verdict) => verdict.kind === kind).length;
const identical = count('identical');
const percent = (100 * identical) / verdicts.length;
const stale = count('stale');
console.log(
  `transcripts: ${identical} of ${verdicts.length} identical (${percent.toFixed(1)} %), ` +
    `${count('listed')} in the list of differences, ${count('unexplained')} unexplained` +
    (stale === 0 ? '' : `, ${stale} in the list without a difference`),
);
if (count('unexplained') + stale > 0 || percent < LEAST_PERCENT) process.exitCode = 1;
