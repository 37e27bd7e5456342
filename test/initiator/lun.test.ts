// Block requests as SCSI commands: which CDB, and in how many parts (SBC-3 §5). What each ending means: lun-endings.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockFlag, BlockOp, BlockStatus } from '../../src/block/block-device.js';
import type { DiskInfo } from '../../src/initiator/probe.js';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { type FakePair, fakeLun, fakePair, QUIET, start } from '../helpers/fake-pair.js';
import { type FakeTarget, ops } from '../helpers/fake-target.js';
import { pattern } from '../helpers/stream-core.js';
import { sense, trouble, yesMan } from './answers.js';

const THIN = { unmap: true, writeSameUnmap: true, readsZeros: true, maxUnmapBlocks: 0, maxWriteSameBlocks: 0 };
const PLAIN = { unmap: false, writeSameUnmap: false, readsZeros: false, maxUnmapBlocks: 0, maxWriteSameBlocks: 0 };

function cdbs(target: FakeTarget): Buffer[] {
  return target.all(Opcode.ScsiCommand).map(({ bhs }) => bhs.subarray(32, 48));
}
/** Runs one request to its end on a yes-man with this disk. */
function run(
  disk: Partial<DiskInfo>,
  op: BlockOp,
  offset: number,
  length: number,
  more: Parameters<typeof start>[4] = {},
): { pair: FakePair; status: BlockStatus | null } {
  const pair = fakePair({ onPdu: yesMan, disk: Buffer.alloc(0) }, QUIET);
  const request = start(fakeLun(pair, { blocks: 2 ** 24, ...disk }), op, offset, length, more);
  pair.rig.pump();
  return { pair, status: request.status };
}

test('READ(16) and WRITE(16) carry LBA and length; FUA where the unit has it', () => {
  const { pair } = run({}, BlockOp.Write, 512 * 0x12_3456, 1024, { payload: pattern(1024), flags: BlockFlag.Fua });
  assert.deepEqual(
    cdbs(pair.target).map((cdb) => cdb.toString('hex')),
    ['8a080000000000123456000000020000'],
  );
  const read = run({}, BlockOp.Read, 512, 512);
  assert.equal(cdbs(read.pair.target)[0]?.toString('hex'), '88000000000000000001000000010000');
});

test('FUA without DPOFUA becomes WRITE and SYNCHRONIZE CACHE; without a cache it is nothing', () => {
  const more = { payload: pattern(512), flags: BlockFlag.Fua };
  const cached = run({ dpofua: false }, BlockOp.Write, 0, 512, more);
  assert.deepEqual(ops(cached.pair.target), [ScsiOp.Write16, ScsiOp.SynchronizeCache16]);
  assert.equal(cached.status, BlockStatus.Ok);
  const through = run({ dpofua: false, writeCache: false }, BlockOp.Write, 0, 512, more);
  assert.deepEqual(ops(through.pair.target), [ScsiOp.Write16]);
});

test('a unit that knows READ CAPACITY(10) only gets 10-byte commands', () => {
  const disk = { use10: true, dpofua: true };
  assert.deepEqual(ops(run(disk, BlockOp.Read, 0, 512).pair.target), [ScsiOp.Read10]);
  assert.deepEqual(ops(run(disk, BlockOp.Write, 0, 512, { payload: pattern(512) }).pair.target), [ScsiOp.Write10]);
  assert.deepEqual(ops(run(disk, BlockOp.Flush, 0, 0).pair.target), [ScsiOp.SynchronizeCache10]);
  assert.deepEqual(ops(run(disk, BlockOp.Read, 0, 2 ** 25).pair.target), [ScsiOp.Read10, ScsiOp.Read10]);
});

