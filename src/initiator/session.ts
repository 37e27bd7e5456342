// An initiator's session, RFC 7143 §4.4.2 and §8.3: it owns the ISID and the tasks, and outlives its connections.
import type { OperationalParams } from '../iscsi/params.js';
import type { Sense } from '../scsi/sense.js';
import { AppError } from '../util/errors.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import type { Timed, TransmitSink } from '../util/stream.js';
import { InitiatorConnection } from './connection.js';
import { Counters } from './counters.js';
import { CommandRunner, type ScsiCommand, type ScsiResult, type TaskSlots } from './execute.js';
import { type Gate, GateState, type SessionMember } from './gate.js';
import type { Load } from './load.js';
import type { ConnectionOutput, InitiatorEnvironment, LoginOptions } from './options.js';
import { Overdue } from './overdue.js';
import { Recovery, type RecoveryWord } from './recovery.js';
import { type Task, type TaskOwner, TaskState, TaskTable } from './tasks.js';

/** RFC 7143 §8.3.1. FAILED: the connection is lost and no other has taken its place yet. */
export type SessionState = 'FREE' | 'LOGGED_IN' | 'FAILED';

/** What a session reports: its connections' outputs, and what the logical units say out of turn. */
export type SessionOutput =
  | ConnectionOutput
  /** Commands that waited for a connection have ended, and others do at once; a login is still wanted. */
  | { readonly kind: 'expired' }
  /** After a loss and a new login every unit has been asked who it is. `replayed`: commands sent again. */
  | { readonly kind: 'recovered'; readonly tookMs: number; readonly replayed: number };

const AGAIN = { retriable: true } as const;

