// F39: the target stays away for longer than the replacement timeout. Each request fails once with EIO, later ones at once; the
// session says FAILED, goes on trying, and works again when the target is back.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NbdError } from './nbd-client.js';
import { count, figure, Rig, tgtMissing, within } from './rig.js';
import { BLOCK, stamp } from './stamped-disk.js';

const TIMEOUT_MS = count('F39_TIMEOUT_MS', 2000);
const LONGER_MS = count('F39_LONGER_MS', 2000);
const EIO = 5;

describe('F39: the target is away for longer than the replacement timeout', { skip: tgtMissing() }, () => {
  it('EIO once for each request, FAILED, and all is well when it is back', async () => {
    const rig = await Rig.start({ proxy: false, timers: { replacementTimeoutMs: TIMEOUT_MS } });
    try {
      const disk = await rig.stamped();
      for (let block = 0; block < 16; block++) await disk.write(block);
      const client = await rig.connect();
      await rig.tgt.kill();
      const began = performance.now();
      const outcome = async (work: Promise<unknown>) => {
        const error = await work.then(
          () => null,
          (reason: unknown) => reason,
        );
        return { errno: error instanceof NbdError ? error.errno : String(error), ms: performance.now() - began };
      };
      const waiting = await within(
        TIMEOUT_MS + 10_000,
        'every request ends',
        Promise.all([
          ...Array.from({ length: 8 }, (_, i) => outcome(client.write((32 + i) * BLOCK, stamp(32 + i, 1)))),
          ...Array.from({ length: 8 }, (_, i) => outcome(client.read(i * BLOCK, BLOCK))),
        ]),
      );
      assert.deepEqual(new Set(waiting.map(({ errno }) => errno)), new Set([EIO]));
      const [first, last] = [Math.min(...waiting.map(({ ms }) => ms)), Math.max(...waiting.map(({ ms }) => ms))];
      assert.ok(first >= TIMEOUT_MS - 100 && last <= TIMEOUT_MS + 8000, `EIO after ${first} to ${last} ms`);
      const info = await rig.info();
      assert.equal(info.state, 'FAILED');
      assert.notEqual(info.recovery, 'none');
      await sleep(LONGER_MS);
      const late = performance.now();
      await assert.rejects(client.read(0, BLOCK), { errno: EIO });
      assert.ok(performance.now() - late < TIMEOUT_MS, 'at once, without waiting again');
      assert.equal((await rig.info()).state, 'FAILED');
      assert.ok(client.open, 'the client keeps its connection');

      await rig.tgt.restart();
      const back = performance.now();
      const again = async () => {
        while ((await rig.info()).state !== 'LOGGED_IN') await sleep(20);
      };
      await within(20_000, 'the session is logged in again', again());
      const resumed = performance.now() - back;
      await disk.checkAll();
      await disk.write(3);
      await disk.check(3);
      assert.deepEqual([disk.problems, disk.failures], [[], []]);
      figure(
        'F39',
        `timeout ${TIMEOUT_MS / 1000} s: 16 requests ended with EIO after ${(first / 1000).toFixed(2)}-${(last / 1000).toFixed(2)} s, back ${(resumed / 1000).toFixed(2)} s after the target`,
      );
    } finally {
      await rig.stop();
    }
  });
});
