// An NBD export as a disk: over one connection at a time, opened again when it is lost.
import { clip } from '../../block/allocation.js';
import {
  type BlockDevice,
  BlockFlag,
  BlockOp,
  type BlockRequest,
  BlockStatus,
  type ByteRange,
  type Extent,
} from '../../block/block-device.js';
import { checkRequest } from '../../block/check-request.js';
import { ForwardRequest } from '../../block/forward-request.js';
import { BlockError, perform } from '../../block/promise.js';
import { AppError } from '../../util/errors.js';
import { TransmissionFlag } from '../wire/constants.js';
import type { NbdClientConnection } from './connection.js';
import { type Geometry, geometryOf } from './geometry.js';

/** TRIM, WRITE_ZEROES and BLOCK_STATUS in one request, bytes: lengths have 32 bits, and servers halve that. */
const LARGEST_RANGE = 2 ** 30;
/** Zeros that are written where the server has no WRITE_ZEROES. */
const ZEROES = Buffer.alloc(2 ** 18);
/** Between two attempts to connect, in milliseconds: the first comes at once. */
const PACE_MS = [0, 500, 1000, 2000, 5000] as const;
/** Initiators give a command 30 s before they abort it. */
const PATIENCE_MS = 10_000;

/** How connections are made, and how time passes. */
export interface NbdDeviceHost {
  /** An open export. Bounded in time; rejects with AppError. The device then hears of its end by `lost` and of room by `ready`. */
  connect(device: NbdEvents): Promise<NbdClientConnection>;
  /** Rejects when `signal` aborts. */
  delay(ms: number, signal: AbortSignal): Promise<void>;
  /** Milliseconds on a monotonic clock. */
  now(): number;
  /** The disk has been lost or found again: for a log. */
  onChange?(event: NbdEvent): void;
}
export type NbdEvent =
  | { readonly kind: 'lost'; readonly error: AppError | null; readonly writesLost: boolean }
  | { readonly kind: 'refused'; readonly error: AppError }
  | { readonly kind: 'found'; readonly sizeBytes: number };

/** What a connection tells the device that uses it. */
export interface NbdEvents {
  ready(): void;
  lost(connection: NbdClientConnection, error: AppError | null): void;
}

export interface NbdDeviceOptions {
  readonly host: NbdDeviceHost;
  readonly readOnly?: boolean;
  /** Logical block size; null: 512, or 4096 where the server's smallest block is larger. */
  readonly blockSize?: 512 | 4096 | null;
  /** How long requests wait for a lost server to come back before they fail, in milliseconds from the loss. */
  readonly patienceMs?: number;
}

/**
 * Connects for the first time. Rejects with AppError: what connecting ends with, ERR_NOT_SUPPORTED for an export whose blocks
 * are no disk's.
 */
export async function openNbdDevice(options: NbdDeviceOptions): Promise<NbdDevice> {
  const device = new NbdDevice(options);
  await device.open();
  return device;
}

/**
 * Requests in flight on a connection that is lost end with Eio: whether a write among them was carried out nobody knows.
 * Later ones wait for the next attempt to connect, and end with Eio if that fails. If writes had been acknowledged that no
 * FLUSH has covered, the server may have lost them with its memory: every FLUSH fails from then on, until the disk is opened
 * anew.
 */
