// Which SCSI command a block request becomes, and how much of it one command covers (SBC-3 §5).
import { BlockFlag, BlockOp, type BlockRequest } from '../block/block-device.js';
import {
  CdbFlag,
  putRead10,
  putRead16,
  putSynchronizeCache10,
  putSynchronizeCache16,
  putUnmap,
  putWrite10,
  putWrite16,
  putWriteSame16,
} from '../scsi/cdb.js';
import { putUnmapRange, unmapListLength } from '../scsi/unmap.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import { COPY_LARGEST } from '../util/stream.js';
import type { DiskInfo } from './probe.js';
import type { InitiatorSession } from './session.js';
import type { Task } from './tasks.js';

/** Largest request in bytes: as NBD's largest. A request above the unit's own limit becomes several commands. */
export const MOST_TRANSFER = 2 ** 25;
/** Most blocks of a command with a 10-byte CDB. */
const MOST_BLOCKS_10 = 0xffff;
/** Blocks that one WRITE SAME or UNMAP covers where the unit states no limit, so that it ends within its time. */
const MOST_BLOCKS_SAME = 0x1_0000;
const MOST_BLOCKS_UNMAP = 0x40_0000;
/** What WRITE ZEROES writes where the unit knows no WRITE SAME. */
const ZEROS = Buffer.alloc(2 ** 20);

/** Fills tasks with the commands of one unit. What it says of itself may change: `disk` is set anew then. */
export class LunCommands {
  disk: DiskInfo;
  /** Whether WRITE ZEROES goes out as WRITE SAME(16). A unit that refuses it is not asked again. */
  writeSame: boolean;
  readonly #session: InitiatorSession;
  /** Bytes of one READ or WRITE. */
  readonly #commandBytes: number;

  constructor(session: InitiatorSession, disk: DiskInfo) {
    this.#session = session;
    this.disk = disk;
    this.writeSame = !disk.use10 && (disk.thin.writeSameUnmap || disk.thin.maxWriteSameBlocks > 0);
    const most = disk.use10 ? MOST_BLOCKS_10 * disk.blockSize : MOST_TRANSFER;
    this.#commandBytes = Math.min(most, MOST_TRANSFER, disk.maxTransfer || MOST_TRANSFER);
  }
  get canUnmapBySame(): boolean {
    return this.disk.thin.writeSameUnmap && !this.disk.use10;
  }

  /** The command for what is left of `request` after `task.progress` bytes; `task.step` says how much of it. */
  put(task: Task, request: BlockRequest): void {
    switch (request.op) {
      case BlockOp.Read:
        this.#putRead(task, request);
        break;
      case BlockOp.Write:
        this.#putWrite(task, request);
        break;
      case BlockOp.Flush:
        this.putSynchronize(task);
        break;
      case BlockOp.Trim:
        this.#putTrim(task, request);
        break;
      case BlockOp.WriteZeroes:
        this.#putZeroes(task, request);
        break;
    }
  }
  /** SYNCHRONIZE CACHE of the whole unit: LBA 0 and no blocks. */
  putSynchronize(task: Task): void {
    this.#session.setPayload(task, null, null);
    task.length = 0;
    if (this.disk.use10) putSynchronizeCache10(task.cdb, 0);
    else putSynchronizeCache16(task.cdb, 0);
  }