export class InitiatorSession implements Timed, TaskSlots {
  readonly counters = new Counters();
  readonly #login: LoginOptions;
  readonly #environment: InitiatorEnvironment;
  readonly #tasks = new TaskTable();
  readonly #runner: CommandRunner;
  readonly #overdue = new Overdue(this.#tasks, this);
  readonly #recovery: Recovery;
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
    this.#recovery = new Recovery(this.#tasks, environment.timers.replacementTimeoutMs, {
      now: environment.now,
      queued: () => this.#startQueue(),
      expired: () => this.#report({ kind: 'expired' }),
      recovered: (tookMs, replayed) => this.#report({ kind: 'recovered', tookMs, replayed }),
      sooner: () => environment.onOutput?.(),
    });
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
  /** What is being done about a lost connection. */
  get recovery(): RecoveryWord {
    return this.#recovery.word(this.#connection !== null);
  }
  /** When the connection was lost that has not been made good yet, on the session's clock; null while nothing is wrong. */
  get lostAt(): number | null {
    return this.#recovery.lostAt;
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
  /** What has been answered, and how fast. */
  get load(): Load {
    return this.#tasks.load;
  }
  /** Commands that have been sent and not answered, and how many the target and our own limit let be so at once. */
  get inFlight(): { readonly commands: number; readonly most: number } {
    return { commands: this.#tasks.active, most: this.#connection?.mostInFlight ?? 0 };
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
    const first = Math.min(connection, this.#sweepAt, this.#recovery.deadline);
    return first === Number.POSITIVE_INFINITY ? undefined : first;
  }
  handleTimeout(now: number): void {
    this.#connection?.handleTimeout(now);
    this.#recovery.handleTimeout(now);
    if (now < this.#sweepAt) return;
    this.#sweepAt = Number.POSITIVE_INFINITY;
    for (const task of this.#tasks.slots) {
      if (task.state > TaskState.Held && task.state !== TaskState.Parked) this.#attend(task, now);
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
    this.#recovery.giveUp();
    if (this.#connection === null || this.#state !== 'LOGGED_IN') {
      this.#state = 'FREE';
      this.#connection?.drop(new AppError('ERR_LOGIN', 'the login was given up'));
      return Promise.resolve();
    }
    const done = new Promise<void>((resolve, reject) => this.#logouts.push({ resolve, reject }));
    this.#connection.logout();
    return done;
  }

  // Logical units

  /** From now on the member is told of new logins, and its gate is closed while there is no connection. */
  join(member: SessionMember): void {
    this.#recovery.join(member);
  }
  /** What still waits at the member's gate ends. */
  leave(member: SessionMember): void {
    this.#recovery.leave(member);
  }
  /** Closes the gate: what has not been sent yet waits, for replacementTimeoutMs at most. What has been sent goes on. */
  hold(gate: Gate): void {
    this.#recovery.hold(gate);
  }
  /** Opens the gate and queues what waits there, oldest first. Without a connection nothing happens. */
  resume(gate: Gate): void {
    this.#recovery.resume(gate);
  }
  /** The unit is another one or gone: what waits at its gate and whatever comes ends with TaskFailure.Lost, until `resume`. */
  condemn(gate: Gate): void {
    this.#recovery.condemn(gate);
  }
  /** The driver was refused a connection: members hear so at the next login. */
  noteRefused(): void {
    this.#recovery.noteRefused();
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
  /**
   * Queues the task and sends it if it may be sent. While its gate is closed it waits there. It ends in its owner's
   * onTaskDone, within this call if the session is over, or is lost and the task has no gate.
   */
  start(task: Task): void {
    const now = this.#environment.now();
    task.startedAt = now;
    if (this.#isShut(task)) {
      this.#recovery.refuse(task);
      return;
    }
    task.deadline = now + task.timeoutMs;
    this.#sooner(task.deadline);
    this.#tasks.enqueue(task);
    this.#connection?.send();
  }
  /** The same after `delayMs` milliseconds. */
  startLater(task: Task, delayMs: number): void {
    task.startedAt = this.#environment.now() + delayMs;
    if (this.#isShut(task)) {
      this.#recovery.refuse(task);
      return;
    }
    this.#tasks.rest(task, task.startedAt);
    this.#sooner(task.wakeAt);
  }
  release(task: Task): void {
    this.#tasks.release(task);
  }
  /** A logical unit reports a change with the answer to some command. */
  noteUnitAttention(lun: Buffer, sense: Sense): void {
    this.#report({ kind: 'unit-attention', lun, sense });
    this.#recovery.noteUnitAttention(lun, sense);
  }
  /** A line for the session's log. */
  note(level: 'info' | 'warn', message: string): void {
    this.#report({ kind: 'log', level, message });
  }

  #isShut(task: Task): boolean {
    if (this.#state !== 'LOGGED_IN' || this.#closing) return true;
    return task.gate !== null && task.gate.state !== GateState.Open;
  }
  /** Tasks have been queued that have no deadline yet. */
  #startQueue(): void {
    const now = this.#environment.now();
    for (let task = this.#tasks.first; task !== null; task = task.next) task.deadline = now + task.timeoutMs;
    this.#sooner(now);
    this.#connection?.send();
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
      this.#overdue.handle(task, now);
    }
    if (task.state > TaskState.Held && task.state !== TaskState.Parked) this.#look(task.deadline);
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
  // What the connection reports

  #drain(): void {
    for (let output = this.#connection?.poll(); output !== undefined; output = this.#connection?.poll()) {
      this.#outputs.push(output);
      this.#digest(output);
      this.#environment.onOutput?.();
    }
  }
  #digest(output: ConnectionOutput): void {
    switch (output.kind) {
      case 'logged-in':
        this.#state = 'LOGGED_IN';
        this.#params = output.params;
        this.#tsih = output.tsih;
        this.#recovery.loggedIn();
        break;
      case 'unit-attention':
        this.#recovery.noteUnitAttention(output.lun, output.sense);
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
        if (output.byTarget) this.#lastError = new AppError('ERR_TRANSPORT', 'the target asked for a logout', AGAIN);
        this.#over(output.byTarget && !this.#closing ? 'FAILED' : 'FREE', null);
        break;
    }
  }
  /** The connection is gone. A session that is over ends its tasks; one that is lost keeps those that have a gate. */
  #over(state: SessionState, error: AppError | null): void {
    this.#connection = null;
    this.#state = state;
    this.#sweepAt = Number.POSITIVE_INFINITY;
    if (state === 'FAILED') this.#recovery.lost();
    else this.#recovery.end();
    for (const { resolve, reject } of this.#logouts.splice(0)) error === null ? resolve() : reject(error);
  }
  #report(output: SessionOutput): void {
    this.#outputs.push(output);
    this.#environment.onOutput?.();
  }
}
