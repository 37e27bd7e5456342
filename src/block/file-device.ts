// A regular file or a block device of this machine as a disk.
import { fdatasync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { AppError } from '../util/errors.js';
import { BufferPool } from '../util/ref-buffer.js';
import { findBadBlock } from './bad-block.js';
import {
  type BlockDevice,
  BlockFlag,
  BlockOp,
  type BlockRequest,
  BlockStatus,
  type ByteRange,
  type Extent,
} from './block-device.js';
import { blockGeometry } from './block-geometry.js';
import { checkRequest } from './check-request.js';
import { statusOfError } from './errno-status.js';
import { fileAllocation, nativeSeek, type Seek } from './file-allocation.js';
import { FileTask, type TaskHost } from './file-task.js';
import { HolePuncher, type PunchMethod, punchMethod } from './hole-puncher.js';
import { type BackingFile, openBackingFile } from './open-backing-file.js';
import { BlockError } from './promise.js';

export interface FileDeviceOptions {
  readonly readOnly?: boolean;
  /** A block device is opened exclusively though it is only read. Default: only where it is written. */
  readonly exclusive?: boolean;
  /** Logical block size of a regular file: 512 (default) or 4096. A block device states its own. */
  readonly blockSize?: 512 | 4096;
  /** Every write is on stable storage before it is acknowledged; `writeCache` is then false. Default false. */
  readonly writeThrough?: boolean;
  /** Where the bytes of reads are lent from. */
  readonly pool?: BufferPool;
  /** How holes are made; default: the best way that this machine has. */
  readonly punchMethod?: PunchMethod;
}

/** A disk backed by an open file. */
export interface FileDevice extends BlockDevice {
  readonly path: string;
  /** The open file, for locks; valid until `close`. */
  readonly fd: number;
  /** Behind it is a block device, not a regular file. */
  readonly onBlockDevice: boolean;
  /** Looks whether the file has grown; returns the size in bytes now in force. A disk never shrinks. */
  refreshSize(): Promise<number>;
}

/**
 * Opens `path`. A block device that is written to is opened exclusively, so a mounted one is refused.
 * Rejects with AppError: ERR_NOT_FOUND, ERR_ACCESS, ERR_BUSY (mounted or held), ERR_USAGE (neither file nor block device).
 */
export async function openFileDevice(path: string, options: FileDeviceOptions = {}): Promise<FileDevice> {
  const file = await openBackingFile(path, options);
  return new OpenFileDevice(path, file, options, options.punchMethod ?? (await punchMethod()), await nativeSeek());
}

class OpenFileDevice implements FileDevice, TaskHost {
  readonly path: string;
  readonly fd: number;
  readonly blockSize: number;
  readonly physicalBlockSize: number;
  readonly optimalIoSize: number;
  readonly maxTransfer = 2 ** 25;
  readonly readOnly: boolean;
  readonly writeCache: boolean;
  /** A failed fdatasync fails every later one as well, so nobody needs to be told by other means. */
  readonly writeLosses = 0;
  readonly canTrim: boolean;
  readonly canWriteZeroes = true;
  readonly inMemory: boolean;
  readonly onBlockDevice: boolean;
  readonly pool: BufferPool;
  readonly #handle: FileHandle;
  readonly #puncher: HolePuncher;
  readonly #smallestHole: number;
  readonly #seek: Seek | null;
  readonly #free: FileTask[] = [];
  #sizeBytes: number;
  #hasHoles = true;
  #inFlight = 0;
  #closing: Promise<void> | null = null;
  #idle: (() => void) | null = null;
  /** Tasks that the running fdatasync came too late for, and those that it serves. */
  #awaitingSync: FileTask[] = [];
  #syncing: FileTask[] | null = null;
  /** How the first failed fdatasync failed: the kernel has dropped the pages then, and a later success would be a lie. */
  #syncFailure: BlockStatus = BlockStatus.Ok;

  constructor(
    path: string,
    file: BackingFile,
    options: FileDeviceOptions,
    { punch, smallest }: PunchMethod,
    seek: Seek | null,
  ) {
    this.path = path;
    this.fd = file.handle.fd;
    this.blockSize = file.blockSize;
    this.physicalBlockSize = Math.max(file.blockSize, file.physicalBlockSize);
    this.optimalIoSize = file.optimalIoSize;
    this.readOnly = file.readOnly;
    this.writeCache = !(options.writeThrough ?? false);
    this.canTrim = file.canDiscard && !file.readOnly;
    this.inMemory = file.inMemory;
    this.pool = options.pool ?? new BufferPool();
    this.#handle = file.handle;
    this.onBlockDevice = file.isBlockDevice;
    this.#puncher = new HolePuncher(file.handle.fd, punch);
    this.#smallestHole = smallest;
    this.#seek = seek;
    this.#sizeBytes = file.sizeBytes;
  }
  get sizeBytes(): number {
    return this.#sizeBytes;
  }
  async refreshSize(): Promise<number> {
    const stats = await this.#handle.stat();
    const size = this.onBlockDevice ? (await blockGeometry(stats.rdev)).sizeBytes : stats.size;
    this.#sizeBytes = Math.max(this.#sizeBytes, size - (size % this.blockSize));
    return this.#sizeBytes;
  }

  submit(request: BlockRequest): void {
    const status = this.#closing ? BlockStatus.Eshutdown : checkRequest(this, request);
    if (status !== BlockStatus.Ok || (request.length === 0 && request.op !== BlockOp.Flush)) {
      request.onDone(status);
      return;
    }
    this.#inFlight++;
    const task = this.#free.pop() ?? new FileTask(this);
    task.start(request);
  }
  /** A block device of the kernel does not tell what is behind it. */
  async allocation(range: ByteRange, most: number): Promise<readonly Extent[]> {
    if (this.#closing) throw new BlockError(BlockStatus.Eshutdown, `${this.path} is closed`);
    const seek = this.onBlockDevice ? null : this.#seek;
    if (seek === null) throw new AppError('ERR_NOT_SUPPORTED', `nothing tells the holes of ${this.path}`);
    this.#inFlight++;
    try {
      return await fileAllocation(this.fd, range, most, this.blockSize, seek);
    } finally {
      this.#inFlight--;
      if (this.#inFlight === 0) this.#idle?.();
    }
  }
  firstBadBlock(range: ByteRange): Promise<number> {
    return findBadBlock(this, range);
  }
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }
  async #close(): Promise<void> {
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    await this.#handle.close();
  }

  written(task: FileTask, flags: number): void {
    if (this.writeCache && (flags & BlockFlag.Fua) === 0) this.finish(task, BlockStatus.Ok);
    else this.sync(task);
  }
  sync(task: FileTask): void {
    if (this.#syncFailure !== BlockStatus.Ok) {
      this.finish(task, this.#syncFailure);
      return;
    }
    this.#awaitingSync.push(task);
    if (!this.#syncing) this.#startSync();
  }
  #startSync(): void {
    const batch = this.#awaitingSync;
    this.#awaitingSync = [];
    this.#syncing = batch;
    fdatasync(this.fd, (error) => {
      this.#syncing = null;
      if (error) this.#syncFailure = statusOfError(error);
      // Before the batch is answered, so that what its answers bring about waits for another call.
      if (this.#awaitingSync.length > 0 && !error) this.#startSync();
      const failed = error ? this.#awaitingSync.splice(0) : [];
      for (const task of [...batch, ...failed]) this.finish(task, this.#syncFailure);
    });
  }
  punch(offset: number, length: number, done: (status: BlockStatus) => void): void {
    if (!this.#hasHoles || length < this.#smallestHole) {
      done(BlockStatus.Enotsup);
      return;
    }
    this.#puncher.add(offset, length, (status) => {
      if (status === BlockStatus.Enotsup) this.#hasHoles = false;
      done(status);
    });
  }
  finish(task: FileTask, status: BlockStatus): void {
    const request = task.leave();
    this.#free.push(task);
    this.#inFlight--;
    request.onDone(status);
    if (this.#inFlight === 0) this.#idle?.();
  }
}
