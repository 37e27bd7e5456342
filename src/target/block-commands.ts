// The commands of SBC-3 §5 beside READ and WRITE. None of them is hot, so each is a plain function, async where it waits.
import { BlockFlag, BlockOp, type Extent } from '../block/block-device.js';
import type { BlockCdb, PrimaryCdb } from '../scsi/cdb-parse.js';
import type { SpecialCdb } from '../scsi/cdb-special.js';
import {
  CheckCondition,
  invalidFieldInCdb,
  invalidFieldInParameterList,
  parameterListLengthError,
  Senses,
} from '../scsi/check-condition.js';
import { buildLbaStatus, type LbaRun, LbaStatus } from '../scsi/lba-status.js';
import { ScsiStatus } from '../scsi/status.js';
import { parseUnmapList } from '../scsi/unmap.js';
import { checkAborted, gather } from './gather.js';
import { LIMITS } from './limits.js';
import type { ScsiTask } from './scsi-task.js';
import type { Unit } from './unit.js';

type Done = Promise<undefined>;
type UnmapCdb = Extract<PrimaryCdb, { kind: 'unmap' }>;
type DefectCdb = Extract<SpecialCdb, { kind: 'read-defect-data' }>;
type LbaStatusCdb = Extract<PrimaryCdb, { kind: 'get-lba-status' }>;

/** Runs `change` while nothing else changes the disk. */
async function exclusively(unit: Unit, task: ScsiTask, change: () => Promise<void>): Promise<void> {
  await unit.gate.acquireExclusive();
  try {
    checkAborted(task);
    await change();
  } finally {
    unit.gate.releaseExclusive();
  }
}

/** The Data-Out, which must be as long as the CDB says; a short one would leave nobody sure what was changed. */
async function wholeData(task: ScsiTask, length: number): Promise<Buffer> {
  const data = await gather(task, length);
  if (data.length < length) throw invalidFieldInCdb('SBC-3 §5', 0);
  return data;
}

/** WRITE AND VERIFY: stable storage has taken the bytes, which is all that a file can verify (SBC-3 §5.40). */
export async function writeAndVerify(unit: Unit, task: ScsiTask, cdb: BlockCdb): Done {
  const offset = unit.checkRange(task.cdb, cdb.lba, cdb.blocks);
  if (cdb.byteCheck > 1) throw invalidFieldInCdb('SBC-3 §5.40', 1, 2);
  unit.checkWritable(task);
  const { blockSize } = unit.device;
  const data = await gather(task, cdb.blocks * blockSize);
  const whole = data.subarray(0, data.length - (data.length % blockSize));
  if (whole.length === 0) return;
  await exclusively(unit, task, () => unit.run(BlockOp.Write, offset, whole.length, whole));
  await unit.flushNow();
}

/** VERIFY: reads the medium; with BYTCHK 01b or 11b compares it with the Data-Out (SBC-3 §5.33). */
export async function verify(unit: Unit, task: ScsiTask, cdb: BlockCdb): Done {
  const offset = unit.checkRange(task.cdb, cdb.lba, cdb.blocks);
  if (cdb.byteCheck === 2) throw invalidFieldInCdb('SBC-3 §5.33', 1, 2);
  const { blockSize } = unit.device;
  const total = cdb.blocks * blockSize;
  const expected = await gather(task, cdb.outBlocks * blockSize);
  const end = cdb.byteCheck === 1 ? Math.min(total, expected.length) : total;
  for (let at = 0; at < end; at += LIMITS.chunk) {
    checkAborted(task);
    const actual = await unit.read(offset + at, Math.min(LIMITS.chunk, total - at));
    if (cdb.byteCheck !== 0) compare(actual, at, expected, cdb.byteCheck === 3 ? blockSize : null);
  }
}

/** Throws MISCOMPARE with the offset of the first difference. `repeat`: `expected` is one block for all of them. */
function compare(actual: Buffer, at: number, expected: Buffer, repeat: number | null): void {
  const length = repeat ?? Math.min(actual.length, expected.length - at);
  for (let from = 0; from < actual.length; from += length) {
    const wanted = repeat === null ? expected.subarray(at, at + length) : expected;
    const got = actual.subarray(from, from + wanted.length);
    if (!got.equals(wanted)) throw miscompare(at + from + firstDifference(got, wanted));
    if (repeat === null) return;
  }
}

function firstDifference(a: Buffer, b: Buffer): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

function miscompare(offset: number): CheckCondition {
  return new CheckCondition('SBC-3 §5.2', { ...Senses.MiscompareDuringVerify, information: offset });
}

