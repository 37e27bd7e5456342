// What a session counts of its commands: how many of which kind, and how long each took.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BlockOp } from '../../src/block/block-device.js';
import { bucketOf, bucketStart, timeOfShare } from '../../src/initiator/load.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { fakeLun, fakePair, start } from '../helpers/fake-pair.js';

test('a time lies in its bucket, and a bucket is an eighth of its beginning at most', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 - 1 }), (us) => {
      const bucket = bucketOf(us);
      const [from, to] = [bucketStart(bucket), bucketStart(bucket + 1)];
      assert.ok(from <= us && us < to, `${us} in ${from} to ${to}`);
      assert.ok(to - from <= Math.max(1, from / 8));
    }),
  );
});

test('times that no clock should give count somewhere', () => {
  for (const us of [-5, 2 ** 40, Number.POSITIVE_INFINITY, 0.4, Number.NaN]) {
    assert.ok(bucketOf(us) >= 0 && bucketOf(us) < 240, String(us));
  }
});

test('the time of a share is close to that of the sorted times', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 10_000_000 }), { minLength: 1 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (all, share) => {
        const times = new Float64Array(240);
        for (const us of all) (times[bucketOf(us)] as number)++;
        const sorted = [...all].sort((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(all.length * share) - 1)] as number;
        const told = timeOfShare(times, share) as number;
        assert.ok(Math.abs(told - exact) <= Math.max(1, exact / 7), `${told} for ${exact}`);
      },
    ),
  );
  assert.equal(timeOfShare(new Float64Array(240), 0.5), null);
});

test('commands are counted by their operation code when they are answered, with their time', () => {
  const pair = fakePair();
  const { session, clock } = pair.rig;
  const lun = fakeLun(pair);
  const before = session.load.commands.slice();
  const grown = (code: number) => (session.load.commands[code] as number) - (before[code] as number);
  const times = session.load.times.slice();
  start(lun, BlockOp.Read, 0, 512);
  start(lun, BlockOp.Write, 0, 512, { payload: Buffer.alloc(512) });
  assert.deepEqual([grown(ScsiOp.Read16), session.inFlight.commands], [0, 2]);
  clock.ms += 100;
  pair.rig.pump();
  assert.deepEqual([grown(ScsiOp.Read16), grown(ScsiOp.Write16), session.inFlight.commands], [1, 1, 0]);
  const took = bucketOf(100_000);
  assert.equal((session.load.times[took] as number) - (times[took] as number), 2);
  assert.ok(session.inFlight.most > 0);
});
