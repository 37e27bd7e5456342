import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as block from '../../src/scsi/cdb.js';
import { cdbBlocks, cdbDpo, cdbFua, cdbLba, cdbProtect, isRead, isWrite } from '../../src/scsi/cdb-fields.js';
import { type BlockCdb, type Cdb, isBlockCdb, isBlockCommand, parseCdb } from '../../src/scsi/cdb-parse.js';
import * as primary from '../../src/scsi/cdb-primary.js';
import { CheckCondition } from '../../src/scsi/check-condition.js';
import { cdbLength, commandName, ScsiOp } from '../../src/scsi/opcodes.js';
import { OUT_OF_RANGE } from '../../src/scsi/u64.js';
import { ProtocolError } from '../../src/util/errors.js';
import { hammer, hex, valueOrProtocolError } from './hostile.js';

const { CdbFlag } = block;

type Put = (b: Buffer, at: number) => void;

const PLAIN = {
  outBlocks: 0,
  protect: 0,
  dpo: false,
  fua: false,
  byteCheck: 0,
  immediate: false,
  unmap: false,
  anchor: false,
  noDataOut: false,
} as const;

type BlockFields = Pick<BlockCdb, 'kind' | 'opcode' | 'lba' | 'blocks'> & Partial<BlockCdb>;
const cmd = (fields: BlockFields): BlockCdb => ({ ...PLAIN, ...fields });

