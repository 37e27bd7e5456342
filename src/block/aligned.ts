// Any byte range of a device, whatever its block size and largest transfer: for NBD clients that ignore block sizes
// (NBD proto.md "Size constraints": without negotiation a server should serve single bytes).
import type { RefBuffer } from '../util/ref-buffer.js';
import { clip } from './allocation.js';
import {
  type BlockDevice,
  BlockFlag,
  BlockOp,
  type BlockRequest,
  BlockStatus,
  type ByteRange,
  type Extent,
} from './block-device.js';
import { ForwardRequest } from './forward-request.js';
import { ForwardingDevice } from './forwarding-device.js';
import { BlockError, perform, readBytes, writeBytes, writeZeroes } from './promise.js';
import { type RangeHolder, RangeLock } from './range-lock.js';
import { SliceDevice } from './slice-device.js';

const views = new WeakMap<BlockDevice, AlignedDevice>();

/**
 * The one view of `device` that all its users share: a read-modify-write must know of everybody's writes, those too that
 * go to the whole disk beside a partition.
 */
export function anyRange(device: BlockDevice): AlignedDevice {
  const known = views.get(device);
  if (known) return known;
  const view =
    device instanceof SliceDevice ? anyRange(device.whole).sliced(device, device.start) : new AlignedDevice(device);
  views.set(device, view);
  return view;
}

/**
 * Serves requests of any alignment and length. Aligned ones within `maxTransfer` pass through (writes by a pooled stand-in);
 * a larger one is split, an unaligned write becomes read-modify-write of its first and last block. `blockSize` is that of
 * the device behind, where requests are fastest.
 */
export class AlignedDevice extends ForwardingDevice {
  readonly #lock: RangeLock;
  /** Where this device begins in what the lock counts. */
  readonly #base: number;
  readonly #free: LockedRequest[] = [];

