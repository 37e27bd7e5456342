// Keeps COMPARE AND WRITE and ORWRITE atomic against every other change of the same disk (SBC-3 §5.2, §5.6).
import type { Resumable } from './scsi-task.js';

/**
 * Plain writes pass side by side; an exclusive holder waits until none is in flight and holds back new ones. The plain
 * path is one comparison and one addition, since exclusive commands are rare.
 */
export class WriteGate {
  #writing = 0;
  #held = false;
  readonly #exclusive: (() => void)[] = [];
  readonly #waiting: Resumable[] = [];

  /** Whether the write may start now. If not, `waiter.resume` is called when it may ask again. */
  enter(waiter: Resumable): boolean {
    if (this.#held || this.#exclusive.length > 0) {
      this.#waiting.push(waiter);
      return false;
    }
    this.#writing++;
    return true;
  }
  leave(): void {
    this.#writing--;
    this.#next();
  }
  /** Settles when nothing else writes; `releaseExclusive` must follow. */
  acquireExclusive(): Promise<void> {
    return new Promise((resolve) => {
      this.#exclusive.push(resolve);
      this.#next();
    });
  }
  releaseExclusive(): void {
    this.#held = false;
    this.#next();
  }

  #next(): void {
    if (this.#held) return;
    if (this.#exclusive.length > 0) {
      if (this.#writing > 0) return;
      this.#held = true;
      this.#exclusive.shift()?.();
      return;
    }
    if (this.#waiting.length === 0) return;
    for (const waiter of this.#waiting.splice(0)) waiter.resume();
  }
}
