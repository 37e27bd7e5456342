// How many requests a logical unit takes at once: halved by TASK SET FULL, grown again by successes (SAM-5 §5.3.1).
import type { Task } from './tasks.js';

/** A limit above this is none: the command window bounds what is in flight anyway. */
const MOST = 512;

export class QueueDepth {
  readonly #most: number;
  #limit: number;
  #inFlight = 0;
  #successes = 0;
  /** Endings that still belong to the burst for which the limit was halved: they do not halve it again. */
  #settling = 0;
  readonly #waiting: Task[] = [];

  /** `most` holds whatever the unit would take. */
  constructor(most = Number.POSITIVE_INFINITY) {
    this.#most = most;
    this.#limit = most;
  }

  /** Requests at once, or Infinity. */
  get limit(): number {
    return this.#limit;
  }
  /** Whether `task` may start now; otherwise `next` gives it out when its turn has come. */
  admit(task: Task): boolean {
    if (this.#inFlight < this.#limit && this.#waiting.length === 0) {
      this.#inFlight++;
      return true;
    }
    this.#waiting.push(task);
    return false;
  }
  /** A request that had been admitted has ended. */
  leave(succeeded: boolean): void {
    this.#inFlight--;
    if (this.#limit === this.#most) return;
    if (this.#settling > 0) this.#settling--;
    if (succeeded && ++this.#successes >= this.#limit) this.#grow();
  }
  /** The unit has no room for a command: TASK SET FULL. The command itself keeps its place. */
  full(): void {
    if (this.#settling > 0) {
      this.#settling--;
      return;
    }
    this.#limit = Math.max(1, Math.floor(this.#inFlight / 2));
    this.#settling = this.#inFlight;
    this.#successes = 0;
  }
  /** The next request that waits and may start now; it is counted in. */
  next(): Task | undefined {
    if (this.#waiting.length === 0 || this.#inFlight >= this.#limit) return undefined;
    this.#inFlight++;
    return this.#waiting.shift();
  }
  #grow(): void {
    this.#successes = 0;
    this.#limit = this.#limit >= Math.min(MOST, this.#most) ? this.#most : this.#limit + 1;
  }
}
