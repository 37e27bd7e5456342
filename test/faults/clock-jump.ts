// A process whose clock of day jumps (libfaketime, see f38): a session inside it, under load, and what became of it as JSON.
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Rig, within } from './rig.js';

const [offsets = ''] = process.argv.slice(2);
// The target's clock goes on.
delete process.env.LD_PRELOAD;

/** Sets the clock of day `seconds` off; returns how far it went, seconds. */
function jump(seconds: number): number {
  const before = Date.now();
  writeFileSync(offsets, `${seconds >= 0 ? '+' : ''}${seconds}\n`);
  return Math.round((Date.now() - before) / 1000);
}

const timers = { noopIntervalMs: 500, noopTimeoutMs: 500, replacementTimeoutMs: 60_000 };
const rig = await Rig.start({ worker: 'inside', timers });
const end = new AbortController();
const disk = await rig.stamped();
const jumps: number[] = [];
const load = disk.run({ signal: end.signal, pauseMs: 5 });
for (const seconds of [3600, -3600, 0]) {
  await sleep(800);
  jumps.push(jump(seconds));
}
await sleep(1500);
end.abort();
await load;
// And while nothing but pings keeps the connection.
jumps.push(jump(3600));
await sleep(1500);
jumps.push(jump(-3600));
await sleep(1500);
const reconnects = rig.proxy.links.length - 1;
const before = disk.failures.length;

await rig.tgt.kill();
rig.proxy.live.reset();
const write = disk.write(1);
await sleep(200);
jumps.push(jump(3600));
await sleep(500);
jumps.push(jump(-3600));
await sleep(500);
const premature = disk.failures.length - before;
await rig.tgt.restart();
const restarted = performance.now();
await within(20_000, 'I/O resumes', write);
const resumedMs = performance.now() - restarted;
await disk.checkAll();
const { problems, failures } = disk;
process.stdout.write(`${JSON.stringify({ jumps, reconnects, premature, resumedMs, problems, failures })}\n`);
await rig.stop();
