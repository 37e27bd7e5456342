import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CheckCondition } from '../../src/scsi/check-condition.js';
import { OUT_OF_RANGE } from '../../src/scsi/u64.js';
import { buildUnmapList, parseUnmapList, putUnmapRange, unmapListLength } from '../../src/scsi/unmap.js';
import { hammer, hex } from './hostile.js';

const ONE = '0016 0010 00000000 0000000100000002 00000003 00000000';
const TWO = '0026 0020 00000000 0000000000000001 00000002 00000000 0000000000000003 00000004 00000000';

test('the list of one range, written in place over a dirty buffer', () => {
  const b = Buffer.alloc(32, 0xa5);
  putUnmapRange(b, 4, 2 ** 32 + 2, 3);
  assert.equal(b.toString('hex'), `a5a5a5a5${hex(ONE).toString('hex')}a5a5a5a5`);
  assert.equal(unmapListLength(1), 24);
  assert.deepEqual(buildUnmapList([{ lba: 2 ** 32 + 2, blocks: 3 }]), hex(ONE));
  assert.deepEqual(parseUnmapList(hex(ONE), 1), [{ lba: 2 ** 32 + 2, blocks: 3 }]);
});

test('several ranges, both ways', () => {
  const ranges = [
    { lba: 1, blocks: 2 },
    { lba: 3, blocks: 4 },
  ];
  assert.deepEqual(buildUnmapList(ranges), hex(TWO));
  assert.deepEqual(parseUnmapList(hex(TWO), 10), ranges);
  assert.deepEqual(parseUnmapList(Buffer.concat([hex(TWO), Buffer.alloc(40, 0xff)]), 10), ranges);
});

test('no list and an empty list are no ranges', () => {
  assert.deepEqual(parseUnmapList(Buffer.alloc(0), 10), []);
  assert.deepEqual(parseUnmapList(hex('0006000000000000'), 10), []);
});

test('a descriptor that is cut off, by the length field or by the end, is ignored', () => {
  const [first] = parseUnmapList(hex(TWO), 10);
  for (let length = 24; length < 40; length++) {
    assert.deepEqual(parseUnmapList(hex(TWO).subarray(0, length), 10), [first]);
  }
  const lying = hex(TWO);
  lying.writeUInt16BE(0x1f, 2);
  assert.deepEqual(parseUnmapList(lying, 10), [first]);
  lying.writeUInt16BE(0xffff, 2);
  assert.equal(parseUnmapList(lying, 10).length, 2);
});

test('an incomplete header and too many descriptors are refused', () => {
  for (let length = 1; length < 8; length++) {
    assert.throws(
      () => parseUnmapList(Buffer.alloc(length), 10),
      (error) => error instanceof CheckCondition && error.sense.asc === 0x1a,
    );
  }
  assert.throws(
    () => parseUnmapList(hex(TWO), 1),
    (error) => error instanceof CheckCondition && error.sense.asc === 0x26,
  );
});

test('an LBA above 2^53 is out of range', () => {
  const data = hex('0016 0010 00000000 8000000000000000 00000001 00000000');
  assert.deepEqual(parseUnmapList(data, 1), [{ lba: OUT_OF_RANGE, blocks: 1 }]);
});

test('any list round trips', () => {
  const range = fc.record({ lba: fc.maxSafeNat(), blocks: fc.nat({ max: 0xffff_ffff }) }, { noNullPrototype: true });
  fc.assert(
    fc.property(fc.array(range, { maxLength: 100 }), (ranges) => {
      assert.deepEqual(parseUnmapList(buildUnmapList(ranges), 100), ranges);
    }),
  );
  assert.throws(() => buildUnmapList(Array.from({ length: 4096 }, () => ({ lba: 0, blocks: 1 }))), RangeError);
});

test('any bytes give ranges or a ProtocolError', () => {
  hammer((data) => parseUnmapList(data, 3), [hex(ONE), hex(TWO)]);
});