// Name, the CDB as recorded or as the clause lays it out, the builder, what the target reads.
const VECTORS: readonly [string, string, Put, Cdb][] = [
  // From captures of Linux (sd, udev) with LIO, tgt and istgt.
  [
    'READ(10) recorded',
    '280000001f4000000800000000000000',
    (b, at) => block.putRead10(b, at, 8000, 8, 0),
    cmd({ kind: 'read', opcode: 0x28, lba: 8000, blocks: 8 }),
  ],
  [
    'WRITE(10) recorded',
    '2a000000080000040000000000000000',
    (b, at) => block.putWrite10(b, at, 2048, 1024, 0),
    cmd({ kind: 'write', opcode: 0x2a, lba: 2048, blocks: 1024, outBlocks: 1024 }),
  ],
  [
    'SYNCHRONIZE CACHE(10) recorded',
    '35000000000000000000000000000000',
    (b, at) => block.putSynchronizeCache10(b, at),
    cmd({ kind: 'synchronize-cache', opcode: 0x35, lba: 0, blocks: 0 }),
  ],
  [
    'READ CAPACITY(16) recorded',
    '9e100000000000000000000000200000',
    (b, at) => block.putReadCapacity16(b, at),
    { kind: 'read-capacity-16', allocationLength: 32 },
  ],
  [
    'INQUIRY recorded',
    '12000000240000000000000000000000',
    (b, at) => primary.putInquiry(b, at, null, 36),
    { kind: 'inquiry', page: null, allocationLength: 36 },
  ],
  [
    'INQUIRY of VPD 83h recorded',
    '12018300c00000000000000000000000',
    (b, at) => primary.putInquiry(b, at, 0x83, 192),
    { kind: 'inquiry', page: 0x83, allocationLength: 192 },
  ],
  [
    'TEST UNIT READY recorded',
    '00000000000000000000000000000000',
    (b, at) => primary.putTestUnitReady(b, at),
    { kind: 'test-unit-ready' },
  ],
  [
    'REPORT LUNS recorded',
    'a0000000000000001000000000000000',
    (b, at) => primary.putReportLuns(b, at, 4096),
    { kind: 'report-luns', selectReport: 0, allocationLength: 4096 },
  ],
  [
    'MODE SENSE(6) of all pages recorded',
    '1a003f00040000000000000000000000',
    (b, at) => primary.putModeSense6(b, at, { page: 0x3f }, 4),
    {
      kind: 'mode-sense',
      size: 6,
      page: 0x3f,
      subpage: 0,
      pageControl: 0,
      noBlockDescriptor: false,
      longLba: false,
      allocationLength: 4,
    },
  ],
  [
    'REPORT SUPPORTED OPERATION CODES recorded',
    'a30c011200000000000a000000000000',
    (b, at) => primary.putReportSupportedOpcodes(b, at, { kind: 'opcode', opcode: 0x12 }, 10),
    {
      kind: 'report-opcodes',
      query: { kind: 'opcode', opcode: 0x12 },
      lenient: false,
      timeouts: false,
      allocationLength: 10,
    },
  ],
  // By the clauses.
  [
    'READ(6)',
    '081234567f0000000000000000000000',
    (b, at) => block.putRead6(b, at, 0x123456, 127),
    cmd({ kind: 'read', opcode: 0x08, lba: 0x123456, blocks: 127 }),
  ],
  [
    'READ(6) of 256 blocks',
    '081fffff000000000000000000000000',
    (b, at) => block.putRead6(b, at, 0x1fffff, 256),
    cmd({ kind: 'read', opcode: 0x08, lba: 0x1fffff, blocks: 256 }),
  ],
  [
    'READ(12)',
    'a818ffffffff01020304000000000000',
    (b, at) => block.putRead12(b, at, 0xffffffff, 0x01020304, CdbFlag.Dpo | CdbFlag.Fua),
    cmd({ kind: 'read', opcode: 0xa8, lba: 0xffffffff, blocks: 0x01020304, dpo: true, fua: true }),
  ],
  [
    'READ(16)',
    '8808001fffffffffffffffffffff0000',
    (b, at) => block.putRead16(b, at, Number.MAX_SAFE_INTEGER, 0xffffffff, CdbFlag.Fua),
    cmd({ kind: 'read', opcode: 0x88, lba: Number.MAX_SAFE_INTEGER, blocks: 0xffffffff, fua: true }),
  ],
  [
    'WRITE(6)',
    '0a000001010000000000000000000000',
    (b, at) => block.putWrite6(b, at, 1, 1),
    cmd({ kind: 'write', opcode: 0x0a, lba: 1, blocks: 1, outBlocks: 1 }),
  ],
  [
    'WRITE(10) with FUA',
    '2a08fffffffe00ffff00000000000000',
    (b, at) => block.putWrite10(b, at, 0xfffffffe, 0xffff, CdbFlag.Fua),
    cmd({ kind: 'write', opcode: 0x2a, lba: 0xfffffffe, blocks: 0xffff, outBlocks: 0xffff, fua: true }),
  ],
  [
    'WRITE(12)',
    'aa100000000100000002000000000000',
    (b, at) => block.putWrite12(b, at, 1, 2, CdbFlag.Dpo),
    cmd({ kind: 'write', opcode: 0xaa, lba: 1, blocks: 2, outBlocks: 2, dpo: true }),
  ],
  [
    'WRITE(16)',
    '8a000000000100000002000000030000',
    (b, at) => block.putWrite16(b, at, 2 ** 32 + 2, 3, 0),
    cmd({ kind: 'write', opcode: 0x8a, lba: 2 ** 32 + 2, blocks: 3, outBlocks: 3 }),
  ],
  [
    'WRITE AND VERIFY(10)',
    '2e020000000100000200000000000000',
    (b, at) => block.putWriteAndVerify10(b, at, 1, 2, CdbFlag.ByteCheck),
    cmd({ kind: 'write-and-verify', opcode: 0x2e, lba: 1, blocks: 2, outBlocks: 2, byteCheck: 1 }),
  ],
  [
    'WRITE AND VERIFY(12)',
    'ae000000000100000002000000000000',
    (b, at) => block.putWriteAndVerify12(b, at, 1, 2, 0),
    cmd({ kind: 'write-and-verify', opcode: 0xae, lba: 1, blocks: 2, outBlocks: 2 }),
  ],
  [
    'WRITE AND VERIFY(16)',
    '8e100000000000000001000000020000',
    (b, at) => block.putWriteAndVerify16(b, at, 1, 2, CdbFlag.Dpo),
    cmd({ kind: 'write-and-verify', opcode: 0x8e, lba: 1, blocks: 2, outBlocks: 2, dpo: true }),
  ],
  [
    'VERIFY(10) of the medium only',
    '2f000000000100000200000000000000',
    (b, at) => block.putVerify10(b, at, 1, 2, 0),
    cmd({ kind: 'verify', opcode: 0x2f, lba: 1, blocks: 2 }),
  ],
  [
    'VERIFY(12) of all bytes',
    'af020000000100000002000000000000',
    (b, at) => block.putVerify12(b, at, 1, 2, CdbFlag.ByteCheck),
    cmd({ kind: 'verify', opcode: 0xaf, lba: 1, blocks: 2, outBlocks: 2, byteCheck: 1 }),
  ],
  [
    'VERIFY(16) with one block for all',
    '8f060000000000000001000000020000',
    (b, at) => block.putVerify16(b, at, 1, 2, CdbFlag.ByteCheckOne),
    cmd({ kind: 'verify', opcode: 0x8f, lba: 1, blocks: 2, outBlocks: 1, byteCheck: 3 }),
  ],
  [
    'PRE-FETCH(10)',
    '34020000000100000200000000000000',
    (b, at) => block.putPreFetch10(b, at, 1, 2, CdbFlag.Immediate),
    cmd({ kind: 'pre-fetch', opcode: 0x34, lba: 1, blocks: 2, immediate: true }),
  ],
  [
    'PRE-FETCH(16)',
    '90000000000000000001000000020000',
    (b, at) => block.putPreFetch16(b, at, 1, 2, 0),
    cmd({ kind: 'pre-fetch', opcode: 0x90, lba: 1, blocks: 2 }),
  ],
  [
    'SYNCHRONIZE CACHE(16)',
    '91020000000000000001000000020000',
    (b, at) => block.putSynchronizeCache16(b, at, 1, 2, CdbFlag.Immediate),
    cmd({ kind: 'synchronize-cache', opcode: 0x91, lba: 1, blocks: 2, immediate: true }),
  ],
  [
    'WRITE SAME(10) that unmaps',
    '41080000000100000200000000000000',
    (b, at) => block.putWriteSame10(b, at, 1, 2, CdbFlag.Unmap),
    cmd({ kind: 'write-same', opcode: 0x41, lba: 1, blocks: 2, outBlocks: 1, unmap: true }),
  ],
  [
    'WRITE SAME(16) anchoring without data',
    '93190000000000000001000000020000',
    (b, at) => block.putWriteSame16(b, at, 1, 2, CdbFlag.Unmap | CdbFlag.Anchor | CdbFlag.NoDataOut),
    cmd({ kind: 'write-same', opcode: 0x93, lba: 1, blocks: 2, unmap: true, anchor: true, noDataOut: true }),
  ],
  [
    'ORWRITE(16)',
    '8b080000000000000001000000020000',
    (b, at) => block.putOrWrite16(b, at, 1, 2, CdbFlag.Fua),
    cmd({ kind: 'or-write', opcode: 0x8b, lba: 1, blocks: 2, outBlocks: 2, fua: true }),
  ],
  [
    'COMPARE AND WRITE',
    '89080000000000000001000000020000',
    (b, at) => block.putCompareAndWrite(b, at, 1, 2, CdbFlag.Fua),
    cmd({ kind: 'compare-and-write', opcode: 0x89, lba: 1, blocks: 2, outBlocks: 4, fua: true }),
  ],
  [
    'UNMAP',
    '42010000000000001800000000000000',
    (b, at) => block.putUnmap(b, at, 24, true),
    { kind: 'unmap', anchor: true, parameterListLength: 24 },
  ],
  [
    'READ CAPACITY(10)',
    '25000000000000000000000000000000',
    (b, at) => block.putReadCapacity10(b, at),
    { kind: 'read-capacity-10' },
  ],
  [
    'GET LBA STATUS',
    '9e120000000100000000000002000000',
    (b, at) => block.putGetLbaStatus(b, at, 2 ** 32, 512),
    { kind: 'get-lba-status', lba: 2 ** 32, allocationLength: 512 },
  ],
  [
    'REQUEST SENSE',
    '03010000fc0000000000000000000000',
    (b, at) => primary.putRequestSense(b, at, 252, true),
    { kind: 'request-sense', descriptor: true, allocationLength: 252 },
  ],
  [
    'MODE SENSE(10)',
    '5a08c8020000000200 00 000000000000',
    (b, at) => primary.putModeSense10(b, at, { page: 8, subpage: 2, pageControl: 3, noBlockDescriptor: true }, 512),
    {
      kind: 'mode-sense',
      size: 10,
      page: 8,
      subpage: 2,
      pageControl: 3,
      noBlockDescriptor: true,
      longLba: false,
      allocationLength: 512,
    },
  ],
  [
    'MODE SELECT(6)',
    '15110000180000000000000000000000',
    (b, at) => primary.putModeSelect6(b, at, 24, true),
    { kind: 'mode-select', size: 6, pageFormat: true, save: true, parameterListLength: 24 },
  ],
  [
    'MODE SELECT(10)',
    '55100000000000011800000000000000',
    (b, at) => primary.putModeSelect10(b, at, 0x118),
    { kind: 'mode-select', size: 10, pageFormat: true, save: false, parameterListLength: 0x118 },
  ],
  [
    'START STOP UNIT',
    '1b010000030000000000000000000000',
    (b, at) => primary.putStartStopUnit(b, at, true, true, true),
    { kind: 'start-stop', start: true, loadEject: true, noFlush: false, immediate: true, powerCondition: 0 },
  ],
  [
    'PREVENT ALLOW MEDIUM REMOVAL',
    '1e000000010000000000000000000000',
    (b, at) => primary.putPreventAllow(b, at, true),
    { kind: 'prevent-allow', prevent: 1 },
  ],
  [
    'REPORT SUPPORTED OPERATION CODES, all with timeouts',
    'a30c800000000000200000000000 0000',
    (b, at) => primary.putReportSupportedOpcodes(b, at, { kind: 'all' }, 0x2000, true),
    { kind: 'report-opcodes', query: { kind: 'all' }, lenient: false, timeouts: true, allocationLength: 0x2000 },
  ],
  [
    'REPORT SUPPORTED OPERATION CODES by service action',
    'a30c029e00100000010000000000 0000',
    (b, at) =>
      primary.putReportSupportedOpcodes(b, at, { kind: 'service-action', opcode: 0x9e, serviceAction: 0x10 }, 256),
    {
      kind: 'report-opcodes',
      query: { kind: 'service-action', opcode: 0x9e, serviceAction: 0x10 },
      lenient: false,
      timeouts: false,
      allocationLength: 256,
    },
  ],
  [
    'REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS',
    'a30d0000000000000010000000000000',
    (b, at) => primary.putReportSupportedTmfs(b, at, 16),
    { kind: 'report-tmfs', extended: false, allocationLength: 16 },
  ],
  [
    'REPORT TARGET PORT GROUPS',
    'a30a0000000000000100000000000000',
    (b, at) => primary.putReportTargetPortGroups(b, at, 256),
    { kind: 'report-target-port-groups', extended: false, allocationLength: 256 },
  ],
  [
    'PERSISTENT RESERVE IN',
    '5e010000000000010000000000000000',
    (b, at) => primary.putPersistentReserveIn(b, at, 1, 256),
    { kind: 'persistent-reserve-in', serviceAction: 1, allocationLength: 256 },
  ],
  [
    'PERSISTENT RESERVE OUT',
    '5f010500000000001800000000000000',
    (b, at) => primary.putPersistentReserveOut(b, at, 1, 5),
    { kind: 'persistent-reserve-out', serviceAction: 1, scope: 0, type: 5, parameterListLength: 24 },
  ],
  [
    'RESERVE(6)',
    '16000000000000000000000000000000',
    (b, at) => primary.putReserve6(b, at),
    { kind: 'reserve', size: 6 },
  ],
  [
    'RELEASE(6)',
    '17000000000000000000000000000000',
    (b, at) => primary.putRelease6(b, at),
    { kind: 'release', size: 6 },
  ],
];