test('a request above the limit of the unit becomes several commands, in order', () => {
  const { pair, status } = run({ maxTransfer: 65_536 }, BlockOp.Read, 0, 200 * 1024);
  assert.equal(status, BlockStatus.Ok);
  assert.deepEqual(
    cdbs(pair.target).map((cdb) => [Number(cdb.readBigUInt64BE(2)), cdb.readUInt32BE(10)]),
    [
      [0, 128],
      [128, 128],
      [256, 128],
      [384, 16],
    ],
  );
  const real = fakePair({}, QUIET);
  const payload = pattern(200 * 1024);
  const lun = fakeLun(real, { maxTransfer: 65_536 });
  const write = start(lun, BlockOp.Write, 512, payload.length, { payload });
  real.rig.pump();
  const read = start(lun, BlockOp.Read, 512, payload.length);
  real.rig.pump();
  assert.equal(write.status, BlockStatus.Ok);
  assert.ok(read.bytes.equals(payload));
  assert.equal(lun.readBytes, payload.length);
  assert.equal(lun.writtenBytes, payload.length);
});

test('TRIM is UNMAP with a list of one range, cut at the limits of the unit', () => {
  const { pair, status } = run({ thin: { ...THIN, maxUnmapBlocks: 1000 } }, BlockOp.Trim, 512 * 7, 512 * 2500);
  assert.equal(status, BlockStatus.Ok);
  const lists = pair.target
    .all(Opcode.ScsiCommand)
    .map(({ data }) => [data.length, Number(data.readBigUInt64BE(8)), data.readUInt32BE(16)]);
  assert.deepEqual(lists, [
    [24, 7, 1000],
    [24, 1007, 1000],
    [24, 2007, 500],
  ]);
  assert.deepEqual(ops(pair.target), [ScsiOp.Unmap, ScsiOp.Unmap, ScsiOp.Unmap]);
});

test('TRIM in several commands is cut where a granule of the unit ends', () => {
  const granule = { blocks: 8, alignment: 3 };
  const thin = { ...THIN, maxUnmapBlocks: 20, granule };
  const ranges = ({ pair }: { pair: FakePair }) =>
    pair.target.all(Opcode.ScsiCommand).map(({ data }) => [data.readUInt32BE(12), data.readUInt32BE(16)]);
  // Granules begin at 3, 11, 19, 27 …
  assert.deepEqual(ranges(run({ thin }, BlockOp.Trim, 5 * 512, 50 * 512)), [
    [5, 14],
    [19, 16],
    [35, 20],
  ]);
  const small = { ...THIN, maxUnmapBlocks: 4, granule };
  assert.deepEqual(ranges(run({ thin: small }, BlockOp.Trim, 0, 10 * 512)), [
    [0, 3],
    [3, 4],
    [7, 3],
  ]);
  const same = { ...THIN, unmap: false, maxWriteSameBlocks: 20, granule };
  const { pair } = run({ thin: same }, BlockOp.Trim, 5 * 512, 50 * 512);
  assert.deepEqual(
    cdbs(pair.target).map((cdb) => [cdb.readUInt32BE(6), cdb.readUInt32BE(10)]),
    [
      [5, 14],
      [19, 16],
      [35, 20],
    ],
  );
});

test('TRIM by WRITE SAME where that is all the unit has, and ENOTSUP where it has nothing', () => {
  const same = run({ thin: { ...THIN, unmap: false } }, BlockOp.Trim, 0, 4096);
  assert.equal(cdbs(same.pair.target)[0]?.toString('hex'), '93080000000000000000000000080000');
  assert.equal(run({ thin: PLAIN }, BlockOp.Trim, 0, 4096).status, BlockStatus.Enotsup);
});

test('TRIM and WRITE ZEROES with FUA end with SYNCHRONIZE CACHE', () => {
  const flags = BlockFlag.Fua;
  assert.deepEqual(ops(run({ thin: THIN }, BlockOp.Trim, 0, 4096, { flags }).pair.target), [
    ScsiOp.Unmap,
    ScsiOp.SynchronizeCache16,
  ]);
  assert.deepEqual(ops(run({ thin: THIN }, BlockOp.WriteZeroes, 0, 4096, { flags }).pair.target), [
    ScsiOp.WriteSame16,
    ScsiOp.SynchronizeCache16,
  ]);
});

