// One request on its way to an NBD server, and what has come of its reply.
import { type BlockRequest, BlockStatus, type Extent } from '../../block/block-device.js';
import { ProtocolError } from '../../util/errors.js';
import type { BufferPool, RefBuffer } from '../../util/ref-buffer.js';
import { AllocationFlag, Command } from '../wire/constants.js';

/** Parts of one READ that may stand apart from each other at a time: real servers send them in order, or nearly so. */
const MOST_PARTS = 256;

/** Who is told the extents of a BLOCK_STATUS: those that lie in the range asked for, at most as many as wanted. */
export type OnExtents = (status: BlockStatus, extents: readonly Extent[]) => void;

/** Pooled by its connection. Its index and its generation together are the request's cookie. */
export class Slot {
  readonly index: number;
  /** Changes with each use: an answer to an older request is no answer to this one. */
  generation = 0;
  command: number = Command.Read;
  offset = 0;
  length = 0;
  /** When it was sent, on the driver's clock. */
  since = 0;
  request: BlockRequest | null = null;
  onExtents: OnExtents | null = null;
  /** READ: where the data is collected. */
  data: RefBuffer | null = null;
  /** The first error that the server has told of. */
  status: BlockStatus = BlockStatus.Ok;
  /** READ: what has come, as from and to of parts in ascending order that do not touch. */
  readonly #parts: number[] = [];
  #most = 0;
  readonly #extents: Extent[] = [];
  #extentBytes = 0;

  constructor(index: number) {
    this.index = index;
  }
  get busy(): boolean {
    return this.request !== null || this.onExtents !== null;
  }

  begin(command: number, offset: number, length: number, since: number): void {
    this.generation = (this.generation + 1) >>> 0;
    this.command = command;
    this.offset = offset;
    this.length = length;
    this.since = since;
    this.status = BlockStatus.Ok;
    this.#parts.length = 0;
  }
  beginExtents(onExtents: OnExtents, most: number): void {
    this.onExtents = onExtents;
    this.#most = most;
    this.#extents.length = 0;
    this.#extentBytes = 0;
  }
  fail(status: BlockStatus): void {
    if (this.status === BlockStatus.Ok) this.status = status;
  }

  /** Bytes `from` … `to` of the READ are about to come. @throws ProtocolError for some that have come already */
  addPart(from: number, to: number): void {
    const parts = this.#parts;
    let i = parts.length;
    while (i > 0 && (parts[i - 2] ?? 0) >= from) i -= 2;
    if ((i > 0 && (parts[i - 1] ?? 0) > from) || (i < parts.length && (parts[i] ?? 0) < to)) {
      throw new ProtocolError('NBD proto.md "Structured reply types"', 'the same bytes of a READ twice');
    }
    const joinsBefore = i > 0 && parts[i - 1] === from;
    const joinsAfter = i < parts.length && parts[i] === to;
    if (joinsBefore && joinsAfter) parts.splice(i - 1, 2);
    else if (joinsBefore) parts[i - 1] = to;
    else if (joinsAfter) parts[i] = from;
    else parts.splice(i, 0, from, to);
    if (parts.length > 2 * MOST_PARTS) {
      throw new ProtocolError('NBD proto.md "Structured reply types"', 'a READ in too many pieces');
    }
  }
  /** Every byte of the READ is there. */
  get complete(): boolean {
    return this.length === 0 || (this.#parts.length === 2 && this.#parts[0] === 0 && this.#parts[1] === this.length);
  }
  buffer(pool: BufferPool): Buffer {
    this.data ??= pool.take(this.length);
    return this.data.buffer;
  }

  /** One descriptor of base:allocation. What is beyond the range, or beyond what was asked for, is dropped. */
  addExtent(length: number, flags: number): void {
    if (length === 0) throw new ProtocolError('NBD proto.md "Structured reply types"', 'an extent of no length');
    const kept = Math.min(length, this.length - this.#extentBytes);
    if (kept <= 0 || this.#extents.length >= this.#most) return;
    this.#extentBytes += kept;
    const hole = (flags & AllocationFlag.Hole) !== 0;
    this.#extents.push({ length: kept, hole, zero: (flags & AllocationFlag.Zero) !== 0 });
  }

  /** Ends the request. `reusable`: no read of the socket can still land in its memory. */
  end(reusable: boolean): void {
    const { request, onExtents, data, status } = this;
    this.request = null;
    this.onExtents = null;
    this.data = null;
    if (request !== null) {
      if (data !== null && status === BlockStatus.Ok) request.onData(data.buffer.subarray(0, this.length), 0, data);
      if (reusable) data?.release();
      request.onDone(status);
    } else {
      const extents = this.#extents.slice();
      onExtents?.(status === BlockStatus.Ok && extents.length === 0 ? BlockStatus.Eio : status, extents);
    }
  }
}