test('CDBs are built over a dirty buffer, at any place, and read back', async (t) => {
  for (const [name, text, put, expected] of VECTORS) {
    await t.test(name, () => {
      const b = Buffer.alloc(48, 0xa5);
      put(b, 32);
      assert.equal(b.toString('hex', 32), hex(text).toString('hex'));
      assert.deepEqual(b.subarray(0, 32), Buffer.alloc(32, 0xa5));
      assert.deepEqual(parseCdb(b, 32), expected);
    });
  }
});

test('only the bytes of the CDB itself are needed, and one less is a ProtocolError', () => {
  for (const [name, text, , expected] of VECTORS) {
    const length = cdbLength(hex(text).readUInt8(0));
    assert.deepEqual(parseCdb(Buffer.from(hex(text).subarray(0, length))), expected, name);
    assert.throws(() => parseCdb(Buffer.from(hex(text).subarray(0, length - 1))), ProtocolError, name);
  }
  assert.throws(() => parseCdb(Buffer.alloc(16), 16), ProtocolError);
  assert.throws(() => parseCdb(Buffer.alloc(16), 20), ProtocolError);
});

test('an LBA above 2^53 − 1 is out of every range, not rounded', () => {
  for (const [text, lba] of [
    ['8800 0020000000000000 00000001 0000', OUT_OF_RANGE],
    ['8a00 ffffffffffffffff 00000001 0000', OUT_OF_RANGE],
    ['8900 001fffffffffffff 00000001 0000', Number.MAX_SAFE_INTEGER],
    ['9e12 8000000000000000 00000001 0000', OUT_OF_RANGE],
  ] as const) {
    const cdb = parseCdb(hex(text));
    assert.ok('lba' in cdb);
    assert.equal(cdb.lba, lba);
    assert.equal(cdb.lba + 1 > 2 ** 40, true);
  }
});

