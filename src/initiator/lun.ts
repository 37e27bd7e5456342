// A logical unit as a BlockDevice: reads, writes and the rest become SCSI commands of a session (SBC-3 §5).
import { type BlockDevice, BlockFlag, BlockOp, type BlockRequest, BlockStatus } from '../block/block-device.js';
import { checkRequest } from '../block/check-request.js';
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
import { Gate, type SessionMember } from './gate.js';
import type { DiskInfo, LunInfo } from './probe.js';
import type { InitiatorSession } from './session.js';
import type { Task, TaskOwner } from './tasks.js';
import { backoffMs, judge, MOST_RETRIES, type Verdict } from './verdict.js';

/** Largest request in bytes: as NBD's largest. A request above the unit's own limit becomes several commands. */
const MOST_TRANSFER = 2 ** 25;
/** Most blocks of a command with a 10-byte CDB. */
const MOST_BLOCKS_10 = 0xffff;
/** Blocks that one WRITE SAME or UNMAP covers where the unit states no limit, so that it ends within its time. */
const MOST_BLOCKS_SAME = 0x1_0000;
const MOST_BLOCKS_UNMAP = 0x40_0000;
/** What WRITE ZEROES writes where the unit knows no WRITE SAME. */
const ZEROS = Buffer.alloc(2 ** 20);

const Phase = {
  /** The request's own commands. */
  Main: 0,
  /** SYNCHRONIZE CACHE after a change that has to be stable, for a unit without FUA. */
  Stabilize: 1,
} as const;

export interface LunOptions {
  /** Refuse every change, whatever the unit says. */
  readonly readOnly?: boolean;
}

export class Lun implements BlockDevice, TaskOwner, SessionMember {
  readonly info: LunInfo;
  readonly gate = new Gate();
  readonly #session: InitiatorSession;
  readonly #disk: DiskInfo;
  /** Bytes of one READ or WRITE. */
  readonly #commandBytes: number;
  readonly #idle: (() => void)[] = [];
  #writeSame: boolean;
  /** A write that had been acknowledged has failed later: the next FLUSH must say so. */
  #lostWrite = false;
  #inFlight = 0;
  #closed = false;
  readonly readOnly: boolean;
  readonly maxTransfer = MOST_TRANSFER;
  /** Bytes read and written since the LUN was opened. */
  readBytes = 0;
  writtenBytes = 0;
  /** Changes acknowledged so far, how many of them a FLUSH has covered, and what each FLUSH under way will cover. */
  #changes = 0;
  #stableChanges = 0;
  readonly #flushing = new Map<Task, number>();

  /** A unit whose `info.disk` is null is no disk, and a misuse. */
  constructor(session: InitiatorSession, info: LunInfo, options: LunOptions = {}) {
    if (info.disk === null) throw new Error(`LUN ${info.lun} is no disk`);
    this.info = info;
    this.#session = session;
    this.#disk = info.disk;
    this.readOnly = options.readOnly === true || info.disk.readOnly;
    this.#writeSame = !info.disk.use10 && (info.disk.thin.writeSameUnmap || info.disk.thin.maxWriteSameBlocks > 0);
    const most = info.disk.use10 ? MOST_BLOCKS_10 * info.disk.blockSize : MOST_TRANSFER;
    this.#commandBytes = Math.min(most, MOST_TRANSFER, info.disk.maxTransfer || MOST_TRANSFER);
    session.join(this);
  }
  get sizeBytes(): number {
    return this.#disk.blocks * this.#disk.blockSize;
  }
  get blockSize(): number {
    return this.#disk.blockSize;
  }
  get physicalBlockSize(): number {
    return this.#disk.physicalBlockSize;
  }
  get optimalIoSize(): number {
    return this.#disk.optimalIoSize;
  }
  get writeCache(): boolean {
    return this.#disk.writeCache;
  }
  get canTrim(): boolean {
    return this.#disk.thin.unmap || this.#canUnmapBySame;
  }
  /** Always: where the unit cannot, zeros are written, which still saves them the way to us. */
  readonly canWriteZeroes = true;