  #putRead(task: Task, request: BlockRequest): void {
    const { blockSize, use10 } = this.disk;
    const length = Math.min(request.length - task.progress, this.#commandBytes);
    const lba = (request.offset + task.progress) / blockSize;
    const blocks = length / blockSize;
    task.step = length;
    task.reads = true;
    task.length = length;
    if (use10) putRead10(task.cdb, 0, lba, blocks, 0);
    else putRead16(task.cdb, 0, lba, blocks, 0);
  }
  #putWrite(task: Task, request: BlockRequest): void {
    const length = Math.min(request.length - task.progress, this.#commandBytes);
    const payload = request.payload as Buffer;
    const part = length === payload.length ? payload : payload.subarray(task.progress, task.progress + length);
    this.#setPayload(task, part, request.payloadOwner);
    this.#putWriteCdb(task, request, length);
  }
  #putWriteCdb(task: Task, request: BlockRequest, length: number): void {
    const { blockSize, dpofua, use10 } = this.disk;
    const lba = (request.offset + task.progress) / blockSize;
    const blocks = length / blockSize;
    const flags = (request.flags & BlockFlag.Fua) !== 0 && dpofua ? CdbFlag.Fua : 0;
    task.step = length;
    if (use10) putWrite10(task.cdb, 0, lba, blocks, flags);
    else putWrite16(task.cdb, 0, lba, blocks, flags);
  }
  /**
   * Large parts go out by reference, and a target may end a command before it has taken them all: so bytes without an owner,
   * which are the caller's again after onDone, are copied.
   */
  #setPayload(task: Task, part: Buffer, owner: RefBuffer | null): void {
    if (owner !== null || part.length <= COPY_LARGEST) {
      this.#session.setPayload(task, part, owner);
      return;
    }
    const copy = this.#session.environment.pool.take(part.length);
    part.copy(copy.buffer);
    this.#session.setPayload(task, copy.buffer.subarray(0, part.length), copy);
    copy.release();
  }
  #putTrim(task: Task, request: BlockRequest): void {
    const { blockSize, thin } = this.disk;
    const left = (request.length - task.progress) / blockSize;
    const lba = (request.offset + task.progress) / blockSize;
    if (!thin.unmap) {
      this.#putWriteSame(task, lba, left, CdbFlag.Unmap);
      return;
    }
    const most = Math.min(left, thin.maxUnmapBlocks || MOST_BLOCKS_UNMAP, MOST_BLOCKS_UNMAP);
    const blocks = most < left ? this.#wholeGranules(lba, most) : most;
    const list = Buffer.alloc(unmapListLength(1));
    putUnmapRange(list, 0, lba, blocks);
    task.step = blocks * blockSize;
    this.#session.setPayload(task, list, null);
    putUnmap(task.cdb, 0, list.length);
  }
  #putZeroes(task: Task, request: BlockRequest): void {
    const { blockSize, thin } = this.disk;
    const left = request.length - task.progress;
    if (this.writeSame) {
      // Unmapped blocks stand for zeros only where the unit says that they read so.
      const mayUnmap = this.canUnmapBySame && thin.readsZeros && (request.flags & BlockFlag.NoHole) === 0;
      const lba = (request.offset + task.progress) / blockSize;
      this.#putWriteSame(task, lba, left / blockSize, mayUnmap ? CdbFlag.Unmap : 0);
      return;
    }
    const length = Math.min(left, ZEROS.length, this.#commandBytes);
    this.#session.setPayload(task, ZEROS.subarray(0, length), null);
    this.#putWriteCdb(task, request, length);
  }
  #putWriteSame(task: Task, lba: number, left: number, flags: number): void {
    const { blockSize, thin } = this.disk;
    const most = Math.min(left, thin.maxWriteSameBlocks || MOST_BLOCKS_SAME, MOST_BLOCKS_SAME);
    const blocks = most < left && (flags & CdbFlag.Unmap) !== 0 ? this.#wholeGranules(lba, most) : most;
    task.step = blocks * blockSize;
    this.#session.setPayload(task, ZEROS.subarray(0, blockSize), null);
    putWriteSame16(task.cdb, 0, lba, blocks, flags);
  }
  /** So many of `blocks` blocks that the next command begins with a granule: one that two commands share stays mapped. */
  #wholeGranules(lba: number, blocks: number): number {
    const { granule } = this.disk.thin;
    if (granule === undefined) return blocks;
    const over = (lba + blocks - granule.alignment) % granule.blocks;
    return over > 0 && over < blocks ? blocks - over : blocks;
  }
}
