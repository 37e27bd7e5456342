// A disk in memory: the ramdisk backstore, and the device of most tests.
import { BufferPool } from '../util/ref-buffer.js';
import {
  type BlockDevice,
  BlockFlag,
  BlockOp,
  type BlockRequest,
  BlockStatus,
  type ByteRange,
  type Extent,
} from './block-device.js';
import { checkRequest } from './check-request.js';

export interface MemoryDeviceOptions {
  /** Bytes, a multiple of `blockSize`. Memory is taken only for what is written. */
  readonly sizeBytes: number;
  readonly blockSize?: number;
  readonly physicalBlockSize?: number;
  readonly readOnly?: boolean;
  /** What the device says about itself; memory keeps nothing over a restart either way. Default false. */
  readonly writeCache?: boolean;
  /** Where the bytes of reads are lent from. */
  readonly pool?: BufferPool;
}

const CHUNK = 65_536;
const PIECE = 262_144;

/** Memory in chunks of 64 KiB that exist from the first write to the trim of all of it. Completes within `submit`. */
export class MemoryDevice implements BlockDevice {
  readonly blockSize: number;
  readonly physicalBlockSize: number;
  readonly optimalIoSize = 0;
  readonly maxTransfer = 2 ** 25;
  readonly readOnly: boolean;
  readonly writeCache: boolean;
  readonly writeLosses = 0;
  readonly canTrim = true;
  readonly canWriteZeroes = true;
  readonly #pool: BufferPool;
  readonly #chunks = new Map<number, Buffer>();
  #sizeBytes: number;
  #closed = false;

  constructor(options: MemoryDeviceOptions) {
    this.blockSize = options.blockSize ?? 512;
    this.physicalBlockSize = options.physicalBlockSize ?? this.blockSize;
    this.readOnly = options.readOnly ?? false;
    this.writeCache = options.writeCache ?? false;
    this.#pool = options.pool ?? new BufferPool();
    this.#sizeBytes = options.sizeBytes - (options.sizeBytes % this.blockSize);
  }
  get sizeBytes(): number {
    return this.#sizeBytes;
  }
  /** Bytes of memory behind the disk now. */
  get allocatedBytes(): number {
    return this.#chunks.size * CHUNK;
  }
  /** Makes the disk larger. `sizeBytes` is rounded down to whole blocks; a disk never shrinks. */
  grow(sizeBytes: number): void {
    this.#sizeBytes = Math.max(this.#sizeBytes, sizeBytes - (sizeBytes % this.blockSize));
  }

  submit(request: BlockRequest): void {
    const status = this.#closed ? BlockStatus.Eshutdown : checkRequest(this, request);
    request.onDone(status === BlockStatus.Ok ? this.#run(request) : status);
  }
  async allocation({ offset, length }: ByteRange, most: number): Promise<readonly Extent[]> {
    const extents: Extent[] = [];
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const hole = !this.#chunks.has(Math.floor(at / CHUNK));
      const next = Math.min(end, at - (at % CHUNK) + CHUNK);
      const last = extents.at(-1);
      if (last?.hole === hole) extents[extents.length - 1] = { ...last, length: last.length + next - at };
      else if (extents.length === most) break;
      else extents.push({ length: next - at, hole, zero: hole });
      at = next;
    }
    return extents;
  }
  close(): Promise<void> {
    this.#closed = true;
    this.#chunks.clear();
    return Promise.resolve();
  }

  #run(request: BlockRequest): BlockStatus {
    switch (request.op) {
      case BlockOp.Read:
        this.#read(request);
        return BlockStatus.Ok;
      case BlockOp.Write:
        return this.#write(request.offset, request.payload ?? Buffer.alloc(0));
      case BlockOp.WriteZeroes:
        if ((request.flags & BlockFlag.NoHole) !== 0) return this.#provision(request);
        this.#clear(request.offset, request.length);
        return BlockStatus.Ok;
      case BlockOp.Trim:
        this.#clear(request.offset, request.length);
        return BlockStatus.Ok;
      case BlockOp.Flush:
        return BlockStatus.Ok;
    }
  }
  // A copy, not a view of the chunk: the bytes may wait in a socket's queue while the next write changes the chunk, and
  // a digest already computed over them would then be wrong.
  #read(request: BlockRequest): void {
    for (let at = 0; at < request.length; at += PIECE) {
      const length = Math.min(PIECE, request.length - at);
      const owner = this.#pool.take(length);
      const piece = owner.buffer.subarray(0, length);
      this.#copyOut(request.offset + at, piece);
      request.onData(piece, at, owner);
      owner.release();
    }
  }
  #copyOut(offset: number, into: Buffer): void {
    for (let done = 0; done < into.length; ) {
      const within = (offset + done) % CHUNK;
      const length = Math.min(CHUNK - within, into.length - done);
      const chunk = this.#chunks.get((offset + done - within) / CHUNK);
      if (chunk) chunk.copy(into, done, within, within + length);
      else into.fill(0, done, done + length);
      done += length;
    }
  }
  #write(offset: number, bytes: Buffer): BlockStatus {
    for (let done = 0; done < bytes.length; ) {
      const within = (offset + done) % CHUNK;
      const length = Math.min(CHUNK - within, bytes.length - done);
      const chunk = this.#chunkAt((offset + done - within) / CHUNK);
      if (!chunk) return BlockStatus.Enospc;
      bytes.copy(chunk, within, done, done + length);
      done += length;
    }
    return BlockStatus.Ok;
  }
  /** Zeroes that stay allocated, so that no later write there can fail for want of memory. */
  #provision({ offset, length, flags }: BlockRequest): BlockStatus {
    if ((flags & BlockFlag.FastZero) !== 0) return BlockStatus.Enotsup;
    for (let at = offset; at < offset + length; ) {
      const chunk = this.#chunkAt(Math.floor(at / CHUNK));
      if (!chunk) return BlockStatus.Enospc;
      const end = Math.min(offset + length, at - (at % CHUNK) + CHUNK);
      chunk.fill(0, at % CHUNK, ((end - 1) % CHUNK) + 1);
      at = end;
    }
    return BlockStatus.Ok;
  }
  /** The chunk, made if need be; null when there is no memory left for it. */
  #chunkAt(index: number): Buffer | null {
    const present = this.#chunks.get(index);
    if (present) return present;
    try {
      const made = Buffer.alloc(CHUNK);
      this.#chunks.set(index, made);
      return made;
    } catch {
      return null;
    }
  }
  // A range of many chunks may be far larger than what is allocated: walk whichever is shorter.
  #clear(offset: number, length: number): void {
    const end = offset + length;
    const first = Math.floor(offset / CHUNK);
    const last = Math.ceil(end / CHUNK) - 1;
    if (last - first < this.#chunks.size) {
      for (let index = first; index <= last; index++) this.#clearChunk(index, offset, end);
    } else {
      for (const index of [...this.#chunks.keys()]) this.#clearChunk(index, offset, end);
    }
  }
  #clearChunk(index: number, offset: number, end: number): void {
    const from = Math.max(0, offset - index * CHUNK);
    const to = Math.min(CHUNK, end - index * CHUNK);
    if (from >= to) return;
    if (to - from === CHUNK) this.#chunks.delete(index);
    else this.#chunks.get(index)?.fill(0, from, to);
  }
}
