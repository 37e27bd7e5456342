// Writes replies to the sink: simple ones, or structured chunks once the client has negotiated them.
import { BlockStatus, type Extent } from '../block/block-device.js';
import type { BufferPool, RefBuffer } from '../util/ref-buffer.js';
import { COPY_LARGEST, type TransmitSink } from '../util/stream.js';
import { ALLOCATION } from './meta-context.js';
import { AllocationFlag, ReplyFlag } from './wire/constants.js';
import {
  BLOCK_STATUS_CHUNK_LENGTH,
  CHUNK_HEADER_LENGTH,
  DATA_CHUNK_LENGTH,
  DESCRIPTOR_LENGTH,
  ERROR_CHUNK_LENGTH,
  emitBlockStatusChunk,
  emitDataChunk,
  emitDescriptor,
  emitErrorChunk,
  emitHoleChunk,
  emitNoneChunk,
  emitSimpleReply,
  HOLE_CHUNK_LENGTH,
  SIMPLE_REPLY_LENGTH,
} from './wire/reply.js';

/** What a reply must know about its request. */
export interface Replied {
  readonly offset: number;
  readonly length: number;
  readonly cookieHigh: number;
  readonly cookieLow: number;
}

/** For people: shown by clients beside the error's name. */
const MESSAGES: Readonly<Record<number, string>> = {
  [BlockStatus.Eperm]: 'the export is read-only',
  [BlockStatus.Eio]: 'the disk reported an error',
  [BlockStatus.Einval]: 'unknown command or flag, or a range outside of the export',
  [BlockStatus.Enospc]: 'the disk is full, or the range ends beyond it',
  [BlockStatus.Eoverflow]: 'the length exceeds the maximum payload size',
  [BlockStatus.Enotsup]: 'the disk cannot do this',
  [BlockStatus.Eshutdown]: 'the server is shutting down',
};
const messages = new Map(Object.entries(MESSAGES).map(([status, text]) => [Number(status), Buffer.from(text)]));
const NO_MESSAGE = Buffer.alloc(0);

export class ReplyWriter {
  readonly #sink: TransmitSink;
  readonly #pool: BufferPool;
  readonly #structured: boolean;

  constructor(sink: TransmitSink, pool: BufferPool, structured: boolean) {
    this.#sink = sink;
    this.#pool = pool;
    this.#structured = structured;
  }

  /**
   * A piece of a READ, `at` bytes after the request's offset. `last` ends the reply; without structured replies the one
   * piece is all of it. Large pieces go by reference to `owner`, or to a copy where there is none.
   */
  data(request: Replied, piece: Buffer, at: number, owner: RefBuffer | null, last: boolean): void {
    const headerLength = this.#structured ? DATA_CHUNK_LENGTH : SIMPLE_REPLY_LENGTH;
    const copied = piece.length <= COPY_LARGEST;
    const start = this.#sink.reserve(headerLength + (copied ? piece.length : 0));
    const { slab } = this.#sink;
    const { cookieHigh, cookieLow } = request;
    if (this.#structured) {
      const flags = last ? ReplyFlag.Done : 0;
      emitDataChunk(slab, start, flags, cookieHigh, cookieLow, request.offset + at, piece.length);
    } else {
      emitSimpleReply(slab, start, BlockStatus.Ok, cookieHigh, cookieLow);
    }
    if (copied) piece.copy(slab, start + headerLength);
    else if (owner) this.#sink.append(piece, owner);
    else this.#appendCopy(piece);
  }

  /** Zeros of a READ with structured replies, `length` of them from `at` bytes after its offset. `last` ends the reply. */
  hole(request: Replied, at: number, length: number, last: boolean): void {
    const { cookieHigh, cookieLow, offset } = request;
    const start = this.#sink.reserve(HOLE_CHUNK_LENGTH);
    const flags = last ? ReplyFlag.Done : 0;
    emitHoleChunk(this.#sink.slab, start, flags, cookieHigh, cookieLow, offset + at, length);
  }

  /** The end of a READ whose pieces have all been sent; with nothing sent, a READ of zero bytes. */
  endOfData(request: Replied): void {
    if (!this.#structured) {
      this.#simple(request, BlockStatus.Ok);
      return;
    }
    const at = this.#sink.reserve(CHUNK_HEADER_LENGTH);
    emitNoneChunk(this.#sink.slab, at, request.cookieHigh, request.cookieLow);
  }

  /** Success of anything but a READ: always the short form, which proto.md allows for replies without payload. */
  done(request: Replied): void {
    this.#simple(request, BlockStatus.Ok);
  }

  /** What base:allocation says of a range. Clients that may ask have structured replies. */
  extents(request: Replied, extents: readonly Extent[]): void {
    const length = BLOCK_STATUS_CHUNK_LENGTH + DESCRIPTOR_LENGTH * extents.length;
    let at = this.#sink.reserve(length);
    const { slab } = this.#sink;
    emitBlockStatusChunk(slab, at, request.cookieHigh, request.cookieLow, ALLOCATION.id, extents.length);
    at += BLOCK_STATUS_CHUNK_LENGTH;
    for (const { length, hole, zero } of extents) {
      emitDescriptor(slab, at, length, (hole ? AllocationFlag.Hole : 0) | (zero ? AllocationFlag.Zero : 0));
      at += DESCRIPTOR_LENGTH;
    }
  }

  /** A failure. With structured replies it carries a message, and it may follow data of the same READ. */
  error(request: Replied, status: BlockStatus): void {
    if (!this.#structured) {
      this.#simple(request, status);
      return;
    }
    const message = messages.get(status) ?? NO_MESSAGE;
    const at = this.#sink.reserve(ERROR_CHUNK_LENGTH + message.length);
    emitErrorChunk(this.#sink.slab, at, status, request.cookieHigh, request.cookieLow, message.length);
    message.copy(this.#sink.slab, at + ERROR_CHUNK_LENGTH);
  }

  #simple(request: Replied, status: BlockStatus): void {
    const at = this.#sink.reserve(SIMPLE_REPLY_LENGTH);
    emitSimpleReply(this.#sink.slab, at, status, request.cookieHigh, request.cookieLow);
  }
  #appendCopy(piece: Buffer): void {
    const copy = this.#pool.take(piece.length);
    piece.copy(copy.buffer);
    this.#sink.append(copy.buffer.subarray(0, piece.length), copy);
    copy.release();
  }
}
