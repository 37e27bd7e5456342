// Recovery in front of LIO: what ends a connection there, each while a verifying writer keeps the disk of session 1 busy. Run
// by lio-recovery.sh inside the initiator's network namespace:
//   node dist-lab/test/lab/recovery.js TPG-FOLDER COMMAND-TO-CUT COMMAND-TO-MEND
// One line per fault with the time from the end of the outage to the first finished request. LAB_ROUNDS says how often all of it,
// LAB_HOLD_MS how long the long outages last.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { SessionInfo } from '../../src/services/session/info.js';
import { getSession } from '../../src/services/session/registry.js';
import { NbdClient } from '../faults/nbd-client.js';
import { StampedDisk } from '../faults/stamped-disk.js';
import { INITIATOR } from '../helpers/session.js';

const [tpg = '', cut = '', mend = ''] = process.argv.slice(2);
const ROUNDS = Number(process.env.LAB_ROUNDS ?? '1');
const HOLD_MS = Number(process.env.LAB_HOLD_MS ?? '500');
/** Below a second on a machine of its own; emulated, on a busy one, up to 4.03 s have been read. */
const RESUME_MS = 10_000;
/** Keepalive of 5 s and 5 s for its answer, and what emulation adds. */
const NOTICE_MS = 13_000;

// Nothing here may keep the writer from writing.
const shell = (command: string) => promisify(execFile)('/bin/sh', ['-c', command]);
const set = (file: string, value: string) => writeFile(join(tpg, file), value);

interface Fault {
  readonly name: string;
  /** Resolves when nothing stands in the way any more. */
  strike(): Promise<unknown>;
}

const disabled = (ms: number): Fault => ({
  name: `portal group disabled for ${ms} ms`,
  async strike() {
    await set('enable', '0');
    await sleep(ms);
    await set('enable', '1');
  },
});
/** Lasts `ms` more when it has been noticed. */
const blackHole = (ms: number): Fault => ({
  name: `black hole, and ${ms} ms`,
  async strike() {
    await shell(cut);
    const began = performance.now();
    await until('FAILED', NOTICE_MS);
    console.log(`black hole noticed after ${Math.round(performance.now() - began)} ms`);
    await sleep(ms);
    await shell(mend);
  },
});
let depth = 64;
const FAULTS: readonly Fault[] = [
  disabled(HOLD_MS),
  // A new queue depth for the initiator makes LIO end its sessions.
  { name: 'session dropped by the target', strike: () => set(`acls/${INITIATOR}/cmdsn_depth`, String(++depth)) },
  { name: 'connection reset', strike: () => shell('ss -K state established dport = 3260') },
  blackHole(HOLD_MS),
];

const info = (): Promise<SessionInfo> => getSession({ runDir: process.env.LUNCTL_RUN_DIR ?? '' }, 1);

async function until(state: SessionInfo['state'], withinMs: number): Promise<void> {
  const end = performance.now() + withinMs;
  while ((await info()).state !== state) {
    assert.ok(performance.now() < end, `not ${state} after ${withinMs} ms`);
    await sleep(20);
  }
}

const client = await NbdClient.connect((await info()).socket, 'lun0');
const disk = new StampedDisk(client, 1024);
const stop = new AbortController();
const running = disk.run({ signal: stop.signal });
for (let round = 0; round < ROUNDS; round++) {
  for (const fault of FAULTS) {
    await sleep(500);
    const before = await info();
    assert.equal(before.state, 'LOGGED_IN');
    await fault.strike();
    const over = performance.now();
    while ((await info()).tsih === before.tsih) {
      assert.ok(performance.now() - over < RESUME_MS, `${fault.name}: no new session`);
      await sleep(20);
    }
    const resumedMs = (await disk.nextDone()) - over;
    const after = await info();
    console.log(`${fault.name}: I/O again after ${Math.round(resumedMs)} ms, ${disk.completed} requests so far`);
    assert.equal(after.isid, before.isid);
    assert.ok(resumedMs < RESUME_MS, 'I/O took too long to resume');
    assert.deepEqual([disk.failures, disk.problems], [[], []]);
  }
}
stop.abort();
await running;
await disk.checkAll();
assert.deepEqual([disk.failures, disk.problems], [[], []]);
console.log(
  `FIGURE ${ROUNDS} x ${FAULTS.length} faults, ${disk.completed} requests, none failed, none stale; the longest took ${Math.round(disk.longestMs)} ms`,
);
client.close();
