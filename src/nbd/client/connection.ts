// One connection to an NBD server: the handshake, then requests out and replies in (NBD proto.md "Transmission").
import { BlockFlag, BlockOp, type BlockRequest, BlockStatus, type ByteRange } from '../../block/block-device.js';
import { AppError, ProtocolError } from '../../util/errors.js';
import type { BufferPool, RefBuffer } from '../../util/ref-buffer.js';
import { COPY_LARGEST, HIGH_WATER, type StreamConsumer, type Timed, type TransmitSink } from '../../util/stream.js';
import {
  Command,
  CommandFlag,
  ReplyFlag,
  ReplyType,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from '../wire/constants.js';
import { DESCRIPTOR_LENGTH } from '../wire/reply.js';
import { emitRequest, REQUEST_LENGTH } from '../wire/request.js';
import { type ExportTerms, type HandshakeStep, openExport } from './handshake.js';
import { type OnExtents, Slot } from './slot.js';
import { statusOfNbd } from './status.js';

const CLAUSE = 'NBD proto.md "Structured reply chunk message"';
/** A piece of data of which this much is missing is read straight to its place. */
const DIRECT_LEAST = 65_536;
/** A simple reply, and what a chunk has before its length. */
const HEADER_LENGTH = 16;
/** An error chunk carries a message for people: none needs more. */
const LARGEST_ERROR = 16_384;

export interface NbdClientLimits {
  /** From the connection to the open export, in milliseconds. */
  readonly handshakeMs: number;
  /** A request that has no whole answer by then ends the connection, and all requests with it. Milliseconds. */
  readonly requestMs: number;
  readonly requestsInFlight: number;
  /** Bytes that those requests read or write. */
  readonly bytesInFlight: number;
}
export const CLIENT_LIMITS: NbdClientLimits = {
  handshakeMs: 10_000,
  requestMs: 30_000,
  requestsInFlight: 128,
  bytesInFlight: 2 ** 25,
};

/** Whoever carries the bytes, and whoever has made the requests. Calls come from within calls into the core. */
export interface NbdClientHost {
  /** Milliseconds on a monotonic clock. */
  now(): number;
  /** Send what the sink holds, put TLS over the socket, then call `secured()`; the core is paused until then. */
  startTls(): void;
  /** The export is open, `terms` is set: requests may be sent. */
  opened(): void;
  /** There may be room for more requests. */
  ready(): void;
  /** A deadline has come to be outside of a call by the driver. */
  wake(): void;
  /** Send what the sink holds, then end the connection: all has been said. */
  end(): void;
  /** The connection has ended; every request in flight has ended with Eio before. Once. */
  lost(error: AppError | null): void;
}

const State = {
  Handshake: 0,
  Header: 1,
  ChunkLength: 2,
  ChunkHead: 3,
  Data: 4,
  Descriptor: 5,
  Skip: 6,
  Ended: 7,
} as const;

export interface NbdClientOptions {
  readonly exportName: string;
  readonly tls: boolean;
  readonly sink: TransmitSink;
  readonly pool: BufferPool;
  readonly host: NbdClientHost;
  readonly limits?: Partial<NbdClientLimits>;
}

/** Throws ProtocolError or AppError from calls of the driver for what the server does; the driver then calls `closed`. */
export class NbdClientConnection implements StreamConsumer, Timed {
  readonly #sink: TransmitSink;
  readonly #pool: BufferPool;
  readonly #host: NbdClientHost;
  readonly #limits: NbdClientLimits;
  readonly #steps: Generator<HandshakeStep, ExportTerms, Buffer>;
  readonly #slots: Slot[] = [];
  readonly #free: Slot[] = [];
  #terms: ExportTerms | null = null;
  #state: number = State.Handshake;
  #tlsWaits = false;
  /** The unit being read, as far as it is there. */
  #unit = Buffer.alloc(HEADER_LENGTH);
  #need = 0;
  #filled = 0;
  /** The chunk being read: whose it is, and what of its payload is still to come. */
  #slot: Slot | null = null;
  #type = 0;
  #done = false;
  #left = 0;
  /** Where the data goes, and whether the driver may be reading straight into it. */
  #at = 0;
  #aimed = false;
  #inFlight = 0;
  #bytesInFlight = 0;
  /** No request in flight was sent before. */
  #since: number;

  constructor({ exportName, tls, sink, pool, host, limits }: NbdClientOptions) {
    this.#sink = sink;
    this.#pool = pool;
    this.#host = host;
    this.#limits = { ...CLIENT_LIMITS, ...limits };
    this.#since = host.now();
    this.#steps = openExport(exportName, { everything: true, tls });
    this.#onStep(this.#steps.next());
  }

  /** What the server has said of the export; null before it is open. */
  get terms(): ExportTerms | null {
    return this.#terms;
  }
  get inFlight(): number {
    return this.#inFlight;
  }
  get ended(): boolean {
    return this.#state === State.Ended;
  }
  /** Whether another request may be sent. A single one always may, or nothing would ever move. */
  get room(): boolean {
    if (this.#terms === null || this.#state === State.Ended) return false;
    if (this.#inFlight === 0) return true;
    if (this.#inFlight >= this.#limits.requestsInFlight || this.#bytesInFlight >= this.#limits.bytesInFlight)
      return false;
    return this.#sink.backlog <= HIGH_WATER;
  }
  get paused(): boolean {
    return this.#tlsWaits;
  }
  get deadline(): number | undefined {
    if (this.#state === State.Ended) return undefined;
    if (this.#terms === null) return this.#since + this.#limits.handshakeMs;
    return this.#inFlight === 0 ? undefined : this.#since + this.#limits.requestMs;
  }

  handleTimeout(now: number): void {
    if (this.#terms !== null) this.#since = this.#oldest(now);
    if (this.deadline === undefined || now < this.deadline) return;
    const what = this.#terms === null ? 'finish its handshake' : 'answer a request';
    const ms = this.#terms === null ? this.#limits.handshakeMs : this.#limits.requestMs;
    throw new AppError('ERR_TIMEOUT', `the NBD server did not ${what} in ${ms / 1000} s`, { retriable: true });
  }
  #oldest(now: number): number {
    let oldest = now;
    for (const slot of this.#slots) if (slot.busy && slot.since < oldest) oldest = slot.since;
    return oldest;
  }

  // ---- Requests ---------------------------------------------------------------------------------------------------

  /** Sends a request that the device has checked. Only with `room`. FUA goes out as the server's flag: it must have that. */
  send(request: BlockRequest): void {
    const command = COMMANDS[request.op];
    const slot = this.#begin(
      command,
      request.offset,
      request.length,
      request.op === BlockOp.Read || request.op === BlockOp.Write,
    );
    slot.request = request;
    const payload = request.op === BlockOp.Write ? request.payload : null;
    const copied = payload !== null && payload.length <= COPY_LARGEST ? payload.length : 0;
    const at = this.#sink.reserve(REQUEST_LENGTH + copied);
    this.#emit(at, slot, commandFlags(request));
    if (payload === null) return;
    if (copied > 0) payload.copy(this.#sink.slab, at + REQUEST_LENGTH);
    else this.#sink.append(payload, request.payloadOwner);
  }
  /** Asks for base:allocation of `range`, at most `most` extents. Only with `room` and `terms.allocation`. */
  sendBlockStatus({ offset, length }: ByteRange, most: number, onExtents: OnExtents): void {
    const slot = this.#begin(Command.BlockStatus, offset, length, false);
    slot.beginExtents(onExtents, most);
    this.#emit(this.#sink.reserve(REQUEST_LENGTH), slot, most === 1 ? CommandFlag.ReqOne : 0);
  }
  /** Tells the server that `range` will be read soon. Only with `room`. */
  sendCache({ offset, length }: ByteRange): void {
    const slot = this.#begin(Command.Cache, offset, length, false);
    slot.beginExtents(() => {}, 0);
    this.#emit(this.#sink.reserve(REQUEST_LENGTH), slot, 0);
  }
  /** Says goodbye: nothing is in flight. `lost` does not follow. */
  disconnect(): void {
    if (this.#terms === null || this.#state === State.Ended) return;
    const at = this.#sink.reserve(REQUEST_LENGTH);
    emitRequest(this.#sink.slab, at, 0, Command.Disc, 0, 0, 0, 0);
    this.#state = State.Ended;
    this.#host.end();
  }
  #begin(command: number, offset: number, length: number, carriesData: boolean): Slot {
    const now = this.#host.now();
    if (this.#inFlight === 0) {
      this.#since = now;
      this.#host.wake();
    }
    const slot = this.#free.pop() ?? this.#newSlot();
    slot.begin(command, offset, length, now);
    this.#inFlight++;
    if (carriesData) this.#bytesInFlight += length;
    return slot;
  }
  #newSlot(): Slot {
    const slot = new Slot(this.#slots.length);
    this.#slots.push(slot);
    return slot;
  }
  #emit(at: number, { command, generation, index, offset, length }: Slot, flags: number): void {
    emitRequest(this.#sink.slab, at, flags, command, generation, index, offset, length);
  }

  // ---- Replies ----------------------------------------------------------------------------------------------------

  onBytes(chunk: Buffer, _owner: RefBuffer): void {
    for (let at = 0; at < chunk.length && this.#state !== State.Ended; ) {
      if (this.#tlsWaits) throw new ProtocolError('NBD proto.md "NBD_OPT_STARTTLS"', 'bytes in plain text behind it');
      at += this.#take(chunk, at);
    }
  }
  readTarget(): Buffer | null {
    const target = this.#slot?.data?.buffer;
    if (this.#state !== State.Data || target === undefined || this.#left < DIRECT_LEAST) return null;
    this.#aimed = true;
    return target.subarray(this.#at, this.#at + this.#left);
  }
  onTargetFilled(length: number): void {
    this.#aimed = false;
    if (this.#state === State.Data) this.#filledData(length);
  }
  onDrain(): void {
    this.#host.ready();
  }
  /** TLS is up on the socket whose bytes follow. */
  secured(): void {
    this.#tlsWaits = false;
    this.#onStep(this.#steps.next(Buffer.alloc(0)));
  }
  /** The socket is gone: every request in flight ends with Eio. Idempotent. */
  closed(error: AppError | null): void {
    if (this.#state === State.Ended && this.#inFlight === 0) return;
    this.#state = State.Ended;
    const aimed = this.#aimed ? this.#slot : null;
    this.#slot = null;
    for (const slot of this.#slots) {
      if (!slot.busy) continue;
      slot.status = BlockStatus.Eio;
      slot.end(slot !== aimed);
    }
    this.#inFlight = this.#bytesInFlight = 0;
    this.#host.lost(error);
  }

  /** Reads one unit or a part of it; returns how many bytes that took. */
  #take(chunk: Buffer, at: number): number {
    if (this.#state === State.Data) return this.#takeData(chunk, at);
    if (this.#state === State.Skip) {
      const length = Math.min(this.#left, chunk.length - at);
      this.#left -= length;
      if (this.#left === 0) this.#endChunk();
      return length;
    }
    const length = chunk.copy(this.#unit, this.#filled, at, at + this.#need - this.#filled);
    this.#filled += length;
    if (this.#filled === this.#need) this.#onUnit();
    return length;
  }
  #takeData(chunk: Buffer, at: number): number {
    const target = this.#slot?.data?.buffer;
    if (target === undefined) throw new Error('data without a request');
    const length = chunk.copy(target, this.#at, at, at + this.#left);
    this.#filledData(length);
    return length;
  }
  #filledData(length: number): void {
    this.#at += length;
    this.#left -= length;
    if (this.#left === 0) this.#endChunk();
  }

  #expect(state: number, need: number): void {
    this.#state = state;
    this.#need = need;
    this.#filled = 0;
  }
  #onUnit(): void {
    switch (this.#state) {
      case State.Handshake:
        this.#onStep(this.#steps.next(Buffer.from(this.#unit.subarray(0, this.#need))));
        break;
      case State.Header:
        this.#onHeader(this.#unit);
        break;
      case State.ChunkLength:
        this.#onChunk(this.#unit.readUInt32BE(0));
        break;
      case State.ChunkHead:
        this.#onChunkHead(this.#unit);
        break;
      case State.Descriptor:
        this.#slot?.addExtent(this.#unit.readUInt32BE(0), this.#unit.readUInt32BE(4));
        this.#left -= DESCRIPTOR_LENGTH;
        if (this.#left === 0) this.#endChunk();
        else this.#expect(State.Descriptor, DESCRIPTOR_LENGTH);
    }
  }

  #onStep(step: IteratorResult<HandshakeStep, ExportTerms>): void {
    if (step.done) {
      this.#terms = step.value;
      this.#unit = Buffer.alloc(HEADER_LENGTH);
      this.#expect(State.Header, HEADER_LENGTH);
      this.#host.opened();
      return;
    }
    const { send, need } = step.value;
    this.#sink.append(send, null);
    if (need === 0) {
      this.#tlsWaits = true;
      this.#host.startTls();
    } else {
      if (need > this.#unit.length) this.#unit = Buffer.alloc(need);
      this.#expect(State.Handshake, need);
    }
  }

  #onHeader(b: Buffer): void {
    const magic = b.readUInt32BE(0);
    const structured = magic === STRUCTURED_REPLY_MAGIC && this.#terms?.structuredReplies === true;
    if (!structured && magic !== SIMPLE_REPLY_MAGIC)
      throw new ProtocolError(CLAUSE, 'a reply without its magic number');
    const slot = this.#slots[b.readUInt32BE(12)];
    if (slot === undefined || !slot.busy || slot.generation !== b.readUInt32BE(8)) {
      throw new ProtocolError('NBD proto.md "Simple reply message"', 'a reply to nothing that was asked');
    }
    this.#slot = slot;
    if (structured) {
      this.#done = (b.readUInt16BE(4) & ReplyFlag.Done) !== 0;
      this.#type = b.readUInt16BE(6);
      this.#expect(State.ChunkLength, 4);
    } else {
      this.#onSimple(slot, b.readUInt32BE(4));
    }
  }
  #onSimple(slot: Slot, error: number): void {
    const wrong =
      slot.command === Command.BlockStatus || (slot.command === Command.Read && this.#terms?.structuredReplies);
    if (wrong)
      throw new ProtocolError('NBD proto.md "Simple reply message"', 'a simple reply to a READ or BLOCK_STATUS');
    this.#done = true;
    if (error !== 0) slot.fail(statusOfNbd(error));
    else if (slot.command === Command.Read && slot.length > 0) {
      this.#beginData(slot, 0, slot.length);
      return;
    }
    this.#endChunk();
  }

  /** A chunk of `length` bytes of payload: its type must fit the request, and the length the type. */
  #onChunk(length: number): void {
    const slot = this.#theSlot();
    this.#left = length;
    if ((this.#type & ERROR_TYPE) !== 0) {
      if (length < 6 || length > LARGEST_ERROR) throw wrongLength(this.#type, length);
      this.#expect(State.ChunkHead, 6);
      return;
    }
    const isRead = slot.command === Command.Read;
    switch (this.#type) {
      case ReplyType.None:
        if (length !== 0 || !this.#done) throw wrongLength(this.#type, length);
        this.#endChunk();
        return;
      case ReplyType.OffsetData:
        if (!isRead || length <= 8) throw wrongLength(this.#type, length);
        this.#expect(State.ChunkHead, 8);
        return;
      case ReplyType.OffsetHole:
        if (!isRead || length !== 12) throw wrongLength(this.#type, length);
        this.#expect(State.ChunkHead, 12);
        return;
      case ReplyType.BlockStatus:
        if (slot.command !== Command.BlockStatus || length < 12 || length % 8 !== 4)
          throw wrongLength(this.#type, length);
        this.#expect(State.ChunkHead, 4);
        return;
      default:
        throw new ProtocolError(CLAUSE, `a chunk of type ${this.#type}`);
    }
  }
  #onChunkHead(b: Buffer): void {
    const slot = this.#theSlot();
    this.#left -= this.#need;
    if ((this.#type & ERROR_TYPE) !== 0) {
      const error = b.readUInt32BE(0);
      if (error === 0) throw new ProtocolError(CLAUSE, 'an error chunk without an error');
      slot.fail(statusOfNbd(error));
      this.#state = State.Skip;
      if (this.#left === 0) this.#endChunk();
    } else if (this.#type === ReplyType.OffsetData) {
      this.#beginData(slot, this.#within(slot, b, this.#left), this.#left);
    } else if (this.#type === ReplyType.OffsetHole) {
      const length = b.readUInt32BE(8);
      const at = this.#within(slot, b, length);
      slot.addPart(at, at + length);
      slot.buffer(this.#pool).fill(0, at, at + length);
      this.#endChunk();
    } else {
      if (b.readUInt32BE(0) !== this.#terms?.allocation)
        throw new ProtocolError(CLAUSE, 'extents of an unknown context');
      this.#expect(State.Descriptor, DESCRIPTOR_LENGTH);
    }
  }
  /** Where a piece of `length` bytes belongs in its READ. */
  #within(slot: Slot, b: Buffer, length: number): number {
    const at = b.readUInt32BE(0) * 2 ** 32 + b.readUInt32BE(4) - slot.offset;
    if (at >= 0 && length > 0 && at + length <= slot.length) return at;
    throw new ProtocolError(CLAUSE, `data for ${length} bytes at ${at} of a READ of ${slot.length}`);
  }
  #beginData(slot: Slot, at: number, length: number): void {
    slot.addPart(at, at + length);
    slot.buffer(this.#pool);
    this.#at = at;
    this.#left = length;
    this.#state = State.Data;
  }

  #endChunk(): void {
    const slot = this.#theSlot();
    this.#slot = null;
    this.#expect(State.Header, HEADER_LENGTH);
    if (!this.#done) return;
    if (slot.command === Command.Read && slot.status === BlockStatus.Ok && !slot.complete) {
      throw new ProtocolError(CLAUSE, 'a READ has ended without all its data');
    }
    this.#inFlight--;
    if (slot.command === Command.Read || slot.command === Command.Write) this.#bytesInFlight -= slot.length;
    slot.end(true);
    this.#free.push(slot);
    this.#host.ready();
  }
  #theSlot(): Slot {
    if (this.#slot === null) throw new Error('a chunk without a request');
    return this.#slot;
  }
}

const ERROR_TYPE = 0x8000;
const COMMANDS = [Command.Read, Command.Write, Command.Flush, Command.Trim, Command.WriteZeroes] as const;

function commandFlags({ op, flags }: BlockRequest): number {
  let bits = op !== BlockOp.Read && op !== BlockOp.Flush && (flags & BlockFlag.Fua) !== 0 ? CommandFlag.Fua : 0;
  if (op !== BlockOp.WriteZeroes) return bits;
  if ((flags & BlockFlag.NoHole) !== 0) bits |= CommandFlag.NoHole;
  if ((flags & BlockFlag.FastZero) !== 0) bits |= CommandFlag.FastZero;
  return bits;
}

function wrongLength(type: number, length: number): ProtocolError {
  return new ProtocolError(CLAUSE, `a chunk of type ${type} with ${length} bytes for this request`);
}
