// The task set of a logical unit (SAM-5 §8): which commands run now and which wait for older ones.
import { type ScsiTask, TaskAttribute } from './scsi-task.js';

/** Commands that one unit may hold for all initiators; more get TASK SET FULL. */
const MOST_TASKS = 4096;

/**
 * SIMPLE commands run at once and side by side; an ORDERED one waits for all before it, and all after it wait for it;
 * HEAD OF QUEUE runs at once. A command belongs here from `enter` to `leave`.
 */
export class TaskSet {
  readonly #tasks = new Set<ScsiTask>();
  readonly #dormant: ScsiTask[] = [];
  readonly #run: (task: ScsiTask) => void;
  #orderedRunning = false;
  #running = 0;

  constructor(run: (task: ScsiTask) => void) {
    this.#run = run;
  }
  get size(): number {
    return this.#tasks.size;
  }
  get full(): boolean {
    return this.#tasks.size >= MOST_TASKS;
  }
  tasks(): ScsiTask[] {
    return [...this.#tasks];
  }

  enter(task: ScsiTask): void {
    this.#tasks.add(task);
    const waits =
      task.attribute !== TaskAttribute.HeadOfQueue &&
      (this.#dormant.length > 0 ||
        this.#orderedRunning ||
        (task.attribute === TaskAttribute.Ordered && this.#running > 0));
    if (waits) this.#dormant.push(task);
    else this.#start(task);
  }

  leave(task: ScsiTask): void {
    if (!this.#tasks.delete(task)) return;
    const waiting = this.#dormant.indexOf(task);
    if (waiting >= 0) this.#dormant.splice(waiting, 1);
    else {
      this.#running--;
      if (task.attribute === TaskAttribute.Ordered) this.#orderedRunning = false;
    }
    this.#wake();
  }

  /** Whether the command has not been started, so that it can be taken away without a trace. */
  isDormant(task: ScsiTask): boolean {
    return this.#dormant.length > 0 && this.#dormant.includes(task);
  }

  #start(task: ScsiTask): void {
    this.#running++;
    if (task.attribute === TaskAttribute.Ordered) this.#orderedRunning = true;
    this.#run(task);
  }

  #wake(): void {
    while (this.#dormant.length > 0 && !this.#orderedRunning) {
      const next = this.#dormant[0];
      if (!next || (next.attribute === TaskAttribute.Ordered && this.#running > 0)) return;
      this.#dormant.shift();
      this.#start(next);
    }
  }
}

/** Aborts `tasks` and calls `done` when all of them have ended; at once if there are none. */
export function abortAll(tasks: readonly ScsiTask[], done: () => void): void {
  let left = tasks.length;
  if (left === 0) {
    done();
    return;
  }
  for (const task of tasks) {
    task.abort(() => {
      if (--left === 0) done();
    });
  }
}
