// LUNs of LIO that vanish, are swapped and change their size under a verifying writer (F30, F31, F29), on session 1:
//   node dist-lab/test/lab/luns.js TPG-FOLDER OTHER-IMAGE LOOP-DEVICE LOOP-IMAGE
// LUN 0 is a bystander, LUN 1 the one that suffers, LUN 2 the disk of OTHER-IMAGE, LUN 3 the loop device.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, rmdir, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { rescanSession } from '../../src/services/lun/control.js';
import type { SessionInfo } from '../../src/services/session/info.js';
import { getSession } from '../../src/services/session/registry.js';
import { NbdClient } from '../faults/nbd-client.js';
import { BLOCK, StampedDisk } from '../faults/stamped-disk.js';
import { INITIATOR } from '../helpers/session.js';

const [tpg = '', otherImage = '', loop = '', loopImage = ''] = process.argv.slice(2);
const paths = { runDir: process.env.LUNCTL_RUN_DIR ?? '' };
const MIB = 2 ** 20;
const EIO = 5;
/** "At once", in emulation. */
const SOON_MS = 5000;
/** After a login a wrong unit is given three seconds of grace, for targets that name their units late. */
const AFTER_LOGIN_MS = 15_000;
/** A unit that was the wrong one is asked every ten seconds. */
const AGAIN_MS = 30_000;

/** In emulation on a busy machine the worker may take longer to answer than a command line waits. */
async function info(tries = 10): Promise<SessionInfo> {
  return getSession(paths, 1).catch((error: unknown) => {
    if (tries === 0) throw error;
    return info(tries - 1);
  });
}
/** The mapped LUN 1 of our initiator, as configfs has it. */
const mapped = join(tpg, 'acls', INITIATOR, 'lun_1');
async function unmap(): Promise<void> {
  for (const entry of readdirSync(mapped, { withFileTypes: true })) {
    if (entry.isSymbolicLink()) await unlink(join(mapped, entry.name));
  }
  await rmdir(mapped);
}
async function map(lun: number): Promise<void> {
  await mkdir(mapped);
  await symlink(join(tpg, 'lun', `lun_${lun}`), join(mapped, 'disk'));
}
async function within<T>(ms: number, what: string, ask: () => T | Promise<T>): Promise<number> {
  const began = performance.now();
  while (!(await ask())) {
    assert.ok(performance.now() - began < ms, `${what}: not within ${ms} ms`);
    await sleep(20);
  }
  return Math.round(performance.now() - began);
}

const { socket, tsih } = await info();
const open = async (name: string) => new StampedDisk(await NbdClient.connect(socket, name), 1024);
const bystander = await open('lun0');
const victim = await open('lun1');
const stop = new AbortController();
const running = bystander.run({ signal: stop.signal, depth: 2 });
/** The load on LUN 1, which can be halted. */
const load = {
  halt: new AbortController(),
  done: Promise.resolve(),
  start(): void {
    this.halt = new AbortController();
    this.done = victim.run({ signal: this.halt.signal, depth: 4 });
  },
  async stop(): Promise<void> {
    this.halt.abort();
    await this.done;
  },
};
load.start();

/** Takes LUN 1 away by `strike`: errors come at once, the bystander goes on. Then brings it back. */
async function loses(
  what: string,
  strike: () => Promise<void>,
  mend: () => Promise<void>,
  soonMs = SOON_MS,
): Promise<void> {
  await within(AGAIN_MS, 'there is a load', () => victim.lastDone > performance.now() - 500);
  const failed = victim.failures.length;
  await strike();
  const failedMs = await within(soonMs, `${what}: EIO`, () => victim.failures.length > failed);
  const [seen, done] = [victim.failures.length, bystander.completed];
  await sleep(1000);
  const later = victim.failures.slice(seen);
  assert.ok(later.length > 0 && later.every(({ errno, tookMs }) => errno === EIO && tookMs < SOON_MS));
  assert.ok(bystander.completed > done, 'the other LUN goes on');
  const other = readFileSync(otherImage);
  assert.ok(other.equals(Buffer.alloc(other.length)), 'nothing was written to the disk that is not ours');
  await mend();
  const back = victim.completed;
  const backMs = await within(AGAIN_MS, `${what}: I/O again`, () => victim.completed > back);
  console.log(
    `FIGURE ${what}: EIO after ${failedMs} ms, I/O ${backMs} ms after it was back, 0 bytes on the wrong disk`,
  );
}

await loses('LUN removed', unmap, () => map(1));
// LIO tells a swap at the other LUNs only. What is on its way when it happens cannot be helped, so nothing is; when the
// bystander's commands have met the unit attention, LUN 1 is written to again.
await loses(
  'LUN swapped in the session',
  async () => {
    await load.stop();
    await unmap();
    await map(2);
    const done = bystander.completed;
    await within(SOON_MS, 'the bystander has met the unit attention', () => bystander.completed >= done + 4);
    load.start();
  },
  () => unmap().then(() => map(1)),
);
assert.equal((await info()).tsih, tsih, 'the session has stayed');
const offline = async (change: () => Promise<void>) => {
  await writeFile(join(tpg, 'enable'), '0');
  await change();
  await writeFile(join(tpg, 'enable'), '1');
};
await loses(
  'LUN swapped while the target was away',
  () => offline(() => unmap().then(() => map(2))),
  () => offline(() => unmap().then(() => map(1))),
  AFTER_LOGIN_MS,
);
await load.stop();
stop.abort();
await running;
for (const disk of [bystander, victim]) {
  await disk.checkAll();
  assert.deepEqual(disk.problems, []);
}
assert.deepEqual(bystander.failures, []);

/** LIO says nothing when its disk changes: a rescan sees it. */
async function resize(mib: number, expected: string): Promise<void> {
  await truncate(loopImage, mib * MIB);
  await promisify(execFile)('losetup', ['-c', loop]);
  const { changes, devices } = await rescanSession(paths, 1, {});
  assert.deepEqual(
    changes.map(({ lun, change }) => [lun, change]),
    [[3, expected]],
  );
  assert.equal(devices.find(({ lun }) => lun === 3)?.sizeBytes, mib * MIB);
}
const before = await NbdClient.connect(socket, 'lun3');
await before.write(31 * MIB, Buffer.alloc(BLOCK, 1));
await resize(48, 'grown');
const grown = await NbdClient.connect(socket, 'lun3');
assert.equal(grown.size, 48 * MIB);
await grown.write(48 * MIB - BLOCK, Buffer.alloc(BLOCK, 2));
assert.deepEqual(await grown.read(48 * MIB - BLOCK, BLOCK), Buffer.alloc(BLOCK, 2));
await resize(16, 'shrunk');
for (const client of [before, grown]) {
  await assert.rejects(client.read(31 * MIB, BLOCK), { errno: EIO });
  await client.write(0, Buffer.alloc(BLOCK, 3));
}
console.log('FIGURE LUN grown and shrunk: the new end is used, what lies beyond it is EIO');
for (const client of [before, grown, bystander.client, victim.client]) client.close();
