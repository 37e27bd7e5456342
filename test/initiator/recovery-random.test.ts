// Random cuts, black holes and late bytes under random requests, from a seed, under a fake clock: no acknowledged write is
// lost or overwritten by an older one, reads are right, and every request ends. LUNCTL_RECOVERY_SEEDS says how many seeds.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { FaultDevice } from '../../src/block/fault-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBytes } from '../../src/block/promise.js';
import { Lun } from '../../src/initiator/lun.js';
import { probeLuns } from '../../src/initiator/probe.js';
import { type Probe, start } from '../helpers/fake-pair.js';
import { RecoveryRig } from '../helpers/recovery-rig.js';
import { RegisterChecker } from '../helpers/register-checker.js';

const SEEDS = Number(process.env.LUNCTL_RECOVERY_SEEDS ?? 150);
const FIRST = Number(process.env.LUNCTL_RECOVERY_FIRST_SEED ?? 1);
const BLOCKS = 64;
const STEPS = 160;
/** Small, so that bursts, R2Ts and reads of several PDUs happen within a few blocks. */
const WISHES = {
  maxRecvDataSegmentLength: 1024,
  maxBurstLength: 4096,
  firstBurstLength: 1024,
  maxOutstandingR2T: 2,
} as const;

interface Totals {
  losses: number;
  replayed: number;
  requests: number;
}

async function run(seed: number, totals: Totals): Promise<void> {
  const device = new FaultDevice(new MemoryDevice({ sizeBytes: BLOCKS * 512, writeCache: false }));
  const rig = new RecoveryRig({ seed, device, negotiate: WISHES });
  const { random } = rig;
  await rig.until(() => rig.session.state === 'LOGGED_IN');
  let luns: Lun[] = [];
  const probing = probeLuns(rig.session, 60_000).then((infos) => {
    luns = infos.map((info) => new Lun(rig.session, info));
  });
  await rig.until(() => luns.length > 0);
  await probing;
  const [lun] = luns;
  assert.ok(lun);
  device.plan = () => (random(3) === 0 ? { hold: random(2) === 0 ? 'before' : 'after' } : null);
  rig.faults = true;
  const checker = new RegisterChecker(BLOCKS);
  const pending = new Set<{ readonly probe: Probe; done(): void }>();
  const submit = (id: number): void => {
    const at = random(BLOCKS);
    const count = Math.min(BLOCKS - at, 1 + random(random(4) === 0 ? 32 : 4));
    const kind = random(8);
    totals.requests++;
    if (kind < 4) {
      const write = checker.write(id, at, count);
      const probe = start(lun, BlockOp.Write, at * 512, count * 512, { payload: write.payload });
      pending.add({ probe, done: () => write.acknowledged() });
    } else if (kind < 7) {
      const check = checker.read(at);
      const probe = start(lun, BlockOp.Read, at * 512, count * 512);
      pending.add({ probe, done: () => check(probe.bytes) });
    } else {
      pending.add({ probe: start(lun, BlockOp.Flush, 0, 0), done() {} });
    }
  };
  const reap = (): void => {
    for (const request of pending) {
      if (request.probe.status === null) continue;
      assert.equal(request.probe.status, BlockStatus.Ok);
      request.done();
      pending.delete(request);
    }
  };
  for (let step = 1; step <= STEPS; step++) {
    if (pending.size < 24 && random(3) > 0) submit(step);
    if (device.held > 0 && random(2) === 0) device.release(random(device.held));
    await rig.step();
    reap();
  }
  rig.faults = false;
  device.plan = () => null;
  await rig.until(() => {
    device.releaseAll();
    reap();
    return pending.size === 0 && rig.session.recovery === 'none';
  });
  const last = checker.read(0);
  last(await readBytes(device, 0, BLOCKS * 512), 'the disk in the end');
  assert.equal(rig.session.tasksInUse, 0);
  totals.losses += rig.losses;
  totals.replayed += rig.replayed;
}

test(`${SEEDS} seeds of random faults`, async (t) => {
  const totals: Totals = { losses: 0, replayed: 0, requests: 0 };
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    await run(seed, totals).catch((error: unknown) => {
      throw new Error(`seed ${seed} (LUNCTL_RECOVERY_FIRST_SEED=${seed} LUNCTL_RECOVERY_SEEDS=1): ${error}`, {
        cause: error,
      });
    });
  }
  const { losses, replayed, requests } = totals;
  t.diagnostic(
    `FIGURE ${SEEDS} seeds, ${requests} requests, ${losses} lost connections, ${replayed} commands sent again, 0 wrong`,
  );
  assert.ok(losses > SEEDS && replayed > SEEDS, 'faults have happened');
});
