// The transmission phase of one client: requests in, block operations out. NBD proto.md "Transmission".
import { type AlignedDevice, anyRange } from '../block/aligned.js';
import { BlockOp, BlockStatus } from '../block/block-device.js';
import { BlockError } from '../block/promise.js';
import { ProtocolError } from '../util/errors.js';
import type { BufferPool, RefBuffer } from '../util/ref-buffer.js';
import { HIGH_WATER, type TransmitSink } from '../util/stream.js';
import { blockFlags, type CommandContext, checkCommand, operationOf } from './check-command.js';
import { ClientRequest, type RequestOwner } from './client-request.js';
import type { NbdLimits } from './limits.js';
import type { Session } from './negotiation.js';
import { ReplyWriter } from './reply-writer.js';
import { Command, CommandFlag, REQUEST_MAGIC } from './wire/constants.js';
import {
  REQUEST_LENGTH,
  requestCookieHigh,
  requestCookieLow,
  requestFlags,
  requestLength,
  requestMagic,
  requestOffset,
  requestType,
} from './wire/request.js';

/** A payload of which this much is missing is read straight to its place. */
const DIRECT_LEAST = 65_536;
/** Beyond this many requests in flight payloads are copied, or every small write would pin a receive buffer. */
const VIEWS_MOST = 32;

const State = {
  Header: 0,
  /** A request has been read that must wait for others to end. */
  Blocked: 1,
  Payload: 2,
  /** The payload of a refused WRITE passes by. */
  Drain: 3,
  /** NBD_CMD_DISC, or the connection is gone. */
  Ended: 4,
} as const;

export interface TransmissionHooks {
  /** Outside of any call by the driver `paused` or `finished` has changed. */
  onChange(): void;
  /** Bytes kept back have been found to break the protocol. */
  onFault(error: unknown): void;
}

export class Transmission implements RequestOwner, CommandContext {
  readonly replies: ReplyWriter;
  readonly pool: BufferPool;
  readonly flags: number;
  readonly structuredReplies: boolean;
  readonly allocation: boolean;
  readonly limits: NbdLimits;
  readonly #device: AlignedDevice;
  readonly #sink: TransmitSink;
  readonly #hooks: TransmissionHooks;
  readonly #free: ClientRequest[] = [];
  /** The size that the client was told. */
  readonly #toldBytes: number;
  /** How many losses of writes there had been when the client came, or when it was told last. */
  #toldLosses: number;
  #state: number = State.Header;
  #shuttingDown = false;
  #ended = false;
  /** A header that came in two parts. */
  readonly #header = Buffer.alloc(REQUEST_LENGTH);
  #headerLength = 0;
  /** The request in state Blocked, Payload or Drain. */
  #current: ClientRequest | null = null;
  /** Its payload while it is collected: the buffer is also the request's `payloadOwner`. */
  #filled = 0;
  /** Whether the driver may be reading straight into that buffer. */
  #aimed = false;
  #refusal: BlockStatus = BlockStatus.Ok;
  #drain = 0;
  /** What came after a request that had to wait. */
  readonly #kept: { chunk: Buffer; owner: RefBuffer }[] = [];
  #parsing = false;
  #inFlight = 0;
  #bytesInFlight = 0;
  #readBytes = 0;
  #writtenBytes = 0;