  submit(request: BlockRequest): void {
    const status = this.#closed ? BlockStatus.Eshutdown : this.#check(request);
    if (status !== BlockStatus.Ok) {
      request.onDone(status);
      return;
    }
    if (request.length === 0 && request.op !== BlockOp.Flush) {
      request.onDone(BlockStatus.Ok);
      return;
    }
    const task = this.#session.take(this);
    if (task === null) {
      request.onDone(BlockStatus.Enomem);
      return;
    }
    this.#inFlight++;
    if (request.op === BlockOp.Flush) this.#flushing.set(task, this.#changes);
    task.request = request;
    task.lun = this.info.address;
    task.gate = this.gate;
    task.timeoutMs = this.#session.environment.timers.commandTimeoutMs;
    this.#issue(task, request);
  }
  /** Whether changes have been acknowledged that only the unit's cache may hold. */
  get unflushed(): boolean {
    return this.writeCache && this.#changes > this.#stableChanges;
  }
  /** Resolves when the requests in flight have ended. */
  close(): Promise<void> {
    this.#closed = true;
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  onReconnected(): void {
    this.#session.resume(this.gate);
  }
  onTaskData(task: Task, piece: Buffer, at: number, owner: RefBuffer | null): void {
    task.request?.onData(piece, task.progress + at, owner);
  }
  onTaskDone(task: Task): void {
    const request = task.request;
    if (request === null) throw new Error('a task of no request');
    const verdict = judge(task);
    if (verdict.kind === 'unit-attention' && verdict.sense !== null) {
      this.#session.noteUnitAttention(this.info.address, verdict.sense);
    }
    if (verdict.retry !== 'no' && task.retries < MOST_RETRIES) {
      this.#again(task, verdict);
      return;
    }
    if (verdict.kind === 'deferred') this.#lostWrite = true;
    if (verdict.status !== BlockStatus.Ok) {
      this.#failed(task, request, verdict);
      return;
    }
    if (this.#isAmiss(task, request)) {
      this.#end(task, request, BlockStatus.Eio);
      return;
    }
    this.#advance(task, request);
  }

  #check(request: BlockRequest): BlockStatus {
    const status = checkRequest(this, request);
    if (status !== BlockStatus.Ok) return status;
    if (request.op === BlockOp.Trim && !this.canTrim) return BlockStatus.Enotsup;
    const zeroesSlowly = request.op === BlockOp.WriteZeroes && !this.#writeSame;
    return zeroesSlowly && (request.flags & BlockFlag.FastZero) !== 0 ? BlockStatus.Enotsup : BlockStatus.Ok;
  }
  #again(task: Task, verdict: Verdict): void {
    const retry = task.retries++;
    if (verdict.retry === 'now') this.#session.start(task);
    else this.#session.startLater(task, backoffMs(retry));
  }
  /** A command of a request has succeeded: the next one, the cache, or the end. */
  #advance(task: Task, request: BlockRequest): void {
    if (task.phase === Phase.Stabilize || request.op === BlockOp.Flush) {
      this.#end(task, request, BlockStatus.Ok);
      return;
    }
    task.progress += task.step;
    task.delivered = 0;
    task.retries = 0;
    if (task.progress < request.length) {
      this.#issue(task, request);
      return;
    }
    if (!this.#mustStabilize(request)) {
      this.#end(task, request, BlockStatus.Ok);
      return;
    }
    task.phase = Phase.Stabilize;
    this.#putSynchronize(task);
    this.#session.start(task);
  }
  /** WRITE has a FUA bit where the unit says so; UNMAP and WRITE SAME have none. Without a cache there is nothing to do. */
  #mustStabilize(request: BlockRequest): boolean {
    if ((request.flags & BlockFlag.Fua) === 0 || !this.#disk.writeCache || request.op === BlockOp.Read) return false;
    return request.op !== BlockOp.Write || !this.#disk.dpofua;
  }
  #failed(task: Task, request: BlockRequest, verdict: Verdict): void {
    const unknown = verdict.kind === 'unsupported';
    const isSync = request.op === BlockOp.Flush || task.phase === Phase.Stabilize;
    // Some units without a cache do not know SYNCHRONIZE CACHE: everything is stable there already.
    if (isSync && unknown && !this.#disk.writeCache) {
      this.#end(task, request, BlockStatus.Ok);
      return;
    }
    if (request.op === BlockOp.WriteZeroes && this.#writeSame && (unknown || verdict.kind === 'invalid-field')) {
      this.#writeSame = false;
      if ((request.flags & BlockFlag.FastZero) !== 0) {
        this.#end(task, request, BlockStatus.Enotsup);
        return;
      }
      this.#issue(task, request);
      return;
    }
    // ENOTSUP is an answer to what is optional only.
    const optional = request.op === BlockOp.Trim || request.op === BlockOp.WriteZeroes;
    const vague = verdict.status === BlockStatus.Enotsup || verdict.status === BlockStatus.Einval;
    this.#end(task, request, vague && !(optional && !isSync) ? BlockStatus.Eio : verdict.status);
  }
  /** GOOD for less or for more than was asked for: the unit has shrunk, its blocks have another size, or it is wrong. */
  #isAmiss(task: Task, { op }: BlockRequest): boolean {
    if (task.phase !== Phase.Main) return false;
    if (op === BlockOp.Read) return task.received !== task.length || task.residual !== 0;
    if (op === BlockOp.Write && task.residual !== 0) return true;
    return (op === BlockOp.Write || op === BlockOp.WriteZeroes) && task.sent !== task.length;
  }
  #end(task: Task, request: BlockRequest, outcome: BlockStatus): void {
    const status = request.op === BlockOp.Flush ? this.#flushed(task, outcome) : outcome;
    this.#session.release(task);
    this.#inFlight--;
    if (status === BlockStatus.Ok && request.op === BlockOp.Read) this.readBytes += request.length;
    if (status === BlockStatus.Ok && request.op === BlockOp.Write) this.writtenBytes += request.length;
    const changes = request.op !== BlockOp.Read && request.op !== BlockOp.Flush;
    if (status === BlockStatus.Ok && changes && (request.flags & BlockFlag.Fua) === 0) this.#changes++;
    request.onDone(status);
    if (this.#inFlight === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
  #flushed(task: Task, status: BlockStatus): BlockStatus {
    const covered = this.#flushing.get(task) ?? 0;
    this.#flushing.delete(task);
    if (status === BlockStatus.Ok && !this.#lostWrite) this.#stableChanges = Math.max(this.#stableChanges, covered);
    if (!this.#lostWrite) return status;
    this.#lostWrite = false;
    return status === BlockStatus.Ok ? BlockStatus.Eio : status;
  }

  // Commands

  #issue(task: Task, request: BlockRequest): void {
    switch (request.op) {
      case BlockOp.Read:
        this.#putRead(task, request);
        break;
      case BlockOp.Write:
        this.#putWrite(task, request);
        break;
      case BlockOp.Flush:
        this.#putSynchronize(task);
        break;
      case BlockOp.Trim:
        this.#putTrim(task, request);
        break;
      case BlockOp.WriteZeroes:
        this.#putZeroes(task, request);
        break;
    }
    this.#session.start(task);
  }
  #putRead(task: Task, request: BlockRequest): void {
    const length = Math.min(request.length - task.progress, this.#commandBytes);
    const lba = (request.offset + task.progress) / this.#disk.blockSize;
    const blocks = length / this.#disk.blockSize;
    task.step = length;
    task.reads = true;
    task.length = length;
    if (this.#disk.use10) putRead10(task.cdb, 0, lba, blocks, 0);
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
    const lba = (request.offset + task.progress) / this.#disk.blockSize;
    const blocks = length / this.#disk.blockSize;
    const flags = (request.flags & BlockFlag.Fua) !== 0 && this.#disk.dpofua ? CdbFlag.Fua : 0;
    task.step = length;
    if (this.#disk.use10) putWrite10(task.cdb, 0, lba, blocks, flags);
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
  #putSynchronize(task: Task): void {
    this.#session.setPayload(task, null, null);
    task.length = 0;
    // LBA 0 and no blocks: the whole unit.
    if (this.#disk.use10) putSynchronizeCache10(task.cdb, 0);
    else putSynchronizeCache16(task.cdb, 0);
  }
  #putTrim(task: Task, request: BlockRequest): void {
    const { blockSize, thin } = this.#disk;
    const left = (request.length - task.progress) / blockSize;
    const lba = (request.offset + task.progress) / blockSize;
    if (!thin.unmap) {
      this.#putWriteSame(task, lba, left, CdbFlag.Unmap);
      return;
    }
    const blocks = Math.min(left, thin.maxUnmapBlocks || MOST_BLOCKS_UNMAP, MOST_BLOCKS_UNMAP);
    const list = Buffer.alloc(unmapListLength(1));
    putUnmapRange(list, 0, lba, blocks);
    task.step = blocks * blockSize;
    this.#session.setPayload(task, list, null);
    putUnmap(task.cdb, 0, list.length);
  }
  #putZeroes(task: Task, request: BlockRequest): void {
    const { blockSize } = this.#disk;
    const left = request.length - task.progress;
    if (this.#writeSame) {
      // Unmapped blocks stand for zeros only where the unit says that they read so.
      const mayUnmap = this.#canUnmapBySame && this.#disk.thin.readsZeros && (request.flags & BlockFlag.NoHole) === 0;
      const lba = (request.offset + task.progress) / blockSize;
      this.#putWriteSame(task, lba, left / blockSize, mayUnmap ? CdbFlag.Unmap : 0);
      return;
    }
    const length = Math.min(left, ZEROS.length, this.#commandBytes);
    this.#session.setPayload(task, ZEROS.subarray(0, length), null);
    this.#putWriteCdb(task, request, length);
  }
  #putWriteSame(task: Task, lba: number, left: number, flags: number): void {
    const { blockSize, thin } = this.#disk;
    const blocks = Math.min(left, thin.maxWriteSameBlocks || MOST_BLOCKS_SAME, MOST_BLOCKS_SAME);
    task.step = blocks * blockSize;
    this.#session.setPayload(task, ZEROS.subarray(0, blockSize), null);
    putWriteSame16(task.cdb, 0, lba, blocks, flags);
  }
  get #canUnmapBySame(): boolean {
    return this.#disk.thin.writeSameUnmap && !this.#disk.use10;
  }
}