test('protection information that is asked for is seen', () => {
  for (const text of ['2820 00000000 00 0001 00', '8aa0 0000000000000000 00000001 0000', `9360${'00'.repeat(14)}`]) {
    const cdb = parseCdb(hex(text));
    assert.ok(isBlockCdb(cdb));
    assert.equal(cdb.protect, hex(text).readUInt8(1) >> 5);
  }
});

test('fields that a CDB alone shows to be wrong end in CHECK CONDITION 05/24/00 with their place', () => {
  for (const [text, byte, bit] of [
    ['120080002400', 2, undefined],
    ['120200002400', 1, 1],
    ['a30c0700000000000000 0000', 2, 2],
    ['2f040000000000000100', 1, 2],
    ['8e04000000000000000000000001 0000', 1, 2],
  ] as const) {
    assert.throws(
      () => parseCdb(hex(text)),
      (error) => {
        assert.ok(error instanceof CheckCondition);
        const field = bit === undefined ? { inCdb: true, byte } : { inCdb: true, byte, bit };
        assert.deepEqual(error.sense, { key: 5, asc: 0x24, ascq: 0, field });
        return true;
      },
    );
  }
});

test('unknown commands keep their operation code and service action', () => {
  assert.deepEqual(parseCdb(hex('ff1f00000000')), { kind: 'unknown', opcode: 0xff, serviceAction: 0 });
  assert.deepEqual(parseCdb(hex(`9e1f${'00'.repeat(14)}`)), { kind: 'unknown', opcode: 0x9e, serviceAction: 0x1f });
  assert.deepEqual(parseCdb(hex(`a30f${'00'.repeat(10)}`)), { kind: 'unknown', opcode: 0xa3, serviceAction: 0x0f });
  assert.deepEqual(parseCdb(hex(`a400${'00'.repeat(10)}`)), { kind: 'unknown', opcode: 0xa4, serviceAction: 0 });
  assert.deepEqual(parseCdb(hex('7f0000000000')), { kind: 'unknown', opcode: 0x7f, serviceAction: 0 });
});

