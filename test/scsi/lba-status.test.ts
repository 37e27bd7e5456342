import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildLbaStatus, LbaStatus, parseLbaStatus } from '../../src/scsi/lba-status.js';
import { OUT_OF_RANGE } from '../../src/scsi/u64.js';
import { ProtocolError } from '../../src/util/errors.js';
import { hammer, hex } from './hostile.js';

const TEXT = '00000024 00000000 0000000000000000 00000800 00 000000 0000000000000800 0000f800 01 000000';
const RUNS = [
  { lba: 0, blocks: 0x800, status: LbaStatus.Mapped },
  { lba: 0x800, blocks: 0xf800, status: LbaStatus.Deallocated },
];

test('two runs, both ways', () => {
  assert.deepEqual(parseLbaStatus(hex(TEXT)), RUNS);
  assert.deepEqual(buildLbaStatus(RUNS), hex(TEXT));
});

test('what the length or the end cuts off is left out', () => {
  assert.deepEqual(parseLbaStatus(hex(TEXT).subarray(0, 39)), RUNS.slice(0, 1));
  assert.deepEqual(parseLbaStatus(hex(`00000023${TEXT.slice(8)}`)), RUNS.slice(0, 1));
  assert.deepEqual(parseLbaStatus(hex(`ffffffff${TEXT.slice(8)}`)), RUNS);
  assert.deepEqual(parseLbaStatus(hex('0000000000000000')), []);
  assert.throws(() => parseLbaStatus(hex('00000000000000')), ProtocolError);
});

test('any runs round trip; an LBA above 2^53 is out of range', () => {
  const run = fc.record(
    { lba: fc.maxSafeNat(), blocks: fc.nat({ max: 0xffff_ffff }), status: fc.nat({ max: 15 }) },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(run, { maxLength: 50 }), (runs) => {
      assert.deepEqual(parseLbaStatus(buildLbaStatus(runs)), runs);
    }),
  );
  assert.equal(parseLbaStatus(hex(`00000014 00000000 ${'ff'.repeat(16)}`))[0]?.lba, OUT_OF_RANGE);
});

test('any bytes give runs or a ProtocolError', () => {
  hammer(parseLbaStatus, [hex(TEXT)]);
});
