// Runs beside a whole test run: when its input ends it names what the run has left on the machine, and fails if there is anything.
// The run has a folder of its own for temporary files (TMPDIR, its argument), which everything that it makes bears in its name or
// environment; of devices without such a name those count that were not there at the start.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { machineState, newSince } from '../helpers/machine-state.js';

const [folder = ''] = process.argv.slice(2);
/** For processes that have been asked to end, and kernels that take their time. */
const GRACE_MS = 5000;

function left(): string[] {
  const nameless = newSince(before).filter((name) => /^nbd device| on \/lun\d/.test(name));
  const named = newSince(before, folder).filter((name) => !name.startsWith('process'));
  return [...processesOf(folder), ...named, ...nameless];
}

/** A worker has a title instead of its command line, but its environment names its folders. */
function processesOf(name: string): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid && Number(entry) !== process.ppid)
    .flatMap((pid) => {
      try {
        const [line, environment] = ['cmdline', 'environ'].map((file) =>
          readFileSync(`/proc/${pid}/${file}`, 'latin1'),
        );
        const words = (line ?? '').replaceAll('\0', ' ').trim();
        return words !== '' && `${line}${environment}`.includes(name) ? [`process ${pid} ${words}`] : [];
      } catch {
        return [];
      }
    });
}

const before = machineState();
process.stdin.resume();
await new Promise((resolve) => process.stdin.once('end', resolve));
const end = performance.now() + GRACE_MS;
while (left().length > 0 && performance.now() < end) await sleep(100);
const orphans = left();
for (const name of orphans) console.error(`left behind by the tests: ${name}`);
if (orphans.length > 0) process.exitCode = 1;
