// What a session does with its commands while it has no connection: it keeps them in order, and sends them again behind
// gates that their units' owners open, or ends them when the replacement timeout is over. No sockets, no timers.
import { isSameLun } from '../scsi/lun.js';
import type { Sense } from '../scsi/sense.js';
import { concernsAllUnits } from '../scsi/sense-class.js';
import { type Gate, GateState, type SessionMember } from './gate.js';
import { type Task, TaskFailure, TaskState, type TaskTable } from './tasks.js';

/** In one word, for a listing: what is being done about a lost connection. */
export type RecoveryWord = 'none' | 'waiting' | 'logging-in' | 'checking' | 'expired';

/** A command that has cost the session its connection this often is not sent again. */
const MOST_DROPS = 5;
/** A unit that is asked who it is, is waited for even where lost connections are not: milliseconds. */
const LEAST_HOLD_MS = 5000;
const NEVER = Number.POSITIVE_INFINITY;

/** What the recovery asks of its session. */
export interface RecoveryHost {
  now(): number;
  /** The gates have been opened: tasks have been queued. */
  queued(): void;
  /** The replacement timeout is over. Once for each loss. */
  expired(): void;
  /** Every gate has been opened or condemned. `replayed`: commands that had been sent before and were sent again. */
  recovered(tookMs: number, replayed: number): void;
  /** `deadline` has come nearer. */
  sooner(): void;
}

export class Recovery {
  readonly #tasks: TaskTable;
  readonly #host: RecoveryHost;
  /** How long commands wait for a connection, milliseconds: 0 not at all, infinite as long as it takes. */
  readonly #patienceMs: number;
  readonly #members = new Set<SessionMember>();
  #connected = false;
  /** When the connection was lost, until every gate is open or condemned again. */
  #lostAt: number | null = null;
  /** When commands that wait for a connection are given up, and whether they have been. */
  #expiresAt = NEVER;
  #expired = false;
  #replayed = 0;
  /** Of the first gate that expires, or of the session. It may be too early, never too late. */
  #deadline = NEVER;

