// One client of the NBD server: the fixed newstyle handshake, then the transmission phase (NBD proto.md).
import type { BufferPool, RefBuffer } from '../util/ref-buffer.js';
import type { StreamConsumer, Timed, TransmitSink } from '../util/stream.js';
import type { ExportRegistry } from './exports.js';
import type { NbdLimits } from './limits.js';

export interface NbdServerOptions {
  readonly exports: ExportRegistry;
  readonly sink: TransmitSink;
  readonly pool: BufferPool;
  /** Milliseconds on the driver's monotonic clock: the handshake's time runs from here. */
  readonly now: number;
  readonly limits?: Partial<NbdLimits>;
  /**
   * Called when `poll()` has something new or `paused` became false outside of a call by the driver, that is when the
   * device completed a request. It must only note the fact (or poll); it must not call back into the core.
   */
  readonly wake?: () => void;
}

export type NbdServerOutput =
  /** Send what the sink holds, then end the connection. `error` says what the client did wrong, or null at an orderly end. */
  | { readonly kind: 'close'; readonly error: Error | null }
  | { readonly kind: 'log'; readonly level: 'debug' | 'info' | 'warn'; readonly message: string };

/** Never throws for what a client sends: a broken protocol is a `close` with its error. */
export class NbdServerConnection implements StreamConsumer, Timed {
  constructor(_options: NbdServerOptions) {
    throw new Error('under construction');
  }
  /** The export in use, or null before the transmission phase. */
  get exportName(): string | null {
    return null;
  }
  /** Payload bytes sent for READ and accepted for WRITE. */
  get readBytes(): number {
    return 0;
  }
  get writtenBytes(): number {
    return 0;
  }
  get paused(): boolean {
    return false;
  }
  get deadline(): number | undefined {
    return undefined;
  }
  onBytes(_chunk: Buffer, _owner: RefBuffer): void {}
  readTarget(): Buffer | null {
    return null;
  }
  onTargetFilled(_length: number): void {}
  onDrain(): void {}
  handleTimeout(_now: number): void {}
  poll(): NbdServerOutput | undefined {
    return undefined;
  }
  /** Answers new requests with ESHUTDOWN and closes once those in flight have ended, after `limits.shutdownMs` at the latest. */
  shutdown(_now: number): void {}
  /** The socket is gone: drops what was being received; requests in flight end without a reply. Idempotent. */
  disconnected(): void {}
}
