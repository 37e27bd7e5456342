import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OUT_OF_RANGE } from '../../src/scsi/u64.js';
import {
  type BlockLimits,
  buildBlockCharacteristics,
  buildBlockLimits,
  buildProvisioning,
  ProvisioningType,
  parseBlockCharacteristics,
  parseBlockLimits,
  parseProvisioning,
} from '../../src/scsi/vpd-block.js';
import { ProtocolError } from '../../src/util/errors.js';
import { hammer, hex } from './hostile.js';

const NONE: BlockLimits = {
  writeSameNonZero: false,
  maxCompareAndWrite: 0,
  optimalTransferGranularity: 0,
  maxTransfer: 0,
  optimalTransfer: 0,
  maxPrefetch: 0,
  maxUnmapBlocks: 0,
  maxUnmapDescriptors: 0,
  optimalUnmapGranularity: 0,
  unmapAlignment: null,
  maxWriteSame: 0,
  maxAtomic: 0,
};

test('recorded page B0h: the short one of LIO and the long ones of tgt and istgt', () => {
  assert.deepEqual(parseBlockLimits(hex('00b0001001010001000040000000400000000000')), {
    ...NONE,
    writeSameNonZero: true,
    maxCompareAndWrite: 1,
    optimalTransferGranularity: 1,
    maxTransfer: 16_384,
    optimalTransfer: 16_384,
  });
  assert.equal(parseBlockLimits(hex('00b0001001010001fffffff8fffffff800000000')).maxTransfer, 0xfffffff8);
  assert.deepEqual(parseBlockLimits(hex(`00b0003c0080${'00'.repeat(58)}`)), { ...NONE, maxCompareAndWrite: 128 });
  assert.deepEqual(parseBlockLimits(hex(`00b0003c00ff00080000000000000800${'00'.repeat(48)}`)), {
    ...NONE,
    maxCompareAndWrite: 255,
    optimalTransferGranularity: 8,
    optimalTransfer: 2048,
  });
});

test('page B0h, every field in its place', () => {
  const limits: BlockLimits = {
    writeSameNonZero: true,
    maxCompareAndWrite: 2,
    optimalTransferGranularity: 3,
    maxTransfer: 4,
    optimalTransfer: 5,
    maxPrefetch: 6,
    maxUnmapBlocks: 7,
    maxUnmapDescriptors: 8,
    optimalUnmapGranularity: 9,
    unmapAlignment: 10,
    maxWriteSame: 2 ** 40,
    maxAtomic: 0x0102_0304,
  };
  const text =
    '00b0003c 01 02 0003 00000004 00000005 00000006 00000007 00000008 00000009 8000000a 0000010000000000 01020304' +
    '00'.repeat(16);
  assert.equal(buildBlockLimits(limits).toString('hex'), hex(text).toString('hex'));
  assert.deepEqual(parseBlockLimits(hex(text)), limits);
});

test('a WRITE SAME limit above 2^53 is as good as none', () => {
  const text = `00b0003c ${'00'.repeat(32)} ffffffffffffffff ${'00'.repeat(20)}`;
  assert.equal(parseBlockLimits(hex(text)).maxWriteSame, OUT_OF_RANGE);
});

test('page B1h, both ways', () => {
  assert.deepEqual(parseBlockCharacteristics(hex(`00b1003c1c200002${'00'.repeat(56)}`)), {
    rotationRate: 7200,
    formFactor: 2,
    wabereq: 0,
  });
  assert.deepEqual(parseBlockCharacteristics(hex(`00b1004000000000${'00'.repeat(60)}`)), {
    rotationRate: 0,
    formFactor: 0,
    wabereq: 0,
  });
  assert.deepEqual(
    buildBlockCharacteristics({ rotationRate: 1, formFactor: 3, wabereq: 1 }),
    hex(`00b1003c00010043${'00'.repeat(56)}`),
  );
  assert.deepEqual(parseBlockCharacteristics(hex('00b1000200 01')), { rotationRate: 1, formFactor: 0, wabereq: 0 });
});

test('page B2h, both ways', () => {
  const all = {
    thresholdExponent: 1,
    unmap: true,
    writeSame16: true,
    writeSame10: true,
    readsZero: true,
    anchor: true,
    type: ProvisioningType.Thin,
  };
  assert.equal(buildProvisioning(all).toString('hex'), '00b2000401e60200');
  assert.deepEqual(parseProvisioning(hex('00b2000401e60200')), all);
  assert.deepEqual(parseProvisioning(hex('00b2000400000000')), {
    thresholdExponent: 0,
    unmap: false,
    writeSame16: false,
    writeSame10: false,
    readsZero: false,
    anchor: false,
    type: ProvisioningType.Unknown,
  });
});

test('any provisioning page round trips', () => {
  const page = fc.record(
    {
      thresholdExponent: fc.nat({ max: 255 }),
      unmap: fc.boolean(),
      writeSame16: fc.boolean(),
      writeSame10: fc.boolean(),
      readsZero: fc.boolean(),
      anchor: fc.boolean(),
      type: fc.nat({ max: 7 }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(page, (any) => {
      assert.deepEqual(parseProvisioning(buildProvisioning(any)), any);
    }),
  );
});

test('any limits round trip', () => {
  const u32 = fc.nat({ max: 0xffff_ffff });
  const limits = fc.record(
    {
      writeSameNonZero: fc.boolean(),
      maxCompareAndWrite: fc.nat({ max: 255 }),
      optimalTransferGranularity: fc.nat({ max: 0xffff }),
      maxTransfer: u32,
      optimalTransfer: u32,
      maxPrefetch: u32,
      maxUnmapBlocks: u32,
      maxUnmapDescriptors: u32,
      optimalUnmapGranularity: u32,
      unmapAlignment: fc.option(fc.nat({ max: 0x7fff_ffff })),
      maxWriteSame: fc.maxSafeNat(),
      maxAtomic: fc.nat(0xffff_ffff),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(limits, (any) => {
      assert.deepEqual(parseBlockLimits(buildBlockLimits(any)), any);
    }),
  );
});

test('any bytes give a page or a ProtocolError', () => {
  hammer(parseBlockLimits, [buildBlockLimits(NONE)], hex('00b0'));
  hammer(
    parseBlockCharacteristics,
    [buildBlockCharacteristics({ rotationRate: 1, formFactor: 3, wabereq: 1 })],
    hex('00b1'),
  );
  hammer(parseProvisioning, [hex('00b2000401e60200')], hex('00b2'));
  assert.throws(() => parseBlockLimits(hex('00b1003c')), ProtocolError);
});
