// What is done about a command that takes too long: more time where its data moves, then the steps of the escalation.
import type { Counters } from './counters.js';
import { Escalation, type EscalationHost } from './escalation.js';
import { type Task, TaskFailure, TaskState, type TaskTable } from './tasks.js';

/** What it needs of its session. */
export interface OverdueHost extends EscalationHost {
  readonly counters: Counters;
}

export class Overdue {
  readonly #tasks: TaskTable;
  readonly #host: OverdueHost;
  readonly #escalation: Escalation;

  constructor(tasks: TaskTable, host: OverdueHost) {
    this.#escalation = new Escalation(tasks, host);
    this.#tasks = tasks;
    this.#host = host;
  }
  /** The deadline of `task` has passed, which is queued, sent or being aborted: it gets another or ends. */
  handle(task: Task, now: number): void {
    // A queue behind tasks that are sent moves on when these end, as each of them does by its own deadline.
    const waits = task.state === TaskState.Queued && this.#tasks.active > 0;
    if (waits || (task.state === TaskState.Active && task.extend(this.#isBehind(task)))) {
      task.deadline = now + task.timeoutMs;
      return;
    }
    this.#host.counters.timeout_err++;
    if (task.state === TaskState.Aborting) {
      this.#escalation.climb(task, now);
    } else if (task.state === TaskState.Active && this.#host.connection !== null) {
      this.#host.counters.eh_abort_cnt++;
      this.#escalation.abort(task, now);
    } else {
      task.failure = TaskFailure.TimedOut;
      this.#tasks.finish(task);
    }
  }
  /** A line that is slow or full carries one command's data after the other's: a newer one waits for its turn. */
  #isBehind(task: Task): boolean {
    return this.#tasks.slots.some(
      (other) => other.state === TaskState.Active && other.order < task.order && other.moves,
    );
  }
}