export class NbdDevice implements BlockDevice, NbdEvents {
  readonly #host: NbdDeviceHost;
  readonly #options: NbdDeviceOptions;
  #geometry: Geometry | null = null;
  #sizeBytes = 0;
  #connection: NbdClientConnection | null = null;
  #connecting: Promise<void> | null = null;
  /** Attempts since a request has last succeeded: a server that only takes connections is not asked in a hurry. */
  #attempts = 0;
  /** When the connection was lost. */
  #lostAt = 0;
  readonly #stop = new AbortController();
  /** Requests that wait for a connection or for room, in order. */
  #waiting: Tracked[] = [];
  /** Callers that wait for the same, for what is not hot. */
  #callers: { go(connection: NbdClientConnection): void; fail(): void }[] = [];
  /** While a connection is being exchanged for another nothing is sent. */
  #held = false;
  readonly #free: Tracked[] = [];
  /** Tracked requests that have not ended. */
  #open = 0;
  #idle: (() => void) | null = null;
  #closing: Promise<void> | null = null;
  /** Acknowledged changes, and how many of them a FLUSH has covered. */
  #changes = 0;
  #flushed = 0;
  #flushFailure: BlockStatus = BlockStatus.Ok;
  #losses = 0;

  constructor(options: NbdDeviceOptions) {
    this.#options = options;
    this.#host = options.host;
  }
  async open(): Promise<void> {
    this.#take(await this.#host.connect(this));
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }
  get blockSize(): number {
    return this.#shape.blockSize;
  }
  get physicalBlockSize(): number {
    return this.#shape.physicalBlockSize;
  }
  get optimalIoSize(): number {
    return this.#shape.optimalIoSize;
  }
  get maxTransfer(): number {
    return this.#shape.maxTransfer;
  }
  get readOnly(): boolean {
    return this.#shape.readOnly;
  }
  get writeCache(): boolean {
    return this.#shape.writeCache;
  }
  get canTrim(): boolean {
    return this.#shape.canTrim;
  }
  readonly canWriteZeroes = true;
  get writeLosses(): number {
    return this.#losses;
  }
  get #shape(): Geometry {
    if (this.#geometry === null) throw new Error('an NBD disk is used before it is open');
    return this.#geometry;
  }

  // ---- Requests ---------------------------------------------------------------------------------------------------

