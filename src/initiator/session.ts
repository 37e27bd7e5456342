// An initiator's session, RFC 7143 §4.4.2 and §8.3: it owns the ISID and the tasks, and outlives its connections.
import type { OperationalParams } from '../iscsi/params.js';
import { TaskFunction, TaskResponse } from '../iscsi/wire/task-management.js';
import type { Sense } from '../scsi/sense.js';
import { AppError } from '../util/errors.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import type { Timed, TransmitSink } from '../util/stream.js';
import { InitiatorConnection } from './connection.js';
import { Counters } from './counters.js';
import { CommandRunner, type ScsiCommand, type ScsiResult, type TaskSlots } from './execute.js';
import type { ConnectionOutput, InitiatorEnvironment, LoginOptions } from './options.js';
import { type Task, TaskFailure, type TaskOwner, TaskState, TaskTable } from './tasks.js';

/** RFC 7143 §8.3.1. FAILED: the connection is lost and no other has taken its place yet. */
export type SessionState = 'FREE' | 'LOGGED_IN' | 'FAILED';

/** What a session reports: its connections' outputs, and what the logical units say out of turn. */
export type SessionOutput =
  | ConnectionOutput
  | { readonly kind: 'unit-attention'; readonly lun: Buffer; readonly sense: Sense };

export class InitiatorSession implements Timed, TaskSlots {
  readonly counters = new Counters();
  readonly #login: LoginOptions;
  readonly #environment: InitiatorEnvironment;
  readonly #tasks = new TaskTable();
  readonly #runner: CommandRunner;
  readonly #outputs: SessionOutput[] = [];
  readonly #logouts: { resolve: () => void; reject: (error: AppError) => void }[] = [];
  #connection: InitiatorConnection | null = null;
  #state: SessionState = 'FREE';
  #closing = false;
  #params: OperationalParams | null = null;
  #tsih = 0;
  #lastError: AppError | null = null;
  /** No task wants anything before this time. It may be too early, never too late. */
  #sweepAt = Number.POSITIVE_INFINITY;

  constructor(login: LoginOptions, environment: InitiatorEnvironment) {
    this.#login = login;
    this.#environment = environment;
    this.#runner = new CommandRunner(this);
  }
  get state(): SessionState {
    return this.#state;
  }
  get isid(): Buffer {
    return this.#login.isid;
  }
  /** That of the last login, 0 before the first. */
  get tsih(): number {
    return this.#tsih;
  }
  /** What the current or last connection negotiated. */
  get params(): OperationalParams | null {
    return this.#params;
  }
  /** Why the last connection ended, or the last login failed. */
  get lastError(): AppError | null {
    return this.#lastError;
  }
  get connection(): InitiatorConnection | null {
    return this.#connection;
  }
  /** Tasks that an owner holds: in flight, queued or backing off. */
  get tasksInUse(): number {
    return this.#tasks.inUse;
  }
  get environment(): InitiatorEnvironment {
    return this.#environment;
  }

  /**
   * A connection over `sink` that logs in at once, with the session's ISID and TSIH 0: that reinstates a session whose
   * connection was lost (§6.3.5). The driver feeds the connection and drives this session's timers, which include it.
   */
  open(sink: TransmitSink): InitiatorConnection {
    if (this.#connection !== null) throw new Error('the session has a connection');
    const environment = { ...this.#environment, onOutput: () => this.#drain() };
    this.#connection = new InitiatorConnection(this.#login, environment, sink, {
      tasks: this.#tasks,
      counters: this.counters,
    });
    return this.#connection;
  }
  poll(): SessionOutput | undefined {
    return this.#outputs.shift();
  }

  // Time

