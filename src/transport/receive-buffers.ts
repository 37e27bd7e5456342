// The receiving half of a socket: where the next bytes land, and who still looks at the ones before.
import { RefBuffer } from '../util/ref-buffer.js';
import type { StreamConsumer } from '../util/stream.js';
import { type OnRead, plainSockets } from './handle.js';

/** Bytes of a receive buffer: smaller ones halve the rate of large transfers, larger ones gain nothing. */
const RECEIVE_SIZE = 262_144;
/** While parts of a buffer are in use its rest still takes reads, down to this size. */
const SMALLEST_REST = 131_072;
/** Buffers that consumers may hold before they get copies instead. */
const MOST_HELD = 8;
/** A copy pins no more than this beside the part that a consumer keeps. */
const COPY_SIZE = 16_384;
const MOST_SPARE = 16;
const spare: Buffer[] = [];

/** What a set of buffers asks of its connection. */
export interface ReceiveHooks {
  /** The core's own memory for the next bytes, or null. */
  target(): Buffer | null;
  /** `length` bytes have landed: deliver them. Returns whether to go on reading. */
  received(length: number): boolean;
}
const UNBOUND: ReceiveHooks = { target: () => null, received: () => true };

/**
 * The receive buffers of one connection. A buffer that nobody retained takes the next read too; one that somebody did
 * is set aside until it is released. libuv holds the memory of the next read also while reading is stopped, so that
 * memory is chosen right after each read and is never one that is in use.
 *
 * Reading never stops on account of buffers that are held: what they wait for (a status, the data of another command, a
 * reader that lives) may stand behind them in the same stream. Cores bound what they keep and say `paused`; once many
 * buffers are held, bytes are delivered as small copies, so that keeping a few of them does not pin a whole buffer.
 */
export class ReceiveBuffers {
  /** For `net.connect` and `moveToOnRead`; undefined where sockets are to be used plainly. */
  readonly onread: OnRead | undefined = plainSockets()
    ? undefined
    : { buffer: () => this.#next(), callback: (length) => this.#hooks.received(length) };
  readonly #mostHeld: number;
  #hooks: ReceiveHooks = UNBOUND;
  #current: RefBuffer | null = null;
  #at = 0;
  #landsInTarget = false;
  #held = 0;

  constructor({ mostHeld = MOST_HELD } = {}) {
    this.#mostHeld = mostHeld;
  }

  bind(hooks: ReceiveHooks): void {
    this.#hooks = hooks;
  }

  /** Hands `length` bytes that have just landed to `core`. */
  deliver(core: StreamConsumer, length: number): void {
    const owner = this.#current;
    if (this.#landsInTarget) {
      core.onTargetFilled(length);
    } else if (owner !== null) {
      const from = this.#at;
      if (this.#held >= this.#mostHeld) {
        deliverCopies(core, owner.buffer.subarray(from, from + length));
        return;
      }
      this.#at += length;
      core.onBytes(owner.buffer.subarray(from, this.#at), owner);
    }
  }

  /** The same for a chunk that the stream has allocated. */
  deliverPlain(core: StreamConsumer, chunk: Buffer): void {
    const target = core.readTarget();
    const copied = target === null ? 0 : chunk.copy(target);
    if (copied > 0) core.onTargetFilled(copied);
    if (copied === chunk.length) return;
    if (copied > 0) {
      this.deliverPlain(core, chunk.subarray(copied));
      return;
    }
    if (this.#held >= this.#mostHeld) {
      deliverCopies(core, chunk);
      return;
    }
    this.#held++;
    const owner = new RefBuffer(chunk, () => {
      this.#held--;
    });
    try {
      core.onBytes(chunk, owner);
    } finally {
      owner.release();
    }
  }

  /** After the socket has been closed. */
  close(): void {
    this.#hooks = UNBOUND;
    this.#setAside();
  }

  #next(): Buffer {
    const target = this.#hooks.target();
    this.#landsInTarget = target !== null && target.length > 0;
    if (target !== null && target.length > 0) return target;
    if (this.#current?.references === 1) this.#at = 0;
    if (this.#current === null || RECEIVE_SIZE - this.#at < SMALLEST_REST) {
      this.#setAside();
      this.#current = this.#take();
    }
    return this.#current.buffer.subarray(this.#at);
  }

  #take(): RefBuffer {
    this.#at = 0;
    return new RefBuffer(spare.pop() ?? Buffer.allocUnsafeSlow(RECEIVE_SIZE), (owner) => {
      if (spare.length < MOST_SPARE) spare.push(owner.buffer);
      this.#held--;
    });
  }

  /** Ends this side's hold on the current buffer; it counts as held until its last user lets go. */
  #setAside(): void {
    if (this.#current === null) return;
    this.#held++;
    this.#current.release();
    this.#current = null;
  }
}

function deliverCopies(core: StreamConsumer, chunk: Buffer): void {
  for (let at = 0; at < chunk.length; at += COPY_SIZE) {
    const copy = Buffer.from(chunk.subarray(at, at + COPY_SIZE));
    const owner = new RefBuffer(copy);
    core.onBytes(copy, owner);
    owner.release();
  }
}
