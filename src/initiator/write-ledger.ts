// Which acknowledged changes only a volatile cache may hold, and how often such changes have been lost.
import { BlockStatus } from '../block/block-device.js';
import type { Task } from './tasks.js';

export class WriteLedger {
  /** As BlockDevice.writeLosses. */
  losses = 0;
  /** How often what the cache held may have been lost, acknowledged or not. */
  cacheLosses = 0;
  /** Changes acknowledged so far, how many of them a FLUSH has covered, and what each FLUSH under way will cover. */
  #changes = 0;
  #stable = 0;
  readonly #flushing = new Map<Task, number>();
  /** A loss that no FLUSH has told of yet: users that do not watch `losses` hear of it so. */
  #untold = false;

  /** Whether changes have been acknowledged that no FLUSH has covered, or lost and no FLUSH has told so. */
  get unflushed(): boolean {
    return this.#untold || this.#changes > this.#stable;
  }
  /** A change has been acknowledged before it is stable. */
  changed(): void {
    this.#changes++;
  }
  /** A FLUSH begins: it will cover what has been acknowledged by now. */
  flushStarts(task: Task): void {
    this.#flushing.set(task, this.#changes);
  }
  /** What the FLUSH is to end with. `refused`: the unit itself has answered with an error. */
  flushEnds(task: Task, status: BlockStatus, refused: boolean): BlockStatus {
    const covered = this.#flushing.get(task) ?? 0;
    this.#flushing.delete(task);
    if (refused) this.syncFailed();
    const untold = this.#untold;
    this.#untold = false;
    if (status !== BlockStatus.Ok) return status;
    if (untold) return BlockStatus.Eio;
    this.#stable = Math.max(this.#stable, covered);
    return status;
  }
  /** The unit could not empty its cache: what was in it may be gone, and a later success would not bring it back. */
  syncFailed(): void {
    this.cacheLosses++;
    this.losses++;
  }
  /** An acknowledged change has failed later (a deferred error). */
  failedLater(): void {
    this.cacheLosses++;
    this.losses++;
    this.#untold = true;
  }
  /** What a volatile cache held is gone. Whether anything was in it that had been acknowledged. */
  cacheLost(): boolean {
    this.cacheLosses++;
    if (this.#changes === this.#stable) return false;
    this.#stable = this.#changes;
    this.failedLater();
    return true;
  }
}
