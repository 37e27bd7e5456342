// Serial numbers, RFC 1982.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { serialAdd, serialDiff, serialLess } from '../../src/util/serial32.js';

const serial = fc.oneof(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1));

describe('serial numbers', () => {
  it('wrap at 2^32', () => {
    assert.equal(serialAdd(0xffff_ffff, 1), 0);
    assert.equal(serialAdd(0, -1), 0xffff_ffff);
    assert.equal(serialDiff(1, 0xffff_ffff), 2);
    assert.equal(serialLess(0xffff_ffff, 0), true);
    assert.equal(serialLess(0, 0xffff_ffff), false);
    assert.equal(serialLess(7, 7), false);
  });
  it('keep order and distance within half the circle', () => {
    fc.assert(
      fc.property(serial, fc.integer({ min: 1, max: 2 ** 31 - 1 }), (from, by) => {
        const to = serialAdd(from, by);
        assert.ok(to >= 0 && to < 2 ** 32);
        assert.equal(serialDiff(to, from), by);
        assert.equal(serialDiff(from, to), -by);
        assert.ok(serialLess(from, to) && !serialLess(to, from));
      }),
    );
  });
});