/** COMPARE AND WRITE, SBC-3 §5.2: nothing else changes the disk between the two. */
export async function compareAndWrite(unit: Unit, task: ScsiTask, cdb: BlockCdb): Done {
  const offset = unit.checkRange(task.cdb, cdb.lba, cdb.blocks);
  if (cdb.blocks > LIMITS.compareAndWrite) throw invalidFieldInCdb('SBC-3 §5.2', 13);
  unit.checkWritable(task);
  const half = cdb.blocks * unit.device.blockSize;
  // Also where the count is 0, which compares nothing: data that nobody asked for is a mistake somewhere.
  if (task.dataOutLength !== 2 * half) throw invalidFieldInCdb('SBC-3 §5.2', 13);
  if (half === 0) return;
  const data = await wholeData(task, 2 * half);
  await exclusively(unit, task, async () => {
    const actual = await unit.read(offset, half);
    const expected = data.subarray(0, half);
    if (!actual.equals(expected)) throw miscompare(firstDifference(actual, expected));
    await unit.run(BlockOp.Write, offset, half, data.subarray(half));
  });
  if (unit.mustFlush(cdb.fua)) await unit.flushNow();
}

/** ORWRITE(16), SBC-3 §5.6. */
export async function orWrite(unit: Unit, task: ScsiTask, cdb: BlockCdb): Done {
  const offset = unit.checkRange(task.cdb, cdb.lba, cdb.blocks);
  unit.checkWritable(task);
  const total = cdb.blocks * unit.device.blockSize;
  if (total === 0) return;
  const data = await wholeData(task, total);
  await exclusively(unit, task, async () => {
    for (let at = 0; at < total; at += LIMITS.chunk) {
      const merged = await unit.read(offset + at, Math.min(LIMITS.chunk, total - at));
      for (let i = 0; i < merged.length; i++) merged[i] = (merged[i] ?? 0) | (data[at + i] ?? 0);
      await unit.run(BlockOp.Write, offset + at, merged.length, merged);
    }
  });
  if (unit.mustFlush(cdb.fua)) await unit.flushNow();
}

/** WRITE SAME, SBC-3 §5.45 ff.: one block for the whole range; zeros are left to the device, with UNMAP as holes. */
export async function writeSame(unit: Unit, task: ScsiTask, cdb: BlockCdb): Done {
  const { blockSize } = unit.device;
  const offset = unit.checkRange(task.cdb, cdb.lba, cdb.blocks, unit.features.maxWriteSameBlocks);
  // WSNZ is set: a count of 0 does not mean "to the end". ANCHOR is not offered. NDOB goes with UNMAP or alone.
  if (cdb.blocks === 0) throw invalidFieldInCdb('SBC-3 §5.45', cdb.opcode >> 5 === 4 ? 10 : 7);
  // Before what a file that is open for reading alone cannot do anyway: that it is protected says more.
  unit.checkWritable(task);
  if (cdb.anchor || (cdb.unmap && !unit.features.writeSameUnmap))
    throw invalidFieldInCdb('SBC-3 §5.45', 1, cdb.anchor ? 4 : 3);
  if (!cdb.noDataOut && task.dataOutLength !== blockSize) throw invalidFieldInCdb('SBC-3 §5.45', 0);
  const pattern = cdb.noDataOut ? Buffer.alloc(blockSize) : await gather(task, blockSize);
  const total = cdb.blocks * blockSize;
  await exclusively(unit, task, () => repeat(unit, offset, total, pattern, cdb.unmap));
  if (unit.mustFlush(false)) await unit.flushNow();
}

async function repeat(unit: Unit, offset: number, total: number, block: Buffer, unmap: boolean): Promise<void> {
  const zero = block.every((byte) => byte === 0);
  if (zero && unit.device.canWriteZeroes) {
    return unit.run(BlockOp.WriteZeroes, offset, total, undefined, unmap ? 0 : BlockFlag.NoHole);
  }
  const filled = Buffer.alloc(Math.min(total, LIMITS.chunk), block);
  for (let at = 0; at < total; at += filled.length) {
    const length = Math.min(filled.length, total - at);
    await unit.run(BlockOp.Write, offset + at, length, filled.subarray(0, length));
  }
}

/** SYNCHRONIZE CACHE, SBC-3 §5.22: the whole cache, whatever range is named. IMMED is refused: nobody would learn of an error. */
export async function synchronizeCache(unit: Unit, _task: ScsiTask, cdb: BlockCdb): Done {
  if (cdb.lba + cdb.blocks > unit.blocks) throw new CheckCondition('SBC-3 §5.22', Senses.LbaOutOfRange);
  await unit.flushNow();
}

/** PRE-FETCH, SBC-3 §5.10: the page cache decides for itself; CONDITION MET says that the blocks can be read. */
export function preFetch(unit: Unit, _task: ScsiTask, cdb: BlockCdb): number {
  if (cdb.lba + cdb.blocks > unit.blocks) throw new CheckCondition('SBC-3 §5.10', Senses.LbaOutOfRange);
  return ScsiStatus.ConditionMet;
}

