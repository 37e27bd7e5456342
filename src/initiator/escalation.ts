// How a command that gets no answer is got rid of, one step at a time, each with its own time: ABORT TASK, LOGICAL UNIT RESET,
// TARGET WARM RESET (RFC 7143 §11.5), a new connection.
import { TaskFunction, TaskResponse } from '../iscsi/wire/task-management.js';
import { lunToText } from '../scsi/lun.js';
import { AppError } from '../util/errors.js';
import type { InitiatorConnection } from './connection.js';
import type { InitiatorEnvironment, InitiatorTimers } from './options.js';
import { NO_LUN, type Task, TaskFailure, TaskState, type TaskTable } from './tasks.js';

/** What it needs of its session. */
export interface EscalationHost {
  readonly environment: InitiatorEnvironment;
  readonly connection: InitiatorConnection | null;
  note(level: 'info' | 'warn', message: string): void;
}

/**
 * Whether the target does nothing more with the commands that the function was for (§11.6.1): a unit that is not there has
 * none. Anything else than Complete to a reset of the target says that there was no reset, so its commands are still alive.
 */
function isGone(taskFunction: number, response: number): boolean {
  if (response === TaskResponse.Complete) return true;
  if (taskFunction === TaskFunction.TargetWarmReset) return false;
  if (response === TaskResponse.LunDoesNotExist) return true;
  return taskFunction === TaskFunction.AbortTask && response === TaskResponse.TaskDoesNotExist;
}

/** A reset that is under way, or that has been refused. */
class Reset {
  refused = false;
  constructor(
    readonly deadline: number,
    /** The tasks that it ends, with the tags under which they were sent. */
    readonly covers: readonly (readonly [Task, number])[],
  ) {}
  isPending(now: number): boolean {
    return !this.refused && now < this.deadline;
  }
}

export class Escalation {
  readonly #tasks: TaskTable;
  readonly #host: EscalationHost;
  /** Of logical units, by their address in hex. */
  readonly #units = new Map<string, Reset>();
  #target: Reset | null = null;

  constructor(tasks: TaskTable, host: EscalationHost) {
    this.#tasks = tasks;
    this.#host = host;
  }
  /** The first step for a task that has been sent. Its slot is kept until the target has let go of its data. */
  abort(task: Task, now: number): void {
    const reset = this.#pending(task, now);
    if (reset !== null) {
      task.deadline = reset.deadline;
      return;
    }
    const { itt } = task;
    task.state = TaskState.Aborting;
    task.deadline = now + this.#timers.abortTimeoutMs;
    this.#host.connection?.manageTasks(TaskFunction.AbortTask, task.lun, task, (response) => {
      if (response === null || this.#tasks.find(itt) !== task) return;
      if (isGone(TaskFunction.AbortTask, response)) this.#end(task);
      else this.climb(task, this.#host.environment.now());
    });
  }
  /** The next step for a task that is being aborted: the one before was refused, or not answered in its time. */
  climb(task: Task, now: number): void {
    const pending = this.#pending(task, now);
    if (pending !== null) task.deadline = pending.deadline;
    else if (this.#target !== null) this.#drop(task);
    else if (this.#units.has(keyOf(task))) this.#resetTarget(task, now);
    else this.#resetUnit(task, now);
  }

  get #timers(): InitiatorTimers {
    return this.#host.environment.timers;
  }
  /** The reset that will end the task if it succeeds. */
  #pending(task: Task, now: number): Reset | null {
    const unit = this.#units.get(keyOf(task));
    if (this.#target?.isPending(now)) return this.#target;
    return unit?.isPending(now) ? unit : null;
  }
  #resetUnit(task: Task, now: number): void {
    const key = keyOf(task);
    this.#note(task, 'a command gets no answer and is not aborted: LOGICAL UNIT RESET');
    const reset = this.#start(task, now + this.#timers.luResetTimeoutMs, (other) => other.lun.equals(task.lun));
    this.#units.set(key, reset);
    this.#send(TaskFunction.LogicalUnitReset, task, reset, () => this.#units.delete(key));
  }
  #resetTarget(task: Task, now: number): void {
    this.#note(task, 'a command gets no answer, and LOGICAL UNIT RESET did not help: TARGET WARM RESET');
    const reset = this.#start(task, now + this.#timers.tgtResetTimeoutMs, () => true);
    this.#target = reset;
    this.#send(TaskFunction.TargetWarmReset, task, reset, () => this.#forget());
  }
  #note({ lun }: Task, message: string): void {
    this.#host.note('warn', `LUN ${lunToText(lun)}: ${message}`);
  }
  #start(task: Task, deadline: number, isMeant: (task: Task) => boolean): Reset {
    task.deadline = deadline;
    const sent = (other: Task) => other.state === TaskState.Active || other.state === TaskState.Aborting;
    const covers = this.#tasks.inOrder((other) => sent(other) && isMeant(other));
    return new Reset(
      deadline,
      covers.map((other) => [other, other.itt] as const),
    );
  }
  #send(taskFunction: number, task: Task, reset: Reset, done: () => void): void {
    const lun = taskFunction === TaskFunction.LogicalUnitReset ? task.lun : NO_LUN;
    const { itt } = task;
    this.#host.connection?.manageTasks(taskFunction, lun, null, (response) => {
      if (response === null) {
        this.#forget();
      } else if (isGone(taskFunction, response)) {
        done();
        for (const [covered, tag] of reset.covers) if (this.#tasks.find(tag) === covered) this.#end(covered);
      } else {
        reset.refused = true;
        if (this.#tasks.find(itt) === task) this.climb(task, this.#host.environment.now());
      }
    });
  }
  /** The target has let go of the task: for its own sake, or with others. */
  #end(task: Task): void {
    task.failure = task.state === TaskState.Aborting ? TaskFailure.TimedOut : TaskFailure.Cleared;
    this.#tasks.finish(task);
  }
  /** The connection goes on account of `task`, which will be sent again on the next one, but not for ever. */
  #drop(task: Task): void {
    const message = 'the target neither answers a command nor lets itself be reset';
    task.drops++;
    this.#forget();
    this.#host.connection?.drop(new AppError('ERR_TIMEOUT', message, { retriable: true }));
  }
  #forget(): void {
    this.#units.clear();
    this.#target = null;
  }
}

function keyOf({ lun }: Task): string {
  return lun.toString('hex');
}