  constructor(tasks: TaskTable, patienceMs: number, host: RecoveryHost) {
    this.#tasks = tasks;
    this.#patienceMs = patienceMs;
    this.#host = host;
  }
  get deadline(): number {
    return this.#deadline;
  }
  /** When the connection was lost whose recovery is not complete; null while there is nothing to recover. */
  get lostAt(): number | null {
    return this.#lostAt;
  }
  /** `loggingIn`: a connection is at its login. */
  word(loggingIn: boolean): RecoveryWord {
    if (this.#lostAt === null) return 'none';
    if (this.#connected) return 'checking';
    if (this.#expired) return 'expired';
    return loggingIn ? 'logging-in' : 'waiting';
  }

  // Gates

  join(member: SessionMember): void {
    this.#members.add(member);
    if (this.#expired) member.gate.state = GateState.Expired;
    else if (this.#lostAt !== null) {
      this.#close(member.gate);
      // What is known of its unit may be older than this login.
      if (this.#connected) member.onReconnected({ refused: false });
    } else if (!this.#connected) member.gate.state = GateState.Closed;
  }
  /** What waits at the member's gate ends. */
  leave(member: SessionMember): void {
    if (!this.#members.delete(member)) return;
    this.#shut(member.gate, GateState.Condemned);
    this.#settle();
  }
  /** The unit's owner hears of a unit attention, whoever's command has met it; and every owner of one that is about all units. */
  noteUnitAttention(lun: Buffer, sense: Sense): void {
    const isForAll = this.#connected && concernsAllUnits(sense);
    // All gates first: the questions of the first member would send what others have queued.
    if (isForAll) for (const { gate } of this.#members) this.hold(gate);
    for (const member of [...this.#members]) {
      if (isSameLun(member.address, lun)) member.onUnitAttention(sense);
      else if (isForAll) member.onUnitsChanged();
    }
  }
  /** The target's address has refused a connection. */
  noteRefused(): void {
    for (const { gate } of this.#members) gate.refused = true;
  }
  /** Closes the gate. What has been sent goes on; if it is to be sent again it waits with the rest. */
  hold(gate: Gate): void {
    this.#close(gate, Math.max(this.#patienceMs, LEAST_HOLD_MS));
    if (gate.state !== GateState.Closed) return;
    for (const task of this.#tasks.slots) {
      const unsent = task.state === TaskState.Queued || task.state === TaskState.Backoff;
      if (!unsent || task.gate !== gate) continue;
      if (task.waits) this.#tasks.park(task);
      else this.#fail(task, TaskFailure.Lost);
    }
  }
  /** Opens the gate: what waits there is queued in its order. Void without a connection: the next login asks again. */
  resume(gate: Gate): void {
    if (!this.#connected || gate.state === GateState.Open) return;
    gate.state = GateState.Open;
    gate.deadline = NEVER;
    gate.refused = false;
    for (const task of this.#tasks.inOrder((task) => task.state === TaskState.Parked && task.gate === gate)) {
      this.#tasks.enqueue(task);
    }
    this.#host.queued();
    this.#settle();
  }
  /** Ends what waits at the gate and whatever comes, until it is resumed. */
  condemn(gate: Gate): void {
    if (!this.#connected) return;
    gate.refused = false;
    this.hold(gate);
    this.#shut(gate, GateState.Condemned);
    this.#settle();
  }
  /** A task that may not be sent now: it waits at its gate, or ends. */
  refuse(task: Task): void {
    const wanted = this.#connected || this.#lostAt !== null;
    if (wanted && task.waits && task.gate?.state === GateState.Closed) this.#tasks.park(task);
    else this.#fail(task, TaskFailure.Lost);
  }

  // The session's life

  /** The connection is lost. Tasks with a gate wait there; others end. */
  lost(): void {
    const now = this.#host.now();
    this.#connected = false;
    this.#lostAt ??= now;
    if (this.#expiresAt === NEVER) this.#expiresAt = now + this.#patienceMs;
    this.#look(this.#expiresAt);
    for (const { gate } of this.#members) this.#close(gate);
    for (const task of this.#tasks.inOrder((task) => task.state > TaskState.Held)) {
      // Their owners may have changed others meanwhile.
      if (task.state > TaskState.Held && task.state !== TaskState.Parked) this.#displace(task);
    }
    this.handleTimeout(now);
  }
  #displace(task: Task): void {
    const { gate } = task;
    if (gate?.state !== GateState.Closed || !task.waits) this.#fail(task, TaskFailure.Lost);
    else if (task.drops > MOST_DROPS) this.#fail(task, TaskFailure.TimedOut);
    else {
      if (task.state === TaskState.Active || task.state === TaskState.Aborting) this.#replayed++;
      if (task.delivered > 0) task.owner.onTaskReplay?.(task);
      this.#tasks.park(task);
    }
  }
  /** A login is complete: all members ask their units now, and open their gates. What has expired may wait again. */
  loggedIn(): void {
    this.#connected = true;
    if (this.#expired) this.#expiresAt = NEVER;
    this.#expired = false;
    for (const member of [...this.#members]) {
      const { gate } = member;
      if (gate.state === GateState.Expired) gate.state = GateState.Open;
      this.#close(gate);
      member.onReconnected({ refused: gate.refused });
    }
    this.#settle();
  }
  /** Nothing waits any more, now and later: the session is ending. */
  giveUp(): void {
    this.#lostAt = null;
    this.#deadline = NEVER;
    for (const { gate } of [...this.#members]) this.#shut(gate, GateState.Condemned);
  }
  /** The session is over: everything that has been started ends, with a gate or without. */
  end(): void {
    this.#connected = false;
    this.giveUp();
    for (const task of this.#tasks.inOrder((task) => task.state > TaskState.Held)) {
      if (task.state > TaskState.Held) this.#fail(task, TaskFailure.Lost);
    }
  }
  handleTimeout(now: number): void {
    if (now < this.#deadline) return;
    this.#deadline = NEVER;
    for (const { gate } of [...this.#members]) {
      if (gate.state === GateState.Closed && now >= gate.deadline) this.#shut(gate, GateState.Expired);
      if (gate.state === GateState.Closed) this.#look(gate.deadline);
    }
    if (this.#lostAt === null || this.#connected || this.#expired) return;
    if (now < this.#expiresAt) {
      this.#look(this.#expiresAt);
      return;
    }
    this.#expired = true;
    this.#replayed = 0;
    this.#host.expired();
  }

  #close(gate: Gate, patienceMs = this.#patienceMs): void {
    const isNew = gate.state === GateState.Open || gate.deadline === NEVER;
    if (gate.state > GateState.Closed || !isNew) return;
    gate.state = GateState.Closed;
    gate.deadline = this.#host.now() + patienceMs;
    this.#look(gate.deadline);
  }
  /** Ends what waits at the gate. */
  #shut(gate: Gate, state: GateState): void {
    gate.state = state;
    gate.deadline = NEVER;
    for (const task of this.#tasks.inOrder((task) => task.state === TaskState.Parked && task.gate === gate)) {
      if (task.state === TaskState.Parked) this.#fail(task, TaskFailure.Lost);
    }
  }
  #settle(): void {
    if (this.#lostAt === null || !this.#connected) return;
    for (const { gate } of this.#members) if (gate.state === GateState.Closed) return;
    const took = this.#host.now() - this.#lostAt;
    const replayed = this.#replayed;
    this.#lostAt = null;
    this.#expiresAt = NEVER;
    this.#replayed = 0;
    this.#host.recovered(took, replayed);
  }
  #fail(task: Task, failure: TaskFailure): void {
    task.failure = failure;
    this.#tasks.finish(task);
  }
  #look(at: number): void {
    if (at >= this.#deadline) return;
    this.#deadline = at;
    this.#host.sooner();
  }
}
