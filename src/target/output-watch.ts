// Whether an initiator still takes what is sent to it. Its silence shows a dead peer to the keepalive; this shows one that
// talks, or is not listened to any more, while it reads nothing.
import type { TransmitSink } from '../util/stream.js';

/** Times are milliseconds on the caller's monotonic clock. It looks from time to time, so it notices up to `lookEveryMs` late. */
export class OutputWatch {
  readonly #sink: TransmitSink;
  readonly #lookEveryMs: number;
  readonly #patienceMs: number;
  #taken: number | undefined;
  #movedAt: number;
  #lookAt: number;

  constructor(sink: TransmitSink, lookEveryMs: number, patienceMs: number, now: number) {
    this.#sink = sink;
    this.#lookEveryMs = lookEveryMs;
    this.#patienceMs = patienceMs;
    this.#taken = sink.taken;
    this.#movedAt = now;
    this.#lookAt = now + lookEveryMs;
  }
  get deadline(): number {
    return this.#lookAt;
  }
  /** Whether the peer has taken nothing for too long although something was there to be taken. */
  stuck(now: number): boolean {
    if (now < this.#lookAt) return false;
    this.#lookAt = now + this.#lookEveryMs;
    const { taken, backlog } = this.#sink;
    if (backlog === 0 || taken === undefined || taken !== this.#taken) {
      this.#taken = taken;
      this.#movedAt = now;
    }
    return now - this.#movedAt >= this.#patienceMs;
  }
}
