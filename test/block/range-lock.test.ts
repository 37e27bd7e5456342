import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type RangeHolder, RangeLock } from '../../src/block/range-lock.js';

interface Holder extends RangeHolder {
  readonly id: number;
}

function holder(
  id: number,
  rangeStart: number,
  rangeEnd: number,
  exclusive: boolean,
  granted: (h: Holder) => void,
): Holder {
  const made: Holder = { id, rangeStart, rangeEnd, exclusive, rangeSlot: 0, onRange: () => granted(made) };
  return made;
}

describe('RangeLock', () => {
  it('never lets an exclusive holder share a byte, overtakes nobody in conflict, and grants everybody in the end', () => {
    const wish = fc.record({ start: fc.nat(20), length: fc.integer({ min: 1, max: 10 }), exclusive: fc.boolean() });
    fc.assert(
      fc.property(fc.array(wish, { maxLength: 30 }), fc.infiniteStream(fc.nat()), (wishes, choices) => {
        const lock = new RangeLock();
        const held: Holder[] = [];
        const order: Holder[] = [];
        const conflict = (a: Holder, b: Holder): boolean =>
          (a.exclusive || b.exclusive) && a.rangeStart < b.rangeEnd && b.rangeStart < a.rangeEnd;
        const granted = (now: Holder): void => {
          for (const other of held) assert.ok(!conflict(now, other));
          held.push(now);
          order.push(now);
        };
        const releaseOne = (): void => {
          const [one] = held.splice((choices.next().value ?? 0) % held.length, 1);
          if (one) lock.release(one);
        };
        const all = wishes.map(({ start, length, exclusive }, id) =>
          holder(id, start, start + length, exclusive, granted),
        );
        for (const one of all) {
          lock.acquire(one);
          if (held.length > 0 && (choices.next().value ?? 0) % 3 === 0) releaseOne();
        }
        while (held.length > 0) releaseOne();
        assert.equal(order.length, wishes.length);
        for (const [i, one] of order.entries()) {
          for (const later of order.slice(i + 1)) assert.ok(later.id > one.id || !conflict(one, later));
        }
      }),
    );
  });

  it('allows a release from within the grant', () => {
    const lock = new RangeLock();
    const done: number[] = [];
    const first = holder(0, 0, 10, true, () => {});
    lock.acquire(first);
    for (const id of [1, 2, 3]) {
      lock.acquire(
        holder(id, 0, 10, true, (h) => {
          done.push(h.id);
          lock.release(h);
        }),
      );
    }
    lock.release(first);
    assert.deepEqual(done, [1, 2, 3]);
  });

  it('notices a release too many', () => {
    assert.throws(() => new RangeLock().release(holder(0, 0, 1, false, () => {})), /twice/);
  });
});