  submit(request: BlockRequest): void {
    const status = this.#closing !== null ? BlockStatus.Eshutdown : checkRequest(this, request);
    if (status !== BlockStatus.Ok || (request.length === 0 && request.op !== BlockOp.Flush)) {
      request.onDone(status);
    } else if (request.op === BlockOp.Flush && this.#flushFailure !== BlockStatus.Ok) {
      request.onDone(this.#flushFailure);
    } else if (this.#isOneCommand(request)) {
      this.#dispatch(request);
    } else {
      this.#slowly(request);
    }
  }
  /** Whether the server can do it with one request; else it is made of several. */
  #isOneCommand({ op, length, flags }: BlockRequest): boolean {
    if (op === BlockOp.Read) return true;
    if (op === BlockOp.Flush) return this.#has(TransmissionFlag.SendFlush);
    const needsFua = (flags & BlockFlag.Fua) !== 0 && this.writeCache;
    if (needsFua && !this.#has(TransmissionFlag.SendFua)) return false;
    if (op === BlockOp.Write) return true;
    if (length > LARGEST_RANGE) return false;
    if (op === BlockOp.Trim) return this.#has(TransmissionFlag.SendTrim);
    const fast = (flags & BlockFlag.FastZero) !== 0;
    return this.#has(TransmissionFlag.SendWriteZeroes) && (!fast || this.#has(TransmissionFlag.SendFastZero));
  }
  #has(flag: number): boolean {
    return (this.#shape.flags & flag) !== 0;
  }
  #dispatch(request: BlockRequest): void {
    const tracked = this.#free.pop() ?? new Tracked((ended, status) => this.#ended(ended, status));
    tracked.stand(request);
    // Without the server's FLAG_SEND_FUA there is no such bit to send; what needed it has been split.
    if (!this.#has(TransmissionFlag.SendFua)) tracked.flags &= ~BlockFlag.Fua;
    this.#open++;
    this.#waiting.push(tracked);
    this.ready();
  }
  /** Sends what waits as far as there is room. */
  ready(): void {
    for (let connection = this.#usable(); connection !== null; connection = this.#usable()) {
      const caller = this.#callers.shift();
      if (caller !== undefined) {
        caller.go(connection);
        continue;
      }
      const next = this.#waiting.shift();
      if (next === undefined) break;
      next.mark = this.#changes;
      connection.send(next);
    }
    if (this.#connection === null) this.#reconnect();
  }
  #usable(): NbdClientConnection | null {
    return this.#connection?.room && !this.#held ? this.#connection : null;
  }
  #ended(tracked: Tracked, status: BlockStatus): BlockRequest {
    const { op, flags, mark } = tracked;
    if (status === BlockStatus.Ok) this.#attempts = 0;
    if (status === BlockStatus.Ok && op === BlockOp.Flush) this.#flushed = Math.max(this.#flushed, mark);
    else if (status === BlockStatus.Ok && op !== BlockOp.Read && (flags & BlockFlag.Fua) === 0) this.#changes++;
    if (op === BlockOp.Flush && status !== BlockStatus.Ok && this.#changes > this.#flushed) this.#failFlushes();
    const origin = tracked.release();
    this.#free.push(tracked);
    if (--this.#open === 0) this.#idle?.();
    return origin;
  }
  /** The server could not flush: which writes it has dropped nobody knows. */
  #failFlushes(): void {
    if (this.#flushFailure === BlockStatus.Ok) this.#losses++;
    this.#flushFailure = BlockStatus.Eio;
  }

  /** One that takes several requests: too long, FUA without the flag, zeros without the command. */
  #slowly(request: BlockRequest): void {
    this.#open++;
    this.#inParts(request)
      .then(
        () => BlockStatus.Ok,
        (error: unknown) => (error instanceof BlockError ? error.status : BlockStatus.Eio),
      )
      .then((status) => {
        if (--this.#open === 0) this.#idle?.();
        request.onDone(status);
      });
  }
  async #inParts({ op, offset, length, flags, payload }: BlockRequest): Promise<void> {
    // Without FLUSH the server has nothing volatile, or nobody can do anything about it.
    if (op === BlockOp.Flush) return;
    const one = { submit: (part: BlockRequest) => this.#dispatch(part) };
    const rest = flags & ~BlockFlag.Fua;
    if (op === BlockOp.Write) {
      await perform(one, { op, offset, length, flags: rest, ...(payload && { payload }) });
    } else if (op === BlockOp.Trim && !this.#has(TransmissionFlag.SendTrim)) {
      return;
    } else if (op === BlockOp.WriteZeroes && !this.#has(TransmissionFlag.SendWriteZeroes)) {
      await this.#writeZeroes(one, offset, length, rest);
    } else {
      const fastMissing = (flags & BlockFlag.FastZero) !== 0 && !this.#has(TransmissionFlag.SendFastZero);
      if (fastMissing) throw new BlockError(BlockStatus.Enotsup, 'the server cannot tell what is fast');
      for (let at = 0; at < length; at += LARGEST_RANGE) {
        await perform(one, { op, offset: offset + at, length: Math.min(LARGEST_RANGE, length - at), flags: rest });
      }
    }
    if ((flags & BlockFlag.Fua) !== 0 && this.writeCache) {
      await perform(this, { op: BlockOp.Flush, offset: 0, length: 0 });
    }
  }
  async #writeZeroes(one: Pick<BlockDevice, 'submit'>, offset: number, length: number, flags: number): Promise<void> {
    if ((flags & BlockFlag.FastZero) !== 0) throw new BlockError(BlockStatus.Enotsup, 'zeroes are written');
    const step = Math.min(ZEROES.length, this.maxTransfer);
    for (let at = 0; at < length; at += step) {
      const payload = ZEROES.subarray(0, Math.min(step, length - at));
      await perform(one, { op: BlockOp.Write, offset: offset + at, length: payload.length, payload });
    }
  }

  async allocation({ offset, length }: ByteRange, most: number): Promise<readonly Extent[]> {
    const connection = await this.#whenRoom();
    if (connection.ended) throw new BlockError(BlockStatus.Eio, 'the connection to the NBD server was lost');
    if (connection.terms?.allocation == null) {
      throw new AppError('ERR_NOT_SUPPORTED', 'the NBD server does not tell what is allocated');
    }
    const range = { offset, length: Math.min(length, LARGEST_RANGE) };
    const extents = await new Promise<readonly Extent[]>((resolve, reject) => {
      connection.sendBlockStatus(range, most, (status, found) => {
        if (status === BlockStatus.Ok) resolve(found);
        else reject(new BlockError(status, `the NBD server does not tell what is allocated at ${offset}`));
      });
    });
    // Neighbours of one kind come apart where the server thinks in smaller pieces.
    const joined = clip(extents, 0, range.length);
    if (joined.every((extent) => extent.length % this.blockSize === 0)) return joined;
    throw new AppError('ERR_NOT_SUPPORTED', 'the NBD server tells of parts of blocks');
  }
  prefetch(range: ByteRange): void {
    const connection = this.#usable();
    if (connection === null || !this.#has(TransmissionFlag.SendCache)) return;
    connection.sendCache({ offset: range.offset, length: Math.min(range.length, this.maxTransfer) });
  }
  #whenRoom(): Promise<NbdClientConnection> {
    if (this.#closing !== null) throw new BlockError(BlockStatus.Eshutdown, 'the NBD disk is closed');
    const connection = this.#usable();
    if (connection !== null) return Promise.resolve(connection);
    return new Promise((resolve, reject) => {
      const fail = () => reject(new BlockError(BlockStatus.Eio, 'there is no connection to the NBD server'));
      // `go` must use the room before anybody else does, so what follows is done at once.
      this.#callers.push({ go: resolve, fail });
      this.ready();
    });
  }

  // ---- Connections ------------------------------------------------------------------------------------------------

  lost(connection: NbdClientConnection, error: AppError | null): void {
    if (connection !== this.#connection) return;
    this.#connection = null;
    this.#lostAt = this.#host.now();
    const writesLost = this.#changes > this.#flushed && this.writeCache;
    if (writesLost) this.#failFlushes();
    this.#host.onChange?.({ kind: 'lost', error, writesLost });
    this.#reconnect();
  }

  #reconnect(): void {
    if (this.#closing !== null || this.#geometry === null) return;
    this.#connecting ??= this.#findAgain().finally(() => {
      this.#connecting = null;
      this.ready();
    });
  }
  async #findAgain(): Promise<void> {
    let told = false;
    while (this.#connection === null && this.#closing === null) {
      const pace = PACE_MS[Math.min(this.#attempts++, PACE_MS.length - 1)] ?? 0;
      await this.#host.delay(pace, this.#stop.signal).catch(() => {});
      if (this.#closing !== null) break;
      try {
        const connection = await this.#host.connect(this);
        this.#take(connection);
        this.#host.onChange?.({ kind: 'found', sizeBytes: this.#sizeBytes });
      } catch (error) {
        const reason = error instanceof AppError ? error : new AppError('ERR_INTERNAL', String(error));
        if (!told) this.#host.onChange?.({ kind: 'refused', error: reason });
        told = true;
        if (this.#host.now() - this.#lostAt >= (this.#options.patienceMs ?? PATIENCE_MS)) this.#failWaiting();
      }
    }
    if (this.#closing !== null) this.#failWaiting();
  }
  /** Uses `connection` from now on, if its export can be the same disk. */
  #take(connection: NbdClientConnection): void {
    const { terms } = connection;
    if (terms === null || connection.ended) throw new AppError('ERR_CONNECT', 'the NBD connection was lost at once');
    try {
      if (this.#closing !== null) throw new AppError('ERR_NOT_CONNECTED', 'the NBD disk is closed');
      const geometry = geometryOf(terms, this.#options);
      this.#checkSame(geometry);
      // What initiators have been told stays; what the server can do is the new one's.
      this.#geometry = this.#geometry === null ? geometry : { ...this.#geometry, flags: geometry.flags };
      this.#sizeBytes = geometry.sizeBytes;
      this.#connection = connection;
    } catch (error) {
      connection.disconnect();
      throw error;
    }
    this.ready();
  }
  #checkSame({ sizeBytes, blockSize, maxTransfer, writeCache }: Geometry): void {
    const old = this.#geometry;
    if (old === null) return;
    const wrong = sizeBytes < this.#sizeBytes || blockSize > old.blockSize || maxTransfer < old.maxTransfer;
    // A server that has a cache now, where initiators were told of none, would lose what they take for stable.
    if (!wrong && (!writeCache || old.writeCache)) return;
    throw new AppError(
      'ERR_CONNECT',
      `the NBD server has another disk now: ${sizeBytes} bytes, not ${this.#sizeBytes}`,
    );
  }
  #failWaiting(): void {
    const status = this.#closing === null ? BlockStatus.Eio : BlockStatus.Eshutdown;
    for (const request of this.#waiting.splice(0)) request.onDone(status);
    for (const caller of this.#callers.splice(0)) caller.fail();
  }

  /**
   * Looks whether the export has grown, which a server tells new connections only: one is made, and used from then on if it
   * has. Requests wait meanwhile. Returns the size in bytes now in force. Rejects with AppError.
   */
  async refreshSize(): Promise<number> {
    const old = this.#connection;
    if (old === null || this.#held || this.#closing !== null) {
      throw new AppError('ERR_NOT_CONNECTED', 'there is no connection to the NBD server', { retriable: true });
    }
    const next = await this.#host.connect(this);
    if ((next.terms?.sizeBytes ?? 0) === this.#sizeBytes || this.#connection !== old) {
      next.disconnect();
      return this.#sizeBytes;
    }
    this.#held = true;
    try {
      await this.#exchange(old, next);
    } finally {
      this.#held = false;
      this.ready();
    }
    return this.#sizeBytes;
  }
  /** What was written over `old` is flushed over it too: the server may keep the caches of its connections apart. */
  async #exchange(old: NbdClientConnection, next: NbdClientConnection): Promise<void> {
    try {
      await this.#drained(old);
      if (this.#changes > this.#flushed && this.writeCache) await this.#flushOver(old);
      if (this.#connection !== old) throw new AppError('ERR_NOT_CONNECTED', 'the NBD connection was lost meanwhile');
      this.#take(next);
    } catch (error) {
      next.disconnect();
      throw error;
    }
    old.disconnect();
  }
  async #drained(connection: NbdClientConnection): Promise<void> {
    while (connection.inFlight > 0 && !connection.ended) await this.#host.delay(10, this.#stop.signal);
  }
  async #flushOver(connection: NbdClientConnection): Promise<void> {
    const mark = this.#changes;
    await perform({ submit: (request) => connection.send(request) }, { op: BlockOp.Flush, offset: 0, length: 0 });
    this.#flushed = Math.max(this.#flushed, mark);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }
  async #close(): Promise<void> {
    // So that `closing` is set before anything is failed.
    await null;
    this.#stop.abort();
    if (this.#connection === null) this.#failWaiting();
    if (this.#open > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    this.#connection?.disconnect();
    this.#connection = null;
    this.#failWaiting();
    await this.#connecting;
  }
}

/** A request of the device's user on its way; `mark` is how many changes had been acknowledged when it went out. */
class Tracked extends ForwardRequest {
  mark = 0;
  readonly #onEnd: (tracked: Tracked, status: BlockStatus) => BlockRequest;
  constructor(onEnd: (tracked: Tracked, status: BlockStatus) => BlockRequest) {
    super();
    this.#onEnd = onEnd;
  }
  release(): BlockRequest {
    return this.leave();
  }
  override onDone(status: BlockStatus): void {
    this.#onEnd(this, status).onDone(status);
  }
}