test('fields that no builder here writes are read', () => {
  const field = (text: string, name: string): unknown =>
    Object.entries(parseCdb(hex(text))).find(([k]) => k === name)?.[1];
  assert.equal(field('1a0000070000', 'subpage'), 7);
  assert.equal(field('1b000000f400', 'powerCondition'), 15);
  assert.equal(field('1b000000f400', 'noFlush'), true);
  assert.equal(field('1e0000000300', 'prevent'), 3);
  assert.equal(field('a32a0000000000000000 0000', 'extended'), true);
  assert.equal(field('a34a0000000000000000 0000', 'extended'), false);
  assert.equal(field('5f013500000000000018 00', 'scope'), 3);
  assert.equal(field('a30c039e0010 00000008 0000', 'lenient'), true);
  assert.equal(field('a00002000000 00000008 0000', 'selectReport'), 2);
});

test('RESERVE(10) and RELEASE(10) are told from the 6-byte ones', () => {
  assert.deepEqual(parseCdb(hex(`56${'00'.repeat(9)}`)), { kind: 'reserve', size: 10 });
  assert.deepEqual(parseCdb(hex(`57${'00'.repeat(9)}`)), { kind: 'release', size: 10 });
});

test('numbers that do not fit their field are refused as misuse', () => {
  const b = Buffer.alloc(16);
  assert.throws(() => block.putRead6(b, 0, 0x200000, 1), RangeError);
  assert.throws(() => block.putRead6(b, 0, 0, 257), RangeError);
  assert.throws(() => block.putRead6(b, 0, 0, 0), RangeError);
  assert.throws(() => block.putRead10(b, 0, 2 ** 32, 1, 0), RangeError);
  assert.throws(() => block.putWrite10(b, 0, 0, 65_536, 0), RangeError);
  assert.throws(() => block.putWrite16(b, 0, -1, 1, 0), RangeError);
  assert.throws(() => block.putWrite16(b, 0, 0, 2 ** 32, 0), RangeError);
  assert.throws(() => block.putCompareAndWrite(b, 0, 0, 256, 0), RangeError);
  assert.throws(() => primary.putInquiry(b, 0, null, 65_536), RangeError);
  assert.throws(() => primary.putModeSense6(b, 0, { page: 8 }, 256), RangeError);
});

