// The soak: fio --verify and stamped blocks on one session while a fault strikes every SOAK_EVERY seconds: the target killed, a RST,
// a black hole, a delay, a held network. Nothing may fail but a flush after a restart, and the worker's memory and descriptors stay
// flat. SOAK_SECONDS=3600 is the figure of the closing note; progress is told once a minute.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { count, figure, fioMissing, fioRounds, footprint, Rig, spread, tgtMissing, within } from '../faults/rig.js';
import type { StampedDisk } from '../faults/stamped-disk.js';

const SECONDS = count('SOAK_SECONDS', 60);
const EVERY_MS = count('SOAK_EVERY', 30) * 1000;
const HALF = 8 * 2 ** 20;
const SAMPLE_MS = Math.min(15_000, (SECONDS * 1000) / 20);

interface Sample {
  readonly seconds: number;
  readonly rssKiB: number;
  readonly descriptors: number;
}

/** Every fault returns the moment from which I/O could go on. */
const FAULTS: Record<string, (rig: Rig) => Promise<number>> = {
  async kill(rig) {
    await rig.tgt.kill();
    await sleep(Math.random() * 5000);
    await rig.tgt.restart();
    return performance.now();
  },
  async reset(rig) {
    rig.proxy.live.reset();
    return performance.now();
  },
  async 'reset one side'(rig) {
    rig.proxy.live.resetInitiator();
    return performance.now();
  },
  async 'black hole'(rig) {
    const link = rig.proxy.live;
    link.blackHole();
    const lost = async () => {
      while (rig.proxy.live === link) await sleep(20);
    };
    await within(20_000, 'the black hole is noticed', lost());
    link.stop();
    return performance.now();
  },
  async 'closed door'(rig) {
    await rig.proxy.setDoor('refuse');
    rig.proxy.live.reset();
    await sleep(Math.random() * 3000);
    await rig.proxy.setDoor('open');
    return performance.now();
  },
  async delay(rig) {
    const link = rig.proxy.live;
    link.toTarget.delay(200);
    link.toInitiator.delay(200);
    await sleep(3000);
    link.toTarget.delay(0);
    link.toInitiator.delay(0);
    return performance.now();
  },
  async hold(rig) {
    const link = rig.proxy.live;
    link.toTarget.hold();
    await sleep(3000);
    link.toTarget.release();
    return performance.now();
  },
};

describe('soak', { skip: tgtMissing() || fioMissing() }, () => {
  it(`${SECONDS} s with a fault every ${EVERY_MS / 1000} s`, async () => {
    const rig = await Rig.start({ sizeBytes: 2 * HALF });
    const end = new AbortController();
    const samples: Sample[] = [];
    const resumed: number[] = [];
    const struck = new Map<string, number>();
    const turns: string[] = [];
    let restarts = 0;
    try {
      const disk = await rig.stamped(HALF / 4096);
      const load = disk.run({ signal: end.signal, depth: 8, pauseMs: 10 });
      const checked = fioRounds(rig.uri, { offset: HALF, size: HALF / 2, signal: end.signal });
      const began = performance.now();
      const sampling = sample(rig, disk, began, samples, end.signal);
      while (performance.now() - began + EVERY_MS < SECONDS * 1000) {
        await sleep(EVERY_MS - 2000 + Math.random() * 4000);
        if (turns.length === 0) turns.push(...shuffled(Object.keys(FAULTS)));
        const name = turns.pop() ?? 'reset';
        // A refused connection too may mean that the target has lost its cache.
        if (name === 'kill' || name === 'closed door') restarts++;
        struck.set(name, (struck.get(name) ?? 0) + 1);
        const back = (await FAULTS[name]?.(rig)) ?? 0;
        const took = (await within(60_000, `I/O resumes after ${name}`, disk.nextDone())) - back;
        resumed.push(Math.max(0, took));
        console.log(
          `soak ${((performance.now() - began) / 1000).toFixed(0)} s: ${name}, resumed after ${took.toFixed(0)} ms`,
        );
        assert.deepEqual(disk.problems, []);
      }
      end.abort();
      await within(60_000, 'the last requests', load);
      const { rounds, failed } = await within(120_000, 'the last round of fio', checked);
      await sampling;
      await disk.checkAll();
      const seconds = Math.round((performance.now() - began) / 1000);
      const flushes = disk.failures.filter(({ what, errno }) => what === 'flush' && errno === 5);
      const flat = slopes(samples);
      figure(
        'soak',
        `${seconds} s, ${[...struck].map(([name, times]) => `${times} × ${name}`).join(', ')}: ${disk.problems.length} wrong of ` +
          `${disk.completed} requests, ${rounds} rounds of fio --verify, ${failed.length} failed, ${disk.failures.length} requests failed ` +
          `(${flushes.length} flushes at ${restarts} restarts), resumed ${spread(resumed)}, ${flat.text}`,
      );
      assert.deepEqual([disk.problems, failed], [[], []]);
      assert.deepEqual(
        disk.failures.filter((failure) => !flushes.includes(failure)),
        [],
      );
      assert.ok(flushes.length <= restarts, `${flushes.length} flushes failed at ${restarts} restarts`);
      assert.ok(flat.descriptorsGrown <= 3, flat.text);
      // The first half fills pools and heap; a leak shows in the second.
      if (SECONDS >= 1800) assert.ok(Math.abs(flat.rssKiBPerHour) < 20 * 1024, flat.text);
    } finally {
      end.abort();
      await rig.stop();
    }
  });
});

async function sample(
  rig: Rig,
  disk: StampedDisk,
  began: number,
  samples: Sample[],
  signal: AbortSignal,
): Promise<void> {
  for (let i = 1; !signal.aborted; i++) {
    const seconds = (performance.now() - began) / 1000;
    const foot = footprint(rig.session.pid);
    samples.push({ seconds, ...foot });
    if (i % 4 === 0) {
      const { rssKiB, descriptors } = foot;
      console.log(
        `soak ${seconds.toFixed(0)} s: ${disk.completed} requests, ${disk.failures.length} failed, ${disk.problems.length} wrong, RSS ${rssKiB} KiB, ${descriptors} descriptors`,
      );
    }
    await sleep(SAMPLE_MS, undefined, { signal }).catch(() => {});
  }
}

function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ value }) => value);
}

/** Least squares over the second half of the samples. */
function slopes(samples: readonly Sample[]): { rssKiBPerHour: number; descriptorsGrown: number; text: string } {
  const late = samples.slice(Math.floor(samples.length / 2));
  const mean = (of: (s: Sample) => number) => late.reduce((sum, s) => sum + of(s), 0) / late.length;
  const [t, rss] = [mean((s) => s.seconds), mean((s) => s.rssKiB)];
  const over = late.reduce((sum, s) => sum + (s.seconds - t) * (s.rssKiB - rss), 0);
  const under = late.reduce((sum, s) => sum + (s.seconds - t) ** 2, 0);
  const rssKiBPerHour = Math.round((over / under) * 3600);
  // A connection that is being replaced has two sockets for a moment: the least of each half says what stays.
  const least = (part: readonly Sample[]) => Math.min(...part.map(({ descriptors }) => descriptors));
  const descriptorsGrown = least(late) - least(samples.slice(0, Math.floor(samples.length / 2)));
  const text = `RSS ${Math.round(rss / 1024)} MiB with a slope of ${rssKiBPerHour} KiB an hour, descriptors ${least(late)}, grown by ${descriptorsGrown}`;
  return { rssKiBPerHour, descriptorsGrown, text };
}
