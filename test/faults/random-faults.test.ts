// Faults at random, one on top of the other and in the middle of a recovery from the last one: connections reset and cut in the
// middle of PDUs, half closed, doors that refuse, swallow and reset, a target that is killed, or stands still. At the end
// everything is well again: I/O goes on, and every block holds the last write that was acknowledged.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Link } from './proxy.js';
import { count, figure, Rig, tgtMissing, within } from './rig.js';

const EVENTS = count('RANDOM_FAULTS', 20);
const SEED = count('RANDOM_SEED', Math.floor(Math.random() * 2 ** 31));

/** Numbers in [0, 1) that a seed repeats (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What is negotiated, chosen by the seed: most writes wait for an R2T, or every PDU has digests, or all is as by default. */
const NEGOTIATED = {
  'as by default': {},
  'R2T first': { initialR2T: true, immediateData: false, maxBurstLength: 1024, maxRecvDataSegmentLength: 1024 },
  digests: { headerDigest: 'CRC32C', dataDigest: 'CRC32C' },
} as const;

type Fault = (rig: Rig, link: Link | undefined, random: () => number) => unknown;
const FAULTS: Record<string, Fault> = {
  reset: (_rig, link) => link?.reset(),
  'reset to us': (_rig, link) => link?.resetInitiator(),
  'reset to the target': (_rig, link) => link?.resetTarget(),
  'cut what we send': (_rig, link, random) => link?.toTarget.cut(link.toTarget.passed + Math.floor(random() * 9000)),
  'cut what comes': (_rig, link, random) =>
    link?.toInitiator.cut(link.toInitiator.passed + Math.floor(random() * 9000)),
  'FIN to the target': (_rig, link) => link?.toTarget.halfClose(),
  'FIN to us': (_rig, link) => link?.toInitiator.halfClose(),
  'black hole': (_rig, link) => link?.blackHole(),
  'hold for a while': async (_rig, link, random) => {
    link?.toInitiator.hold();
    await sleep(random() * 1500);
    link?.toInitiator.release();
  },
  'refuse for a while': (rig, _link, random) => closed(rig, 'refuse', random),
  'swallow for a while': (rig, _link, random) => closed(rig, 'swallow', random),
  'reset at connect for a while': (rig, _link, random) => closed(rig, 'reset', random),
  'cut the login': (rig, link, random) => {
    const at = Math.floor(random() * 1200);
    rig.proxy.onLink = (next) => {
      rig.proxy.onLink = null;
      (random() < 0.5 ? next.toTarget : next.toInitiator).cut(at);
    };
    link?.reset();
  },
  'the target stands still': async (rig, _link, random) => {
    process.kill(rig.tgt.pid, 'SIGSTOP');
    await sleep(random() * 2500);
    process.kill(rig.tgt.pid, 'SIGCONT');
  },
  'the target is killed': async (rig, _link, random) => {
    await rig.tgt.kill();
    await sleep(random() * 1000);
    await rig.tgt.restart();
  },
};

/** Only where digests tell: a bit of what the target sends. */
const FLIPS: Record<string, Fault> = {
  'flip a bit': (_rig, link, random) =>
    link?.toInitiator.flip(link.toInitiator.passed + Math.floor(random() * 9000), Math.floor(random() * 8)),
};

async function closed(rig: Rig, door: 'refuse' | 'swallow' | 'reset', random: () => number): Promise<void> {
  await rig.proxy.setDoor(door);
  rig.proxy.links.findLast(({ open }) => open)?.reset();
  await sleep(random() * 1500);
  await rig.proxy.setDoor('open');
}

describe('faults at random', { skip: tgtMissing() }, () => {
  it(`${EVENTS} of them, RANDOM_SEED=${SEED}`, async () => {
    const random = randomFrom(SEED);
    const timers = { noopIntervalMs: 500, noopTimeoutMs: 500, loginTimeoutMs: 2000 };
    const kind = (Object.keys(NEGOTIATED) as (keyof typeof NEGOTIATED)[])[SEED % 3] ?? 'digests';
    const faults: Record<string, Fault> = { ...FAULTS, ...(kind === 'digests' ? FLIPS : {}) };
    const params = { HeaderDigest: 'CRC32C,None', DataDigest: 'CRC32C,None' };
    const rig = await Rig.start({ timers, negotiate: NEGOTIATED[kind], tgt: { params } });
    const end = new AbortController();
    const names: string[] = [];
    try {
      const disk = await rig.stamped();
      const load = disk.run({ signal: end.signal, pauseMs: 1 });
      for (let i = 0; i < EVENTS; i++) {
        const name = Object.keys(faults)[Math.floor(random() * Object.keys(faults).length)] ?? 'reset';
        names.push(name);
        await sleep(random() * 500);
        await faults[name]?.(
          rig,
          rig.proxy.links.findLast(({ open }) => open),
          random,
        );
        assert.deepEqual(disk.problems, [], names.join(', '));
      }
      rig.proxy.onLink = null;
      await within(20_000, `I/O goes on after ${names.slice(-5).join(', ')}`, disk.nextDone());
      end.abort();
      await within(30_000, 'the last requests', load);
      await disk.checkAll();
      const failures = disk.failures.filter(({ what, errno }) => what !== 'flush' || errno !== 5);
      assert.deepEqual([disk.problems, failures], [[], []], names.join(', '));
      checkLogins(rig);
      figure(
        'random',
        `${EVENTS} faults, ${kind}, seed ${SEED}: ${rig.proxy.links.length} connections, 0 wrong of ${disk.completed} requests`,
      );
    } finally {
      end.abort();
      await rig.stop();
    }
  });
});

function checkLogins(rig: Rig): void {
  assert.deepEqual(
    [...new Set(rig.proxy.logins.map(({ isid, tsih }) => `${isid} ${tsih}`))],
    [`${rig.session.isid} 0`],
  );
}
