import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildDescriptorSense, buildFixedSense, parseSense, SENSE_LARGEST, type Sense } from '../../src/scsi/sense.js';
import { OUT_OF_RANGE } from '../../src/scsi/u64.js';
import { hammer, hex } from './hostile.js';

// Sense data as targets send it.
const RECORDED: readonly [string, string, Sense][] = [
  [
    'LIO, 96 bytes: invalid opcode',
    `700005000000000a00000000200000000000${'00'.repeat(78)}`,
    { key: 5, asc: 0x20, ascq: 0 },
  ],
  [
    'LIO: reported LUNs changed',
    `700006000000000a000000003f0e00000000${'00'.repeat(78)}`,
    { key: 6, asc: 0x3f, ascq: 0x0e },
  ],
  ['tgt: power on or reset', '700006000000000a00000000290000000000', { key: 6, asc: 0x29, ascq: 0 }],
  [
    'istgt: the same with VALID',
    'f00006000000000a00000000290000000000',
    { key: 6, asc: 0x29, ascq: 0, information: 0 },
  ],
  ['istgt: invalid opcode', 'f00005000000000a00000000200000000000', { key: 5, asc: 0x20, ascq: 0, information: 0 }],
];

test('recorded fixed sense data', () => {
  for (const [name, text, expected] of RECORDED) assert.deepEqual(parseSense(hex(text)), expected, name);
});

// Both formats, byte by byte as SPC-4 §4.5.2 and §4.5.3 lay them out.
const BOTH_WAYS: readonly [string, Sense, string, string][] = [
  ['plain', { key: 5, asc: 0x20, ascq: 0 }, '70 00 05 00000000 0a 00000000 20 00 00 000000', '72 05 20 00 000000 00'],
  [
    'an LBA',
    { key: 3, asc: 0x11, ascq: 0, information: 0x12345678 },
    'f0 00 03 12345678 0a 00000000 11 00 00 000000',
    '72 03 11 00 000000 0c 00 0a 80 00 0000000012345678',
  ],
  [
    'a field of the CDB',
    { key: 5, asc: 0x24, ascq: 0, field: { inCdb: true, byte: 1, bit: 7 } },
    '70 00 05 00000000 0a 00000000 24 00 00 cf0001',
    '72 05 24 00 000000 08 02 06 0000 cf0001 00',
  ],
  [
    'a byte of the parameter list',
    { key: 5, asc: 0x26, ascq: 0, field: { inCdb: false, byte: 20 } },
    '70 00 05 00000000 0a 00000000 26 00 00 800014',
    '72 05 26 00 000000 08 02 06 0000 800014 00',
  ],
  [
    'progress',
    { key: 2, asc: 0x04, ascq: 0x04, progress: 0x8000 },
    '70 00 02 00000000 0a 00000000 04 04 00 808000',
    '72 02 04 04 000000 08 02 06 0000 808000 00',
  ],
  [
    'deferred with command-specific information',
    { key: 4, asc: 0x44, ascq: 0, deferred: true, commandSpecific: 9 },
    '71 00 04 00000000 0a 00000009 44 00 00 000000',
    '73 04 44 00 000000 0c 01 0a 00 00 0000000000000009',
  ],
];

test('both formats, built and read', () => {
  for (const [name, sense, fixed, descriptor] of BOTH_WAYS) {
    assert.equal(buildFixedSense(sense).toString('hex'), hex(fixed).toString('hex'), name);
    assert.equal(buildDescriptorSense(sense).toString('hex'), hex(descriptor).toString('hex'), name);
    assert.deepEqual(parseSense(hex(fixed)), sense, name);
    assert.deepEqual(parseSense(hex(descriptor)), sense, name);
    assert.deepEqual(parseSense(Buffer.concat([hex(fixed), Buffer.alloc(78)])), sense, `${name}, trailing bytes`);
  }
});

test('an LBA of more than 32 bits is left out of the fixed format and kept in the other', () => {
  const sense: Sense = { key: 3, asc: 0x11, ascq: 0, information: 2 ** 40 };
  assert.deepEqual(parseSense(buildFixedSense(sense)), { key: 3, asc: 0x11, ascq: 0 });
  assert.deepEqual(parseSense(buildDescriptorSense(sense)), sense);
  const beyond = hex('72 03 11 00 000000 0c 00 0a 80 00 ffffffffffffffff');
  assert.equal(parseSense(beyond)?.information, OUT_OF_RANGE);
  assert.equal(buildDescriptorSense({ ...sense, information: OUT_OF_RANGE }).length, 8);
});

test('short or lying sense data reads as far as it goes', () => {
  const key = { key: 5, asc: 0, ascq: 0 };
  for (const text of ['700005', '70000500000000', '700005000000000a', '700005000000000000000000200000000000']) {
    assert.deepEqual(parseSense(hex(text)), key, text);
  }
  assert.deepEqual(parseSense(hex('72052000')), { key: 5, asc: 0x20, ascq: 0 });
  assert.deepEqual(parseSense(hex('7205200000000 0ff 000a8000')), { key: 5, asc: 0x20, ascq: 0 });
  assert.deepEqual(parseSense(hex('72052000000000ff 0000 000a8000 0000000000000001')), {
    key: 5,
    asc: 0x20,
    ascq: 0,
    information: 1,
  });
  for (const text of ['', '70', '7000', '72', '7f0005', '00000500000000', 'ffffff']) {
    assert.equal(parseSense(hex(text)), null, text);
  }
});

const anySense: fc.Arbitrary<Sense> = fc
  .record({
    key: fc.nat({ max: 15 }),
    asc: fc.nat({ max: 255 }),
    ascq: fc.nat({ max: 255 }),
    deferred: fc.boolean(),
    information: fc.option(fc.maxSafeNat(), { nil: undefined }),
    commandSpecific: fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { nil: undefined }),
    byte: fc.option(fc.nat({ max: 0xffff }), { nil: undefined }),
    bit: fc.option(fc.nat({ max: 7 }), { nil: undefined }),
    inCdb: fc.boolean(),
  })
  .map(({ key, asc, ascq, deferred, information, commandSpecific, byte, bit, inCdb }) => ({
    key,
    asc,
    ascq,
    ...(deferred ? { deferred } : {}),
    ...(information === undefined ? {} : { information }),
    ...(commandSpecific === undefined ? {} : { commandSpecific }),
    ...(byte !== undefined && key === 5 ? { field: bit === undefined ? { inCdb, byte } : { inCdb, byte, bit } } : {}),
    ...(byte !== undefined && (key === 2 || key === 0) ? { progress: byte } : {}),
  }));

test('any sense survives the descriptor format', () => {
  fc.assert(
    fc.property(anySense, (sense) => {
      const b = buildDescriptorSense(sense);
      assert.ok(b.length <= SENSE_LARGEST);
      assert.deepEqual(parseSense(b), sense);
    }),
  );
});

test('no bytes make parseSense throw', () => {
  const vectors = BOTH_WAYS.flatMap(([, , fixed, descriptor]) => [hex(fixed), hex(descriptor)]);
  hammer(parseSense, vectors);
  for (const code of [0x70, 0x71, 0x72, 0x73, 0xf0, 0xf2]) hammer(parseSense, [], Buffer.from([code]));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(0x70, 0x72), (bytes, code) => {
      const sense = parseSense(Buffer.from([code, ...bytes]));
      assert.ok(sense === null || (sense.key >= 0 && sense.key <= 15));
    }),
  );
});