  constructor(device: BlockDevice, lock = new RangeLock(), base = 0) {
    super(device);
    this.#lock = lock;
    this.#base = base;
  }
  /** A view of `slice`, which is this device from byte `start` on: under the same lock. */
  sliced(slice: BlockDevice, start: number): AlignedDevice {
    return new AlignedDevice(slice, this.#lock, this.#base + start);
  }

  submit(request: BlockRequest): void {
    const { op, offset, length } = request;
    if (op === BlockOp.Flush) {
      this.device.submit(request);
    } else if (!(offset >= 0 && length >= 0 && offset + length <= this.sizeBytes)) {
      request.onDone(BlockStatus.Einval);
    } else if (length === 0) {
      request.onDone(BlockStatus.Ok);
    } else if (op === BlockOp.Trim) {
      this.#trim(request);
    } else if (this.#fits(request)) {
      if (op === BlockOp.Read) this.device.submit(request);
      else this.#submitLocked(request, offset, length);
    } else {
      this.#slowly(request);
    }
  }

  override async allocation({ offset, length }: ByteRange, most: number): Promise<readonly Extent[]> {
    const { start, end } = this.#cover(offset, length);
    return clip(await super.allocation({ offset: start, length: end - start }, most), offset - start, length);
  }
  override prefetch({ offset, length }: ByteRange): void {
    const { start, end } = this.#cover(offset, length);
    if (start < end) super.prefetch({ offset: start, length: end - start });
  }

  #isAligned(n: number): boolean {
    return n % this.device.blockSize === 0;
  }
  #fits({ op, offset, length }: BlockRequest): boolean {
    if (!this.#isAligned(offset) || !this.#isAligned(length)) return false;
    return op === BlockOp.WriteZeroes || length <= this.device.maxTransfer;
  }
  #submitLocked(request: BlockRequest, offset: number, length: number): void {
    const locked = this.#free.pop() ?? new LockedRequest(this.device, this.#lock, this.#free);
    locked.start(request, offset, length, this.#base);
  }
  /** A hint: what is left of the range between block borders is given back. */
  #trim(request: BlockRequest): void {
    const { blockSize } = this.device;
    const start = Math.ceil(request.offset / blockSize) * blockSize;
    const end = Math.floor((request.offset + request.length) / blockSize) * blockSize;
    if (start < end) this.#submitLocked(request, start, end - start);
    else request.onDone(this.readOnly ? BlockStatus.Eperm : BlockStatus.Ok);
  }

  #slowly(request: BlockRequest): void {
    const work = request.op === BlockOp.Read ? this.#read(request) : this.#change(request);
    work.then(
      () => request.onDone(BlockStatus.Ok),
      (error: unknown) => request.onDone(error instanceof BlockError ? error.status : BlockStatus.Eio),
    );
  }

  async #read(request: BlockRequest): Promise<void> {
    const { offset, length } = request;
    const { start, end } = this.#cover(offset, length);
    const step = this.#largestStep();
    for (let at = start; at < end; at += step) {
      const operation = { op: BlockOp.Read, offset: at, length: Math.min(step, end - at) };
      await perform(
        this.device,
        operation,
        (piece, within, owner) => forwardPart(request, piece, at + within - offset, owner),
        (within) => request.onRewind?.(Math.max(0, at + within - offset)) ?? false,
      );
    }
  }

  async #change(request: BlockRequest): Promise<void> {
    const { op, offset, length, flags, payload } = request;
    if (this.readOnly) throw new BlockError(BlockStatus.Eperm, 'the disk is read-only');
    // Partly written edges are never faster than writing.
    if ((flags & BlockFlag.FastZero) !== 0) throw new BlockError(BlockStatus.Enotsup, 'zeroes not at block borders');
    if (op === BlockOp.Write && payload?.length !== length)
      throw new BlockError(BlockStatus.Einval, 'payload of another length');
    const holder = await this.#exclusive(offset, length);
    try {
      if (op === BlockOp.Write && payload) await this.#modify(offset, payload, flags);
      else await this.#zero(offset, length, flags);
    } finally {
      this.#lock.release(holder);
    }
  }
  /** Writes `bytes` at any offset. The caller holds the range. */
  async #modify(offset: number, bytes: Buffer, flags: number): Promise<void> {
    const { start, end } = this.#cover(offset, bytes.length);
    const { blockSize } = this.device;
    let whole = bytes;
    if (start !== offset || end !== offset + bytes.length) {
      whole = Buffer.allocUnsafe(end - start);
      const tail = end - blockSize;
      if (start !== offset) (await readBytes(this.device, start, blockSize)).copy(whole);
      const tailIsRead = tail === start && start !== offset;
      if (end !== offset + bytes.length && !tailIsRead) {
        (await readBytes(this.device, tail, blockSize)).copy(whole, tail - start);
      }
      bytes.copy(whole, offset - start);
    }
    const step = this.#largestStep();
    for (let at = 0; at < whole.length; at += step) {
      await writeBytes(this.device, start + at, whole.subarray(at, at + step), flags);
    }
  }
  /** Whole blocks by WRITE ZEROES, the edges by read-modify-write. The caller holds the range. */
  async #zero(offset: number, length: number, flags: number): Promise<void> {
    const { blockSize } = this.device;
    const end = offset + length;
    const firstWhole = Math.min(end, Math.ceil(offset / blockSize) * blockSize);
    const lastWhole = Math.max(firstWhole, Math.floor(end / blockSize) * blockSize);
    const writeFlags = flags & BlockFlag.Fua;
    if (firstWhole > offset) await this.#modify(offset, Buffer.alloc(firstWhole - offset), writeFlags);
    if (lastWhole > firstWhole) await writeZeroes(this.device, firstWhole, lastWhole - firstWhole, flags);
    if (end > lastWhole) await this.#modify(lastWhole, Buffer.alloc(end - lastWhole), writeFlags);
  }

  #cover(offset: number, length: number): { start: number; end: number } {
    const { blockSize } = this.device;
    return { start: offset - (offset % blockSize), end: Math.ceil((offset + length) / blockSize) * blockSize };
  }
  #largestStep(): number {
    const { maxTransfer, blockSize } = this.device;
    return Math.max(blockSize, maxTransfer - (maxTransfer % blockSize));
  }
  #exclusive(offset: number, length: number): Promise<RangeHolder> {
    const { start, end } = this.#cover(offset, length);
    return new Promise((resolve) => {
      const holder: RangeHolder = {
        rangeStart: this.#base + start,
        rangeEnd: this.#base + end,
        exclusive: true,
        rangeSlot: 0,
        onRange: () => resolve(holder),
      };
      this.#lock.acquire(holder);
    });
  }
}

/** Hands on the part of `piece` that `request` asked for; `at` counts from its offset and may be negative. */
function forwardPart(request: BlockRequest, piece: Buffer, at: number, owner: RefBuffer | null): void {
  const from = Math.max(0, -at);
  const to = Math.min(piece.length, request.length - at);
  if (from < to) request.onData(piece.subarray(from, to), at + from, owner);
}

/** A write, trim or write-zeroes of whole blocks: shares its range with its like, not with a read-modify-write. */
class LockedRequest extends ForwardRequest implements RangeHolder {
  rangeStart = 0;
  rangeEnd = 0;
  readonly exclusive = false;
  rangeSlot = 0;
  readonly #device: BlockDevice;
  readonly #lock: RangeLock;
  readonly #free: LockedRequest[];

  constructor(device: BlockDevice, lock: RangeLock, free: LockedRequest[]) {
    super();
    this.#device = device;
    this.#lock = lock;
    this.#free = free;
  }
  start(origin: BlockRequest, offset: number, length: number, base: number): void {
    this.stand(origin);
    this.offset = offset;
    this.length = length;
    this.rangeStart = base + offset;
    this.rangeEnd = base + offset + length;
    this.#lock.acquire(this);
  }
  onRange(): void {
    this.#device.submit(this);
  }
  override onDone(status: BlockStatus): void {
    const origin = this.leave();
    this.#lock.release(this);
    this.#free.push(this);
    origin.onDone(status);
  }
}