const anyLba = fc.oneof(fc.maxSafeNat(), fc.nat({ max: 2 ** 22 }), fc.constantFrom(2 ** 32 - 1, 2 ** 32, 2 ** 52));
const flags = fc.constantFrom(0, CdbFlag.Fua, CdbFlag.Dpo, CdbFlag.Fua | CdbFlag.Dpo);

test('READ(16) and WRITE(16) round trip for every LBA and length', () => {
  fc.assert(
    fc.property(anyLba, fc.nat({ max: 0xffff_ffff }), flags, fc.boolean(), (lba, blocks, bits, write) => {
      const b = Buffer.alloc(20, 0xff);
      (write ? block.putWrite16 : block.putRead16)(b, 3, lba, blocks, bits);
      assert.equal(b.readUInt8(3), write ? ScsiOp.Write16 : ScsiOp.Read16);
      assert.equal(cdbLba(b, 3), lba);
      assert.equal(cdbBlocks(b, 3), blocks);
      assert.equal(cdbFua(b, 3), (bits & CdbFlag.Fua) !== 0);
      assert.equal(cdbDpo(b, 3), (bits & CdbFlag.Dpo) !== 0);
      assert.equal(cdbProtect(b, 3), 0);
      assert.equal(b.readUInt8(19), 0xff);
    }),
  );
});

test('READ(10) and WRITE(10) round trip for every LBA and length', () => {
  const lba32 = fc.nat({ max: 0xffff_ffff });
  fc.assert(
    fc.property(lba32, fc.nat({ max: 0xffff }), flags, fc.boolean(), (lba, blocks, bits, write) => {
      const b = Buffer.alloc(20, 0xff);
      (write ? block.putWrite10 : block.putRead10)(b, 3, lba, blocks, bits);
      assert.equal(cdbLba(b, 3), lba);
      assert.equal(cdbBlocks(b, 3), blocks);
      assert.equal(cdbFua(b, 3), (bits & CdbFlag.Fua) !== 0);
      assert.equal(cdbDpo(b, 3), (bits & CdbFlag.Dpo) !== 0);
    }),
  );
});

test('the fields in place and the parsed object agree on any CDB', () => {
  const opcodes = Array.from({ length: 256 }, (_, opcode) => opcode).filter(isBlockCommand);
  assert.equal(opcodes.length, 23);
  const rest = fc.uint8Array({ minLength: 15, maxLength: 15 });
  fc.assert(
    fc.property(fc.constantFrom(...opcodes), rest, (opcode, bytes) => {
      const b = Buffer.from([opcode, ...bytes]);
      const cdb = valueOrProtocolError(() => parseCdb(b));
      if (cdb instanceof CheckCondition) {
        assert.equal(b.readUInt8(1) & 0x06, 0x04); // BYTCHK 10b
        return;
      }
      assert.ok(!(cdb instanceof ProtocolError));
      assert.ok(isBlockCdb(cdb));
      assert.equal(cdb.opcode, opcode);
      assert.equal(cdb.lba, cdbLba(b, 0));
      assert.equal(cdb.blocks, cdbBlocks(b, 0));
      assert.equal(cdb.fua, cdbFua(b, 0));
      assert.equal(cdb.dpo, cdbDpo(b, 0));
      assert.equal(isRead(opcode), cdb.kind === 'read');
      assert.equal(isWrite(opcode), cdb.kind === 'write');
    }),
  );
});

test('every operation code with any bytes gives a value or a ProtocolError', () => {
  for (let opcode = 0; opcode < 256; opcode++) {
    for (let length = 0; length < 16; length++) {
      const b = Buffer.alloc(1 + length, 0xff);
      b[0] = opcode;
      try {
        parseCdb(b);
      } catch (error) {
        assert.ok(error instanceof ProtocolError, `${commandName(opcode)} of ${b.length} bytes`);
      }
    }
  }
  hammer(
    (data) => parseCdb(data),
    VECTORS.map(([, text]) => hex(text)),
  );
});

test('commands have the names of the standards', () => {
  assert.equal(commandName(ScsiOp.Read16), 'READ(16)');
  assert.equal(commandName(ScsiOp.ServiceActionIn16, 0x10), 'READ CAPACITY(16)');
  assert.equal(commandName(ScsiOp.ServiceActionIn16, 0x1f), 'SERVICE ACTION IN(16)');
  assert.equal(commandName(0xfe), 'operation code 0xfe');
});
