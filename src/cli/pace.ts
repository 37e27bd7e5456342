// How far a long copy or clearing has come: percent, rate, done of total, and the time it will still take.
import { formatAge, formatSize } from './render/text.js';

/** Before this the rate is a guess, milliseconds. */
const FIRST_RATE_MS = 500;

export class Pace {
  readonly #total: number;
  readonly #now: () => number;
  readonly #since: number;

  /** `total`: bytes in all. `now`: a clock that only goes forward, milliseconds. */
  constructor(total: number, now: () => number = () => performance.now()) {
    this.#total = total;
    this.#now = now;
    this.#since = now();
  }

  /** `34%  120M/s  3.4G/10G  ETA 58s`, once `done` bytes are through. */
  text(done: number): string {
    const bytes = Math.min(done, this.#total);
    const ms = this.#now() - this.#since;
    const percent = this.#total === 0 ? 100 : Math.floor((bytes / this.#total) * 100);
    const amount = `${formatSize(bytes)}/${formatSize(this.#total)}`;
    if (ms < FIRST_RATE_MS || bytes === 0) return `${percent}%  ${amount}`;
    const rate = (bytes / ms) * 1000;
    return `${percent}%  ${formatSize(rate)}/s  ${amount}  ETA ${formatAge((this.#total - bytes) / rate)}`;
  }
}
