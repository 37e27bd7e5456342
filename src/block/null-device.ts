// A disk that keeps nothing: LIO's nullio, for measuring everything but the disk.
import { BufferPool } from '../util/ref-buffer.js';
import {
  type BlockDevice,
  BlockOp,
  type BlockRequest,
  BlockStatus,
  type ByteRange,
  type Extent,
} from './block-device.js';
import { checkRequest } from './check-request.js';
import type { MemoryDeviceOptions } from './memory-device.js';

const PIECE = 262_144;

/** Reads as zeros and swallows writes. Completes within `submit`. */
export class NullDevice implements BlockDevice {
  readonly blockSize: number;
  readonly physicalBlockSize: number;
  readonly optimalIoSize = 0;
  readonly maxTransfer = 2 ** 25;
  readonly readOnly: boolean;
  readonly writeCache = false;
  readonly writeLosses = 0;
  readonly canTrim = true;
  readonly canWriteZeroes = true;
  readonly #pool: BufferPool;
  #sizeBytes: number;
  #closed = false;

  constructor({ sizeBytes, blockSize = 512, readOnly = false, pool }: MemoryDeviceOptions) {
    this.blockSize = blockSize;
    this.physicalBlockSize = blockSize;
    this.readOnly = readOnly;
    this.#pool = pool ?? new BufferPool();
    this.#sizeBytes = sizeBytes - (sizeBytes % blockSize);
  }
  get sizeBytes(): number {
    return this.#sizeBytes;
  }
  /** Makes the disk larger. `sizeBytes` is rounded down to whole blocks; a disk never shrinks. */
  grow(sizeBytes: number): void {
    this.#sizeBytes = Math.max(this.#sizeBytes, sizeBytes - (sizeBytes % this.blockSize));
  }

  submit(request: BlockRequest): void {
    const status = this.#closed ? BlockStatus.Eshutdown : checkRequest(this, request);
    if (status === BlockStatus.Ok && request.op === BlockOp.Read) this.#read(request);
    request.onDone(status);
  }
  async allocation({ length }: ByteRange): Promise<readonly Extent[]> {
    return [{ length, hole: true, zero: true }];
  }
  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  #read(request: BlockRequest): void {
    for (let at = 0; at < request.length; at += PIECE) {
      const length = Math.min(PIECE, request.length - at);
      const owner = this.#pool.take(length);
      request.onData(owner.buffer.subarray(0, length).fill(0), at, owner);
      owner.release();
    }
  }
}
