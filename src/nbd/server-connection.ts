// One client of the NBD server: the fixed newstyle handshake, then the transmission phase (NBD proto.md).
import { AppError, ProtocolError } from '../util/errors.js';
import type { BufferPool, RefBuffer } from '../util/ref-buffer.js';
import type { StreamConsumer, Timed, TransmitSink } from '../util/stream.js';
import type { ExportRegistry } from './exports.js';
import { Handshake } from './handshake.js';
import { DEFAULT_LIMITS, type NbdLimits } from './limits.js';
import type { Session } from './negotiation.js';
import { Transmission } from './transmission.js';
import { TransmissionFlag } from './wire/constants.js';

export interface NbdServerOptions {
  readonly exports: ExportRegistry;
  readonly sink: TransmitSink;
  readonly pool: BufferPool;
  /** Milliseconds on the driver's monotonic clock: the handshake's time runs from here. */
  readonly now: number;
  readonly limits?: Partial<NbdLimits>;
  /** Nothing but NBD_OPT_STARTTLS is taken before TLS is up; see the output of that name. Default false: no TLS at all. */
  readonly tls?: boolean;
  /**
   * Called when `poll()` has something new or `paused` has changed outside of a call by the driver, that is when the
   * device completed a request. It may poll and look at the properties; it must not feed bytes.
   */
  readonly wake?: () => void;
}

export type NbdServerOutput =
  /**
   * Send what the sink holds, put TLS over the socket, then call `secured()`. Until then the core is paused and takes
   * no byte.
   */
  | { readonly kind: 'start-tls' }
  /** Send what the sink holds, then end the connection. `error` says what the client did wrong; null at an orderly end. */
  | { readonly kind: 'close'; readonly error: Error | null }
  | { readonly kind: 'log'; readonly level: 'info' | 'warn'; readonly message: string };

/** Never throws for what a client sends: a broken protocol is a `close` output with its error, and nothing follows it. */
export class NbdServerConnection implements StreamConsumer, Timed {
  readonly #sink: TransmitSink;
  readonly #pool: BufferPool;
  readonly #limits: NbdLimits;
  readonly #wake: () => void;
  #handshake: Handshake;
  readonly #out: NbdServerOutput[] = [];
  #session: Session | null = null;
  #transmission: Transmission | null = null;
  #deadline: number | undefined;
  #closed = false;

  constructor({ exports, sink, pool, now, limits, wake, tls = false }: NbdServerOptions) {
    this.#sink = sink;
    this.#pool = pool;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#wake = wake ?? (() => {});
    this.#handshake = new Handshake(exports, sink, this.#limits, tls ? 'required' : 'off');
    this.#deadline = now + this.#limits.handshakeMs;
  }
  /** The name of the export in use, or null before the transmission phase. */
  get exportName(): string | null {
    return this.#session?.entry.name ?? null;
  }
  /** Whether the client was told that it cannot write; true before the transmission phase. */
  get readOnly(): boolean {
    return this.#session === null || (this.#session.flags & TransmissionFlag.ReadOnly) !== 0;
  }
  /** Bytes that READs have returned. */
  get readBytes(): number {
    return this.#transmission?.readBytes ?? 0;
  }
  /** Bytes of WRITEs that the device has acknowledged. */
  get writtenBytes(): number {
    return this.#transmission?.writtenBytes ?? 0;
  }
  /** Never once it has closed: what still comes is ignored, but only who reads sees the client's own end. */
  get paused(): boolean {
    return !this.#closed && (this.#transmission?.paused ?? this.#handshake.startsTls);
  }
  get deadline(): number | undefined {
    return this.#deadline;
  }

  onBytes(chunk: Buffer, owner: RefBuffer): void {
    if (this.#closed) return;
    try {
      const used = this.#transmission ? 0 : this.#onHandshake(chunk);
      if (used < chunk.length) this.#transmission?.onBytes(used === 0 ? chunk : chunk.subarray(used), owner);
    } catch (error) {
      this.#onFault(error);
    }
    this.#closeIfFinished();
  }
  /** TLS is up on the socket whose bytes follow: the handshake goes on, and forgets what it was told in plain text. */
  secured(): void {
    if (!this.#handshake.startsTls) throw new Error('TLS without NBD_OPT_STARTTLS');
    this.#handshake = this.#handshake.overTls();
  }
  readTarget(): Buffer | null {
    return this.#transmission?.readTarget() ?? null;
  }
  onTargetFilled(length: number): void {
    this.#transmission?.onTargetFilled(length);
    this.#closeIfFinished();
  }
  onDrain(): void {
    this.#transmission?.resume();
    this.#closeIfFinished();
  }
  handleTimeout(now: number): void {
    if (this.#closed || this.#deadline === undefined || now < this.#deadline) return;
    if (this.#transmission) {
      this.#out.push({
        kind: 'log',
        level: 'warn',
        message: 'an NBD client was cut off: its requests did not end in time',
      });
      this.#close(null);
    } else {
      const seconds = this.#limits.handshakeMs / 1000;
      this.#close(new AppError('ERR_TIMEOUT', `an NBD client did not finish its handshake in ${seconds} s`));
    }
  }
  poll(): NbdServerOutput | undefined {
    return this.#out.shift();
  }

  /**
   * Answers new requests with ESHUTDOWN and closes once those in flight have ended, after `limits.shutdownMs` at the latest.
   * A client that has not chosen an export yet is closed at once: nothing of its is in flight. `now` as in the options.
   */
  shutdown(now: number): void {
    if (this.#closed) return;
    if (!this.#transmission) {
      this.#close(null);
      return;
    }
    this.#deadline ??= now + this.#limits.shutdownMs;
    this.#transmission.shutdown();
    this.#closeIfFinished();
  }
  /** The socket is gone: drops what was being received; requests in flight end without a reply. Idempotent. */
  disconnected(): void {
    this.#closed = true;
    this.#deadline = undefined;
    this.#transmission?.end();
  }

  /** Returns how many bytes belonged to the handshake. */
  #onHandshake(chunk: Buffer): number {
    const used = this.#handshake.onBytes(chunk);
    if (this.#handshake.startsTls) this.#startTls(chunk.length - used);
    else if (this.#handshake.aborted) this.#close(null);
    else if (this.#handshake.session) this.#begin(this.#handshake.session);
    return used;
  }
  /** A client waits for our answer before it goes on: what stands behind its request was not sent by it (CVE-2021-3716). */
  #startTls(bytesBehind: number): void {
    if (bytesBehind > 0) {
      throw new ProtocolError('NBD proto.md "NBD_OPT_STARTTLS"', `${bytesBehind} bytes in plain text behind STARTTLS`);
    }
    this.#out.push({ kind: 'start-tls' });
  }
  #begin(session: Session): void {
    this.#session = session;
    this.#deadline = undefined;
    this.#out.push({ kind: 'log', level: 'info', message: `an NBD client opened export ${session.entry.name}` });
    this.#transmission = new Transmission(session, this.#sink, this.#pool, this.#limits, {
      onChange: () => {
        this.#closeIfFinished();
        this.#wake();
      },
      onFault: (error) => {
        this.#onFault(error);
        this.#wake();
      },
    });
  }
  #closeIfFinished(): void {
    if (!this.#closed && this.#transmission?.finished) this.#close(null);
  }
  #onFault(error: unknown): void {
    this.#close(error instanceof Error ? error : new Error(String(error)));
  }
  #close(error: Error | null): void {
    if (this.#closed) return;
    this.disconnected();
    this.#out.push({ kind: 'close', error });
  }
}