  constructor(session: Session, sink: TransmitSink, pool: BufferPool, limits: NbdLimits, hooks: TransmissionHooks) {
    this.flags = session.flags;
    this.structuredReplies = session.structuredReplies;
    this.allocation = session.allocation;
    this.limits = limits;
    this.pool = pool;
    this.replies = new ReplyWriter(sink, pool, session.structuredReplies);
    this.#device = anyRange(session.entry.device);
    this.#toldBytes = this.#device.sizeBytes;
    this.#toldLosses = this.#device.writeLosses;
    this.#sink = sink;
    this.#hooks = hooks;
  }
  get sizeBytes(): number {
    return Math.max(this.#toldBytes, this.#device.sizeBytes);
  }
  get presentBytes(): number {
    return this.#device.sizeBytes;
  }
  get readBytes(): number {
    return this.#readBytes;
  }
  get writtenBytes(): number {
    return this.#writtenBytes;
  }
  get ended(): boolean {
    return this.#ended;
  }
  /** The client has said goodbye, or the server has, and everything in flight is answered. */
  get finished(): boolean {
    return (
      this.#inFlight === 0 && (this.#state === State.Ended || (this.#shuttingDown && this.#state === State.Header))
    );
  }
  get paused(): boolean {
    return this.#kept.length > 0 || !this.#mayRead();
  }

  onBytes(chunk: Buffer, owner: RefBuffer): void {
    if (this.#state === State.Ended) return;
    if (this.#kept.length > 0) {
      owner.retain();
      this.#kept.push({ chunk, owner });
      return;
    }
    this.#parsing = true;
    try {
      this.#parse(chunk, owner);
    } finally {
      this.#parsing = false;
    }
  }
  readTarget(): Buffer | null {
    const payload = this.#current?.payload;
    if (this.#state !== State.Payload || !payload || payload.length - this.#filled < DIRECT_LEAST) return null;
    this.#aimed = true;
    return payload.subarray(this.#filled);
  }
  onTargetFilled(length: number): void {
    if (this.#state !== State.Payload) return;
    this.#filled += length;
    const request = this.#current;
    if (!request || this.#filled !== request.length) return;
    this.#parsing = true;
    try {
      this.#submitWrite(request);
    } finally {
      this.#parsing = false;
    }
  }
  /** Goes on with what had to wait, if there is room now. Called when the sink has drained or a request has ended. */
  resume(): void {
    if (this.#parsing) return;
    this.#parsing = true;
    try {
      if (this.#state === State.Blocked) this.#unblock();
      while (this.#kept.length > 0 && this.#mayRead()) this.#parseKept();
    } catch (error) {
      this.#hooks.onFault(error);
    } finally {
      this.#parsing = false;
    }
  }
  /** From now on requests are answered with ESHUTDOWN. */
  shutdown(): void {
    this.#shuttingDown = true;
    this.resume();
  }
  /** Nothing more is read or sent. What is in flight ends in silence. */
  end(): void {
    this.#ended = true;
    this.#state = State.Ended;
    this.#letGo();
  }

  /** Every client hears of a loss with its next FLUSH, once: any failure tells it. A FLUSH that was under way counts. */
  flushed(status: BlockStatus): BlockStatus {
    const { writeLosses } = this.#device;
    const untold = writeLosses !== this.#toldLosses;
    this.#toldLosses = writeLosses;
    return untold && status === BlockStatus.Ok ? BlockStatus.Eio : status;
  }
  onAnswered(request: ClientRequest, status: BlockStatus): void {
    const waited = this.paused;
    this.#inFlight--;
    this.#bytesInFlight -= dataLength(request);
    if (status === BlockStatus.Ok) {
      if (request.command === Command.Read) this.#readBytes += request.length;
      if (request.command === Command.Write) this.#writtenBytes += request.length;
    }
    this.#free.push(request);
    // Within a call by the driver, which looks at everything itself afterwards.
    if (this.#parsing) return;
    if (waited) this.resume();
    if (waited || this.finished) this.#hooks.onChange();
  }

  #parse(chunk: Buffer, owner: RefBuffer): void {
    for (let at = 0; at < chunk.length && this.#state !== State.Ended; ) {
      if (!this.#mayRead()) {
        owner.retain();
        this.#kept.unshift({ chunk: chunk.subarray(at), owner });
        return;
      }
      at = this.#step(chunk, at, owner);
    }
  }
  #parseKept(): void {
    const next = this.#kept.shift();
    if (!next) return;
    try {
      this.#parse(next.chunk, next.owner);
    } finally {
      next.owner.release();
    }
  }
  /** Whether the next byte may be looked at: always that of a payload, a header only if its request could start. */
  #mayRead(): boolean {
    if (this.#state !== State.Header) return this.#state !== State.Blocked;
    // What is only refused needs no room, except for its reply.
    return this.#shuttingDown ? this.#sink.backlog <= HIGH_WATER : this.#hasRoom(0);
  }
  /** Reads one unit or a part of it; returns where the next one begins. */
  #step(chunk: Buffer, at: number, owner: RefBuffer): number {
    switch (this.#state) {
      case State.Header:
        return this.#onHeaderBytes(chunk, at);
      case State.Payload:
        return this.#onPayloadBytes(chunk, at, owner);
      default:
        return this.#onDrainBytes(chunk, at);
    }
  }

  #onHeaderBytes(chunk: Buffer, at: number): number {
    if (this.#headerLength === 0 && chunk.length - at >= REQUEST_LENGTH) {
      this.#onHeader(chunk, at);
      return at + REQUEST_LENGTH;
    }
    const length = chunk.copy(this.#header, this.#headerLength, at);
    this.#headerLength += length;
    if (this.#headerLength === REQUEST_LENGTH) {
      this.#headerLength = 0;
      this.#onHeader(this.#header, 0);
    }
    return at + length;
  }

  /** Acts on a whole header at `b[at]`. */
  #onHeader(b: Buffer, at: number): void {
    if (requestMagic(b, at) !== REQUEST_MAGIC) {
      throw new ProtocolError('NBD proto.md "Request message"', 'a request without its magic number');
    }
    const command = requestType(b, at);
    if (command === Command.Disc) {
      this.#state = State.Ended;
      return;
    }
    const commandFlags = requestFlags(b, at);
    const request = this.#free.pop() ?? new ClientRequest(this);
    request.command = command;
    request.op = operationOf(command) ?? BlockOp.Read;
    request.offset = requestOffset(b, at);
    request.length = requestLength(b, at);
    request.cookieHigh = requestCookieHigh(b, at);
    request.cookieLow = requestCookieLow(b, at);
    request.flags = blockFlags(request.op, commandFlags);
    request.whole = !this.structuredReplies || (commandFlags & CommandFlag.Df) !== 0;
    request.one = (commandFlags & CommandFlag.ReqOne) !== 0;
    const status = checkCommand(this, command, commandFlags, request.offset, request.length);
    const refusal = this.#shuttingDown ? BlockStatus.Eshutdown : status;
    if (refusal !== BlockStatus.Ok) {
      this.#refuse(request, refusal);
    } else if (this.#hasRoom(dataLength(request))) {
      this.#begin(request);
    } else {
      this.#current = request;
      this.#state = State.Blocked;
    }
  }

  /** Counts the request in and starts it, a WRITE only once its payload is there. */
  #begin(request: ClientRequest): void {
    this.#inFlight++;
    this.#bytesInFlight += dataLength(request);
    if (request.command === Command.Write && request.length > 0) {
      this.#current = request;
      this.#state = State.Payload;
      this.#filled = 0;
      return;
    }
    this.#current = null;
    this.#state = State.Header;
    if (request.command === Command.Write) request.payload = NOTHING;
    this.#start(request);
  }
  #start(request: ClientRequest): void {
    switch (request.command) {
      case Command.BlockStatus:
        this.#askExtents(request);
        break;
      // A hint, of which the device makes what it can.
      case Command.Cache:
        this.#device.prefetch(request);
        request.onDone(BlockStatus.Ok);
        break;
      default:
        this.#device.submit(request);
    }
  }
  /** Counts as in flight like any other request, and ends like one: a disk that is away is waited for as a READ would wait. */
  #askExtents(request: ClientRequest): void {
    this.#device.allocation(request, request.one ? 1 : this.limits.extents).then(
      (extents) => request.onExtents(extents),
      (error: unknown) => request.onDone(error instanceof BlockError ? error.status : BlockStatus.Eio),
    );
  }

  /**
   * A payload that lies wholly in this chunk stays there, and the receive buffer is held until the device is done;
   * otherwise it is collected in memory of its own.
   */
  #onPayloadBytes(chunk: Buffer, at: number, owner: RefBuffer): number {
    const request = this.#current;
    if (!request) throw new Error('a payload without a request');
    if (!request.payload && chunk.length - at >= request.length && this.#inFlight <= VIEWS_MOST) {
      owner.retain();
      request.payloadOwner = owner;
      request.payload = chunk.subarray(at, at + request.length);
      this.#submitWrite(request);
      return at + request.length;
    }
    request.payloadOwner ??= this.pool.take(request.length);
    request.payload ??= request.payloadOwner.buffer.subarray(0, request.length);
    const length = chunk.copy(request.payload, this.#filled, at);
    this.#filled += length;
    if (this.#filled === request.length) this.#submitWrite(request);
    return at + length;
  }
  #submitWrite(request: ClientRequest): void {
    this.#aimed = false;
    this.#current = null;
    this.#state = State.Header;
    this.#device.submit(request);
  }

  /** Answers with an error, for a WRITE after its payload has passed. */
  #refuse(request: ClientRequest, status: BlockStatus): void {
    this.#current = null;
    if (request.command !== Command.Write || request.length === 0) {
      this.replies.error(request, status);
      this.#free.push(request);
      return;
    }
    if (request.length > this.limits.payloadDrain) {
      throw new ProtocolError('NBD proto.md "Size constraints"', `a WRITE of ${request.length} bytes`);
    }
    this.#current = request;
    this.#refusal = status;
    this.#drain = request.length;
    this.#state = State.Drain;
  }
  #onDrainBytes(chunk: Buffer, at: number): number {
    const length = Math.min(this.#drain, chunk.length - at);
    this.#drain -= length;
    const request = this.#current;
    if (this.#drain === 0 && request) {
      this.#current = null;
      this.#state = State.Header;
      this.replies.error(request, this.#refusal);
      this.#free.push(request);
    }
    return at + length;
  }

  /** Whether a request of `length` bytes of data may start. A single one always may, or nothing would ever move. */
  #hasRoom(length: number): boolean {
    if (this.#sink.backlog > HIGH_WATER) return false;
    if (this.#inFlight === 0) return true;
    return (
      this.#inFlight < this.limits.requestsInFlight &&
      this.#bytesInFlight + Math.max(1, length) <= this.limits.bytesInFlight
    );
  }
  #unblock(): void {
    const request = this.#current;
    if (!request) return;
    if (this.#shuttingDown) {
      this.#state = State.Header;
      this.#refuse(request, BlockStatus.Eshutdown);
    } else if (this.#hasRoom(dataLength(request))) {
      this.#begin(request);
    }
  }
  #letGo(): void {
    for (const { owner } of this.#kept) owner.release();
    this.#kept.length = 0;
    // A WRITE whose payload was still coming has not reached the device, which will therefore not complete it.
    const request = this.#current;
    this.#current = null;
    // While the socket is still open its next read may land in the buffer: then nobody else may get it, and it is left to
    // the garbage collector instead of the pool.
    if (!this.#aimed) request?.payloadOwner?.release();
    if (request) request.payload = request.payloadOwner = null;
  }
}

const NOTHING = Buffer.alloc(0);

/** What a request counts against the limit of bytes in flight. */
function dataLength(request: ClientRequest): number {
  return request.command === Command.Read || request.command === Command.Write ? request.length : 0;
}
