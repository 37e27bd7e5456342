import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  buildReadCapacity10,
  buildReadCapacity16,
  type Capacity,
  parseReadCapacity10,
  parseReadCapacity16,
} from '../../src/scsi/capacity.js';
import { ProtocolError } from '../../src/util/errors.js';
import { hammer, hex } from './hostile.js';

const PLAIN: Capacity = {
  blocks: 524_288,
  blockSize: 512,
  physicalBlockSize: 512,
  lowestAlignedLba: 0,
  protectionType: 0,
  thin: false,
  unmappedReadsZero: false,
};

test('recorded READ CAPACITY(16) of LIO and tgt', () => {
  const lio = hex(`000000000007ffff 00000200 ${'00'.repeat(20)}`);
  const tgt = hex(`000000000001ffff 00000200 0003 ${'00'.repeat(18)}`);
  assert.deepEqual(parseReadCapacity16(lio), PLAIN);
  assert.deepEqual(buildReadCapacity16(PLAIN), lio);
  assert.deepEqual(parseReadCapacity16(tgt), { ...PLAIN, blocks: 131_072, physicalBlockSize: 4096 });
});

test('every field of READ CAPACITY(16), both ways', () => {
  const text = hex(`000000ffffffffff 00001000 05 02 c007 ${'00'.repeat(16)}`);
  const capacity: Capacity = {
    blocks: 2 ** 40,
    blockSize: 4096,
    physicalBlockSize: 16_384,
    lowestAlignedLba: 7,
    protectionType: 3,
    thin: true,
    unmappedReadsZero: true,
  };
  assert.deepEqual(parseReadCapacity16(text), capacity);
  assert.deepEqual(buildReadCapacity16(capacity), text);
  assert.deepEqual(parseReadCapacity16(text.subarray(0, 12)), {
    ...PLAIN,
    blocks: 2 ** 40,
    blockSize: 4096,
    physicalBlockSize: 4096,
  });
});

test('READ CAPACITY(10), and the unit that is too large for it', () => {
  assert.deepEqual(parseReadCapacity10(hex('0007ffff00000200')), PLAIN);
  assert.equal(buildReadCapacity10(PLAIN).toString('hex'), '0007ffff00000200');
  assert.equal(parseReadCapacity10(hex('ffffffff00000200')), null);
  assert.equal(buildReadCapacity10({ blocks: 2 ** 32, blockSize: 512 }).toString('hex'), 'ffffffff00000200');
  assert.equal(buildReadCapacity10({ blocks: 2 ** 40, blockSize: 512 }).toString('hex'), 'ffffffff00000200');
  assert.equal(buildReadCapacity10({ blocks: 2 ** 32 - 1, blockSize: 512 }).toString('hex'), 'fffffffe00000200');
});

test('sizes that cannot be are a ProtocolError', () => {
  for (const text of [
    '000000000007ffff 00000000', // block length 0
    'ffffffffffffffff 00000200',
    '001fffffffffffff 00000200', // 2^53 blocks
    '000fffffffffffff 00000002', // 2^53 bytes
    '000000000007ffff 000002', // short
    '',
  ]) {
    assert.throws(() => parseReadCapacity16(hex(text)), ProtocolError, text);
  }
  assert.equal(parseReadCapacity16(hex('00000fffffffffff 000001ff')).blocks, 2 ** 44);
  assert.throws(() => parseReadCapacity10(hex('0007ffff00000000')), ProtocolError);
  assert.throws(() => parseReadCapacity10(hex('0007ffff000002')), ProtocolError);
});

test('any capacity round trips', () => {
  const capacity = fc.record(
    {
      blocks: fc.integer({ min: 1, max: 2 ** 40 }),
      blockSize: fc.constantFrom(512, 4096),
      exponent: fc.nat({ max: 15 }),
      lowestAlignedLba: fc.nat({ max: 0x3fff }),
      protectionType: fc.nat({ max: 3 }),
      thin: fc.boolean(),
      unmappedReadsZero: fc.boolean(),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(capacity, ({ exponent, ...rest }) => {
      const any: Capacity = { ...rest, physicalBlockSize: rest.blockSize * 2 ** exponent };
      assert.deepEqual(parseReadCapacity16(buildReadCapacity16(any)), any);
    }),
  );
});

test('any bytes give a capacity that can be computed with, or a ProtocolError', () => {
  const safe = (capacity: Capacity | null): void => {
    if (capacity === null) return;
    assert.ok(Number.isSafeInteger(capacity.blocks * capacity.blockSize) && capacity.blocks > 0);
    assert.ok(capacity.physicalBlockSize >= capacity.blockSize);
  };
  hammer((data) => safe(parseReadCapacity10(data)), [buildReadCapacity10(PLAIN)]);
  hammer((data) => safe(parseReadCapacity16(data)), [buildReadCapacity16(PLAIN)]);
});
