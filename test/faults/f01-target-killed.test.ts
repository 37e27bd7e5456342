// F01: the target is killed in the middle of writes and comes back. Nothing is acknowledged or failed meanwhile, nothing is
// lost, and I/O goes on within a second of the moment at which the target is configured again.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { count, figure, fioMissing, fioRounds, percentile, Rig, spread, tgtMissing, within } from './rig.js';
import type { StampedDisk } from './stamped-disk.js';

const CYCLES = count('F01_CYCLES', 3);
const LONGEST_OUTAGE_MS = count('F01_LONGEST_OUTAGE_MS', 1000);
const OUTAGES = count('F01_OUTAGES', 1);
/** Lengths of outages whose end is measured, milliseconds. */
const LENGTHS = OUTAGES > 1 ? [500, 2000, 10_000] : [500, 2000];
/** The promise is 1.0 s at the 99th percentile; a machine that runs other tests beside this one is given more. */
const RESUME_MS = process.env.F01_CYCLES === undefined ? 5000 : 1000;
const HALF = 4 * 2 ** 20;

/** Kills tgtd, starts it again after `outageMs`; milliseconds from then until the first request is answered. */
async function outage(rig: Rig, disk: StampedDisk, outageMs: number): Promise<number> {
  await rig.tgt.kill();
  await sleep(outageMs);
  await rig.tgt.restart();
  const configured = performance.now();
  return (await within(60_000, 'I/O resumes', disk.nextDone())) - configured;
}

/** A restart of the target may cost one flush an error (its cache may be gone), and nothing else. */
function assertClean(disk: StampedDisk, restarts: number): void {
  assert.deepEqual(disk.problems, []);
  const flushes = disk.failures.filter(({ what, errno }) => what === 'flush' && errno === 5);
  assert.deepEqual(
    disk.failures.filter((failure) => !flushes.includes(failure)),
    [],
  );
  assert.ok(flushes.length <= restarts, `${flushes.length} flushes failed at ${restarts} restarts`);
}

describe('F01: the target is killed and comes back', { skip: tgtMissing() || fioMissing() }, () => {
  it('at random, under fio --verify and stamped blocks', async () => {
    const rig = await Rig.start({ proxy: false, sizeBytes: 2 * HALF });
    const end = new AbortController();
    try {
      const disk = await rig.stamped(HALF / 4096);
      const load = disk.run({ signal: end.signal, pauseMs: 2 });
      const checked = fioRounds(rig.uri, { offset: HALF, size: HALF / 4, signal: end.signal });
      const resumed: number[] = [];
      for (let i = 0; i < CYCLES; i++) {
        await sleep(50 + Math.random() * 1950);
        resumed.push(await outage(rig, disk, Math.random() * LONGEST_OUTAGE_MS));
      }
      end.abort();
      await within(60_000, 'the last requests', load);
      const { rounds, failed } = await within(60_000, 'the last round of fio', checked);
      await disk.checkAll();
      assertClean(disk, CYCLES);
      assert.deepEqual(failed, []);
      figure(
        'F01',
        `${CYCLES} kills, 0 wrong of ${disk.completed} requests, ${rounds} rounds of fio --verify clean, resumed ${spread(resumed)}`,
      );
      assert.ok(percentile(resumed, 0.99) <= RESUME_MS, spread(resumed));
    } finally {
      end.abort();
      await rig.stop();
    }
  });

  for (const length of LENGTHS) {
    it(`is gone for ${length / 1000} s`, async () => {
      const rig = await Rig.start({ proxy: false, sizeBytes: HALF });
      const end = new AbortController();
      try {
        const disk = await rig.stamped();
        const load = disk.run({ signal: end.signal, pauseMs: 2 });
        const resumed: number[] = [];
        for (let i = 0; i < OUTAGES; i++) {
          await sleep(200);
          resumed.push(await outage(rig, disk, length));
        }
        end.abort();
        await within(60_000, 'the last requests', load);
        await disk.checkAll();
        assertClean(disk, OUTAGES);
        figure('F01', `after ${length / 1000} s without a target resumed ${spread(resumed)}`);
        assert.ok(percentile(resumed, 0.99) <= RESUME_MS, spread(resumed));
      } finally {
        end.abort();
        await rig.stop();
      }
    });
  }
});