  get deadline(): number | undefined {
    const connection = this.#connection?.deadline ?? Number.POSITIVE_INFINITY;
    const first = Math.min(connection, this.#sweepAt);
    return first === Number.POSITIVE_INFINITY ? undefined : first;
  }
  handleTimeout(now: number): void {
    this.#connection?.handleTimeout(now);
    if (now < this.#sweepAt) return;
    this.#sweepAt = Number.POSITIVE_INFINITY;
    for (const task of this.#tasks.slots) {
      if (task.state > TaskState.Held) this.#attend(task, now);
    }
    this.#connection?.send();
  }

  // Commands

  /** A whole command for probing and management. Rejects with AppError when the session is lost or the time is over. */
  execute(command: ScsiCommand): Promise<ScsiResult> {
    return this.#runner.run(command);
  }
  /**
   * Waits for the commands in flight, logs out and resolves; those not sent yet end with an error. Rejects with AppError when
   * the target does not answer within logoutTimeoutMs. Without a connection there is nothing to do.
   */
  logout(): Promise<void> {
    this.#closing = true;
    if (this.#connection === null || this.#state !== 'LOGGED_IN') {
      this.#connection?.drop(new AppError('ERR_LOGIN', 'the login was given up'));
      this.#state = 'FREE';
      return Promise.resolve();
    }
    const done = new Promise<void>((resolve, reject) => this.#logouts.push({ resolve, reject }));
    this.#connection.logout();
    return done;
  }

  // The slot path: no promise and no object for a command

  /** A slot of the task table, or null when all are taken. The owner fills it, starts it and releases it. */
  take(owner: TaskOwner): Task | null {
    return this.#tasks.take(owner);
  }
  /** What the task writes, or null: held until its status, so that it can be sent again. Sets its length too. */
  setPayload(task: Task, payload: Buffer | null, owner: RefBuffer | null): void {
    this.#tasks.setPayload(task, payload, owner);
  }
  /** Queues the task and sends it if it may be sent. It ends in its owner's onTaskDone, within this call if the session is lost. */
  start(task: Task): void {
    if (this.#state !== 'LOGGED_IN' || this.#closing) {
      task.failure = TaskFailure.Lost;
      this.#tasks.finish(task);
      return;
    }
    task.deadline = this.#environment.now() + task.timeoutMs;
    this.#sooner(task.deadline);
    this.#tasks.enqueue(task);
    this.#connection?.send();
  }
  /** The same after `delayMs` milliseconds. */
  startLater(task: Task, delayMs: number): void {
    if (this.#state !== 'LOGGED_IN' || this.#closing) {
      this.start(task);
      return;
    }
    this.#tasks.rest(task, this.#environment.now() + delayMs);
    this.#sooner(task.wakeAt);
  }
  release(task: Task): void {
    this.#tasks.release(task);
  }
  /** A logical unit reports a change with the answer to some command. */
  noteUnitAttention(lun: Buffer, sense: Sense): void {
    this.#report({ kind: 'unit-attention', lun, sense });
  }

  /** Does what `task`'s time has come for, and remembers when to look again. */
  #attend(task: Task, now: number): void {
    if (task.state === TaskState.Backoff) {
      if (now < task.wakeAt) {
        this.#look(task.wakeAt);
        return;
      }
      task.deadline = now + task.timeoutMs;
      this.#tasks.enqueue(task);
    } else if (now >= task.deadline) {
      this.#expire(task, now);
    }
    if (task.state > TaskState.Held) this.#look(task.deadline);
  }
  /** Commands are started from other connections' turns, whose drivers do not watch our deadline: ours must be told. */
  #sooner(at: number): void {
    if (at >= this.#sweepAt) return;
    this.#sweepAt = at;
    this.#environment.onOutput?.();
  }
  #look(at: number): void {
    if (at < this.#sweepAt) this.#sweepAt = at;
  }
  #expire(task: Task, now: number): void {
    // A queue behind tasks that are sent moves on when these end, as each of them does by its own deadline.
    const waits = task.state === TaskState.Queued && this.#tasks.active > 0;
    if (waits || (task.state === TaskState.Active && task.extend(this.#isBehind(task)))) {
      task.deadline = now + task.timeoutMs;
      return;
    }
    this.counters.timeout_err++;
    if (task.state === TaskState.Aborting) {
      this.#connection?.drop(new AppError('ERR_TIMEOUT', 'the target does not answer ABORT TASK', { retriable: true }));
    } else if (task.state === TaskState.Active && this.#connection !== null) {
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
    task.deadline = now + this.#environment.timers.abortTimeoutMs;
    this.#connection?.manageTasks(TaskFunction.AbortTask, task.lun, task, (response) => {
      if (response === null || this.#tasks.find(itt) !== task) return;
      if (response === TaskResponse.Complete || response === TaskResponse.TaskDoesNotExist) {
        task.failure = TaskFailure.TimedOut;
        this.#tasks.finish(task);
      } else {
        const message = `the target does not abort a command that takes too long (response ${response})`;
        this.#connection?.drop(new AppError('ERR_TIMEOUT', message, { retriable: true }));
      }
    });
  }

  // What the connection reports

  #drain(): void {
    for (let output = this.#connection?.poll(); output !== undefined; output = this.#connection?.poll()) {
      this.#digest(output);
      this.#report(output);
    }
  }
  #digest(output: ConnectionOutput): void {
    switch (output.kind) {
      case 'logged-in':
        this.#state = 'LOGGED_IN';
        this.#params = output.params;
        this.#tsih = output.tsih;
        break;
      case 'login-failed':
        this.#lastError = output.error;
        this.#connection = null;
        break;
      case 'redirect':
        this.#connection = null;
        break;
      case 'lost':
        this.#lastError = output.error;
        this.#over(this.#closing ? 'FREE' : 'FAILED', output.error);
        break;
      case 'logged-out':
        this.#over(output.byTarget && !this.#closing ? 'FAILED' : 'FREE', null);
        break;
    }
  }
  /** The connection is gone. Its tasks end here; a recovery would queue them again, in their order, for the next one. */
  #over(state: SessionState, error: AppError | null): void {
    this.#connection = null;
    this.#state = state;
    this.#tasks.failAll(TaskFailure.Lost);
    this.#sweepAt = Number.POSITIVE_INFINITY;
    for (const { resolve, reject } of this.#logouts.splice(0)) error === null ? resolve() : reject(error);
  }
  #report(output: SessionOutput): void {
    this.#outputs.push(output);
    this.#environment.onOutput?.();
  }
}