test('WRITE ZEROES unmaps only where unmapped blocks read as zeros and holes are allowed', () => {
  const unmapBit = (thin: DiskInfo['thin'], flags: number): number => {
    const { pair } = run({ thin }, BlockOp.WriteZeroes, 0, 4096, { flags });
    assert.equal(ops(pair.target)[0], ScsiOp.WriteSame16);
    assert.ok(pair.target.all(Opcode.ScsiCommand)[0]?.data.equals(Buffer.alloc(512)), 'one block of zeros');
    return (cdbs(pair.target)[0]?.[1] ?? 0) & 0x08;
  };
  assert.equal(unmapBit(THIN, 0), 0x08);
  assert.equal(unmapBit(THIN, BlockFlag.NoHole), 0);
  assert.equal(unmapBit({ ...THIN, readsZeros: false }, 0), 0);
  assert.equal(unmapBit({ ...PLAIN, maxWriteSameBlocks: 100 }, 0), 0);
});

test('WRITE ZEROES writes zeros where the unit knows no WRITE SAME, unless that is too slow', () => {
  const pair = fakePair({}, QUIET);
  pair.target.disk.fill(0xff);
  const length = 2 ** 20 + 512;
  const zero = start(fakeLun(pair, { thin: PLAIN }), BlockOp.WriteZeroes, 512, length);
  pair.rig.pump();
  assert.equal(zero.status, BlockStatus.Ok);
  assert.deepEqual(ops(pair.target), [ScsiOp.Write16, ScsiOp.Write16]);
  assert.ok(pair.target.disk.subarray(512, 512 + length).equals(Buffer.alloc(length)));
  assert.equal(pair.target.disk[512 + length], 0xff);
  assert.equal(
    run({ thin: PLAIN }, BlockOp.WriteZeroes, 0, 4096, { flags: BlockFlag.FastZero }).status,
    BlockStatus.Enotsup,
  );
});

test('a unit that refuses WRITE SAME gets zeros written, from then on at once', () => {
  const pair = fakePair({ onPdu: trouble(sense(5, 0x20, 0)) }, QUIET);
  pair.target.disk.fill(0xff);
  const lun = fakeLun(pair, { thin: { ...PLAIN, writeSameUnmap: true } });
  for (const offset of [0, 8192]) {
    const zero = start(lun, BlockOp.WriteZeroes, offset, 4096);
    pair.rig.pump();
    assert.equal(zero.status, BlockStatus.Ok);
    assert.ok(pair.target.disk.subarray(offset, offset + 4096).equals(Buffer.alloc(4096)));
  }
  assert.deepEqual(ops(pair.target), [ScsiOp.WriteSame16, ScsiOp.Write16, ScsiOp.Write16]);
});

test('the driver is told when a command brings the deadline nearer', () => {
  const pair = fakePair({ window: 0 }, QUIET);
  assert.equal(pair.rig.session.deadline, undefined);
  const before = pair.rig.wakes;
  start(fakeLun(pair), BlockOp.Read, 0, 512);
  assert.equal(pair.rig.wakes, before + 1);
  assert.equal(pair.rig.session.deadline, pair.rig.clock.ms + 30_000);
  start(fakeLun(pair), BlockOp.Read, 0, 512);
  assert.equal(pair.rig.wakes, before + 1, 'a later deadline is no news');
});

test('what a read-only LUN, a bad range and a full table are told', () => {
  const pair = fakePair({ window: 0 }, QUIET);
  const lun = fakeLun(pair, { readOnly: true });
  for (const op of [BlockOp.Write, BlockOp.Trim, BlockOp.WriteZeroes]) {
    assert.equal(start(lun, op, 0, 512, { payload: pattern(512) }).status, BlockStatus.Eperm);
  }
  assert.equal(start(lun, BlockOp.Read, 2 ** 24, 512).status, BlockStatus.Einval);
  assert.equal(start(lun, BlockOp.Read, 1, 512).status, BlockStatus.Einval);
  const waiting = Array.from({ length: 16_384 }, () => start(lun, BlockOp.Read, 0, 512));
  assert.equal(start(lun, BlockOp.Read, 0, 512).status, BlockStatus.Enomem);
  pair.rig.link.close('over');
  assert.ok(waiting.every(({ status }) => status === BlockStatus.Eio));
  assert.equal(pair.rig.session.tasksInUse, 0);
});
