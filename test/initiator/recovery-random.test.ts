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

const SEEDS = Number(process.env.LUNCTL_RECOVERY_SEEDS ?? 100);
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

class Totals {
  losses = 0;
  replayed = 0;
  requests = 0;
  failed = 0;
}

/** What a run is about: how long requests wait, how long a target may be away, and whether the session is ended in mid-run. */
interface Plan {
  readonly replacementTimeoutMs: number;
  readonly outageMs: number;
  readonly logout: boolean;
}

async function run(seed: number, plan: Plan, totals: Totals): Promise<void> {
  const device = new FaultDevice(new MemoryDevice({ sizeBytes: BLOCKS * 512, writeCache: false }));
  const rig = new RecoveryRig({ seed, device, negotiate: WISHES, ...plan });
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
  const pending = new Set<{ readonly probe: Probe; ended(ok: boolean): void }>();
  const submit = (id: number): void => {
    const at = random(BLOCKS);
    const count = Math.min(BLOCKS - at, 1 + random(random(4) === 0 ? 32 : 4));
    const kind = random(8);
    totals.requests++;
    if (kind < 4) {
      const write = checker.write(id, at, count);
      const probe = start(lun, BlockOp.Write, at * 512, count * 512, { payload: write.payload });
      pending.add({ probe, ended: (ok) => write.ended(ok) });
    } else if (kind < 7) {
      const check = checker.read(at);
      const probe = start(lun, BlockOp.Read, at * 512, count * 512);
      pending.add({ probe, ended: (ok) => ok && check(probe.bytes) });
    } else {
      pending.add({ probe: start(lun, BlockOp.Flush, 0, 0), ended() {} });
    }
  };
  let ended = false;
  const mayFail = () => ended || Number.isFinite(plan.replacementTimeoutMs);
  const reap = (): void => {
    for (const request of pending) {
      if (request.probe.status === null) continue;
      const ok = request.probe.status === BlockStatus.Ok;
      if (!ok) totals.failed++;
      assert.ok(ok || mayFail(), `request ended with ${request.probe.status}`);
      request.ended(ok);
      pending.delete(request);
    }
  };
  for (let step = 1; step <= STEPS; step++) {
    if (pending.size < 24 && random(3) > 0) submit(step);
    if (device.held > 0 && random(2) === 0) device.release(random(device.held));
    await rig.step();
    reap();
  }
  if (plan.logout) {
    ended = true;
    rig.session.logout().catch(() => {});
  }
  rig.faults = false;
  device.plan = () => null;
  await rig.until(() => {
    device.releaseAll();
    reap();
    return pending.size === 0 && rig.session.recovery === 'none' && (rig.session.state === 'FREE') === ended;
  });
  if (!ended) {
    const before = totals.failed;
    submit(STEPS + 1);
    await rig.until(() => {
      reap();
      return pending.size === 0;
    });
    assert.equal(totals.failed, before, 'afterwards everything works again');
  }
  const last = checker.read(0);
  last(await readBytes(device, 0, BLOCKS * 512), 'the disk in the end');
  assert.equal(rig.session.tasksInUse, 0);
  totals.losses += rig.losses;
  totals.replayed += rig.replayed;
}

async function runAll(plan: Plan): Promise<Totals> {
  const totals = new Totals();
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    await run(seed, plan, totals).catch((error: unknown) => {
      const again = `LUNCTL_RECOVERY_FIRST_SEED=${seed} LUNCTL_RECOVERY_SEEDS=1`;
      throw new Error(`seed ${seed} (${again}): ${error}`, { cause: error });
    });
  }
  return totals;
}
const figures = ({ losses, replayed, requests, failed }: Totals) =>
  `${SEEDS} seeds, ${requests} requests, ${losses} lost connections, ${replayed} commands sent again, ${failed} EIO, 0 wrong`;

test('requests that wait as long as it takes', async (t) => {
  const totals = await runAll({ replacementTimeoutMs: Number.POSITIVE_INFINITY, outageMs: 0, logout: false });
  t.diagnostic(`FIGURE ${figures(totals)}`);
  assert.ok(totals.losses > SEEDS && totals.replayed > SEEDS, 'faults have happened');
  assert.equal(totals.failed, 0);
});

test('requests that wait two seconds for targets that are away for up to ten', async (t) => {
  const totals = await runAll({ replacementTimeoutMs: 2000, outageMs: 10_000, logout: false });
  t.diagnostic(`FIGURE ${figures(totals)}`);
  assert.ok(totals.failed > 0 && totals.failed < totals.requests / 2, 'some fail');
});

test('a session that is logged out in the midst of it ends every request', async (t) => {
  const totals = await runAll({ replacementTimeoutMs: 30_000, outageMs: 1000, logout: true });
  t.diagnostic(`FIGURE ${figures(totals)}`);
});
