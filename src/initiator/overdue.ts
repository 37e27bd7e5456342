// What is done about a command that takes too long: more time where its data moves, then ABORT TASK, then a new connection.
import { TaskFunction, TaskResponse } from '../iscsi/wire/task-management.js';
import { AppError } from '../util/errors.js';
import type { InitiatorConnection } from './connection.js';
import type { Counters } from './counters.js';
import type { InitiatorEnvironment } from './options.js';
import { type Task, TaskFailure, TaskState, type TaskTable } from './tasks.js';

/** What it needs of its session. */
export interface OverdueHost {
  readonly environment: InitiatorEnvironment;
  readonly counters: Counters;
  readonly connection: InitiatorConnection | null;
}

export class Overdue {
  readonly #tasks: TaskTable;
  readonly #host: OverdueHost;

  constructor(tasks: TaskTable, host: OverdueHost) {
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
      this.#drop(task, 'the target does not answer ABORT TASK');
    } else if (task.state === TaskState.Active && this.#host.connection !== null) {
      this.#abort(task, now);
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
  /** The target may still read or write the command's data, so its slot is kept until ABORT TASK is answered. */
  #abort(task: Task, now: number): void {
    const { itt } = task;
    task.state = TaskState.Aborting;
    task.deadline = now + this.#host.environment.timers.abortTimeoutMs;
    this.#host.connection?.manageTasks(TaskFunction.AbortTask, task.lun, task, (response) => {
      if (response === null || this.#tasks.find(itt) !== task) return;
      if (response === TaskResponse.Complete || response === TaskResponse.TaskDoesNotExist) {
        task.failure = TaskFailure.TimedOut;
        this.#tasks.finish(task);
      } else {
        this.#drop(task, `the target does not abort a command that takes too long (response ${response})`);
      }
    });
  }
  /** The connection goes on account of `task`, which will be sent again on the next one, but not for ever. */
  #drop(task: Task, message: string): void {
    task.drops++;
    this.#host.connection?.drop(new AppError('ERR_TIMEOUT', message, { retriable: true }));
  }
}