/** UNMAP, SBC-3 §5.28: every range is checked before the first is given back. They read as zeros afterwards (LBPRZ). */
export async function unmap(unit: Unit, task: ScsiTask, cdb: UnmapCdb): Done {
  if (cdb.anchor) throw invalidFieldInCdb('SBC-3 §5.28', 1, 0);
  unit.checkWritable(task);
  const list = await gather(task, cdb.parameterListLength);
  if (list.length < cdb.parameterListLength) throw parameterListLengthError('SBC-3 §5.28');
  const ranges = parseUnmapList(list, unit.features.maxUnmapDescriptors);
  let blocks = 0;
  for (const range of ranges) {
    if (range.lba + range.blocks > unit.blocks) throw new CheckCondition('SBC-3 §5.28', Senses.LbaOutOfRange);
    blocks += range.blocks;
  }
  if (blocks > unit.features.maxUnmapBlocks) throw invalidFieldInParameterList('SBC-3 §5.28', 16);
  const { blockSize } = unit.device;
  await exclusively(unit, task, async () => {
    for (const range of ranges) {
      if (range.blocks > 0) await unit.run(BlockOp.WriteZeroes, range.lba * blockSize, range.blocks * blockSize);
    }
  });
  if (unit.mustFlush(false)) await unit.flushNow();
}

/**
 * WRITE ATOMIC(16), SBC-4 §5.42: all of it or nothing, in one piece and with no other change beside it. Offered only where the
 * device cannot keep or show half of a piece.
 */
export async function writeAtomic(unit: Unit, task: ScsiTask, cdb: BlockCdb): Done {
  const { blockSize } = unit.device;
  const offset = unit.checkRange(task.cdb, cdb.lba, cdb.blocks, LIMITS.atomicWrite / blockSize);
  // ATOMIC BOUNDARY: MAXIMUM ATOMIC TRANSFER LENGTH WITH ATOMIC BOUNDARY is 0.
  if (task.cdb.readUInt16BE(10) !== 0) throw invalidFieldInCdb('SBC-4 §5.42', 10);
  unit.checkWritable(task);
  const total = cdb.blocks * blockSize;
  if (total === 0) return;
  const data = await wholeData(task, total);
  await exclusively(unit, task, () => unit.run(BlockOp.Write, offset, total, data));
  if (unit.mustFlush(cdb.fua)) await unit.flushNow();
}

/**
 * GET LBA STATUS, SBC-3 §5.6: what the device knows of its holes; one that cannot tell has none. The runs may end before the
 * disk does.
 */
export async function getLbaStatus(unit: Unit, task: ScsiTask, cdb: LbaStatusCdb): Done {
  if (cdb.lba >= unit.blocks) throw new CheckCondition('SBC-3 §5.6', Senses.LbaOutOfRange);
  const { blockSize } = unit.device;
  const most = Math.min(LIMITS.lbaStatus, Math.max(1, Math.floor((cdb.allocationLength - 8) / 16)));
  const length = Math.min((unit.blocks - cdb.lba) * blockSize, LIMITS.lbaStatusBytes);
  const extents = await unit.allocation(cdb.lba * blockSize, length, most);
  reply(task, buildLbaStatus(lbaRuns(cdb.lba, blockSize, extents)), cdb.allocationLength);
}

/** Whole blocks: one that is a hole in part is mapped. */
function lbaRuns(first: number, blockSize: number, extents: readonly Extent[]): LbaRun[] {
  const runs: LbaRun[] = [];
  let at = 0;
  let lba = 0;
  for (const { length, hole } of extents) {
    at += length;
    const end = hole ? Math.floor(at / blockSize) : Math.ceil(at / blockSize);
    if (end <= lba) continue;
    runs.push({ lba: first + lba, blocks: end - lba, status: hole ? LbaStatus.Deallocated : LbaStatus.Mapped });
    lba = end;
  }
  return runs;
}

/** READ DEFECT DATA, SBC-3 §5.17: the lists that were asked for, which are empty: what is behind the disk mends itself. */
export function readDefectData(_unit: Unit, task: ScsiTask, cdb: DefectCdb): undefined {
  const header = Buffer.alloc(cdb.size === 10 ? 4 : 8);
  header[1] = cdb.lists;
  reply(task, header, cdb.allocationLength);
}

/** Sends parameter data, cut to the allocation length (SPC-4 §4.2.5.6). */
export function reply(task: ScsiTask, data: Buffer, allocationLength: number): void {
  const cut = data.subarray(0, allocationLength);
  task.expectData(cut.length);
  if (cut.length > 0) task.sendData(cut, null);
}
