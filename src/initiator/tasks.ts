// The task table: one preallocated slot per SCSI command, found by its Initiator Task Tag (RFC 7143 §11.2.1.8).
import type { BlockRequest } from '../block/block-device.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import type { Gate } from './gate.js';
import { Load } from './load.js';

/** Where a slot is. Numbers, because the data path compares them. */
export const TaskState = {
  Free: 0,
  /** Taken by its owner, not started, or done and not yet released. */
  Held: 1,
  /** Waits for the command window or for a connection. */
  Queued: 2,
  /** Sent; its status is awaited. */
  Active: 3,
  /** Waits for `wakeAt`, then for the window. */
  Backoff: 4,
  /** Sent, and an ABORT TASK for it as well. */
  Aborting: 5,
  /** Started, and waits until its gate is opened. It has no deadline of its own and keeps its order. */
  Parked: 6,
} as const;
export type TaskState = (typeof TaskState)[keyof typeof TaskState];

/** Why a task ended without a SAM status. Cleared: the target has thrown it away, with others or for the sake of others. */
export const TaskFailure = { None: 0, Lost: 1, TimedOut: 2, Rejected: 3, TargetFailure: 4, Cleared: 5 } as const;
export type TaskFailure = (typeof TaskFailure)[keyof typeof TaskFailure];

export interface TaskOwner {
  /** A part of a read, in ascending order without gap or repetition, `at` bytes after the start of the command's data. */
  onTaskData(task: Task, piece: Buffer, at: number, owner: RefBuffer | null): void;
  /** The task will be sent again, on another connection: what it has delivered has never been confirmed by a status. */
  onTaskReplay?(task: Task): void;
  /** The task ended: `failure`, else `status`. The owner now releases or starts it again. `sense` is valid until return. */
  onTaskDone(task: Task): void;
}

/** A large command on a slow line may take this many times its time, as long as its data moves. */
const MOST_EXTENSIONS = 10;
const NO_BYTES = Buffer.alloc(0);
const NOBODY: TaskOwner = { onTaskData() {}, onTaskDone() {} };
/** All eight bytes zero: LUN 0, and the field where no LUN is meant. */
export const NO_LUN = Buffer.alloc(8);

/**
 * One command. A slot keeps its command, its LUN and the bytes of its write until its status, so that the same command
 * can be sent again on another connection. The fields are never removed or retyped: every slot has one shape.
 */
export class Task {
  /** The slot's place in the table: the low half of the tag. The high half, a generation, tells a stale reply. */
  readonly index: number;
  readonly cdb = Buffer.alloc(16);
  itt: number;
  state: TaskState = TaskState.Free;
  owner: TaskOwner = NOBODY;
  lun: Buffer = NO_LUN;
  /** Where the task waits while it may not be sent; null: it ends instead. */
  gate: Gate | null = null;
  /** False: where others wait at a closed gate this one ends, and it is never sent again on another connection. */
  waits = true;
  reads = false;
  /** Bytes to write, or null. */
  payload: Buffer | null = null;
  payloadOwner: RefBuffer | null = null;
  /** Expected Data Transfer Length. */
  length = 0;

  /** Order of the start, for a replay. */
  order = 0;
  /** Connections that were given up because this task got no answer, or a wrong one. */
  drops = 0;
  cmdSn = 0;
  /** Bytes of Data-In of this try; how many the owner has seen over all tries; the next DataSN. */
  received = 0;
  delivered = 0;
  dataSn = 0;
  /** The next R2TSN, R2Ts unanswered, and bytes asked for so far. */
  r2tSn = 0;
  r2ts = 0;
  solicited = 0;
  /** Bytes of the payload that this try has sent. */
  sent = 0;

  status = 0;
  failure: TaskFailure = TaskFailure.None;
  /** Positive: bytes not transferred (underflow). Negative: bytes that did not fit (overflow). */
  residual = 0;
  sense: Buffer = NO_BYTES;

  timeoutMs = 0;
  /** When it was started, or is to be after a pause, milliseconds: what its answer is measured from. */
  startedAt = 0;
  /** When a queued, sent or aborted task is given up. A queue in which something moves does not count. */
  deadline = 0;
  /** What had moved at the last deadline that passed, or was sent unasked; how many have passed with more time given. */
  moved = 0;
  extensions = 0;
  #hasMoved = false;
  /** When a task that backs off is queued. */
  wakeAt = 0;

  /** For the owner's use. */
  request: BlockRequest | null = null;
  context: object | null = null;
  progress = 0;
  /** Bytes of the request that the command in hand covers. */
  step = 0;
  phase = 0;
  /** How often the unit's cache had been lost when the request's first command was done, and how often it began anew for it. */
  cacheLosses = 0;
  restarts = 0;

  /** Neighbours in the queue. */
  next: Task | null = null;
  previous: Task | null = null;

  constructor(index: number) {
    this.index = index;
    this.itt = index;
  }
  /** Forgets what one try has received, before the next. What the owner has seen stays remembered. */
  rewind(): void {
    this.received = 0;
    this.dataSn = 0;
    this.r2tSn = 0;
    this.r2ts = 0;
    this.solicited = 0;
    this.sent = 0;
    this.moved = 0;
    this.#hasMoved = false;
    this.extensions = 0;
    this.status = 0;
    this.failure = TaskFailure.None;
    this.residual = 0;
    this.sense = NO_BYTES;
  }
  /** Whether data has come, has been asked for or has left since the last deadline, or had at that. */
  get moves(): boolean {
    return this.#hasMoved || this.#movement !== this.moved;
  }
  /** Takes one of the bounded number of extensions of one try if data has moved since the last, or `excused`. */
  extend(excused: boolean): boolean {
    const moved = this.#movement;
    this.#hasMoved = moved !== this.moved;
    if ((!this.#hasMoved && !excused) || this.extensions === MOST_EXTENSIONS) return false;
    this.moved = moved;
    this.extensions++;
    return true;
  }
  get #movement(): number {
    return this.received + this.solicited + this.sent;
  }
}

const FIRST_SLOTS = 128;
/** Tags from here on belong to NOP-Out, text, logout and task management. */
export const MOST_SLOTS = 16_384;
const LAST_GENERATION = 0xfffe;

/** Slots grow by doubling up to MOST_SLOTS and are never given back: the table stays as large as it once was needed. */
export class TaskTable {
  readonly slots: Task[] = [];
  readonly load = new Load();
  readonly #free: Task[] = [];
  #head: Task | null = null;
  #tail: Task | null = null;
  #order = 0;
  /** Slots that are taken. */
  inUse = 0;
  /** Tasks sent and not answered. */
  active = 0;

  constructor() {
    this.#grow(FIRST_SLOTS);
  }
  /** A free slot, or null when MOST_SLOTS are taken. */
  take(owner: TaskOwner): Task | null {
    if (this.#free.length === 0 && !this.#grow(this.slots.length)) return null;
    const task = this.#free.pop();
    if (task === undefined) return null;
    task.owner = owner;
    task.state = TaskState.Held;
    this.inUse++;
    return task;
  }
  /** Gives a held slot back, and its payload. */
  release(task: Task): void {
    if (task.state !== TaskState.Held) throw new Error('a task was released while it is in use');
    this.dropPayload(task);
    task.rewind();
    task.owner = NOBODY;
    task.lun = NO_LUN;
    task.gate = null;
    task.waits = true;
    task.drops = 0;
    task.reads = false;
    task.length = 0;
    task.delivered = 0;
    task.request = null;
    task.context = null;
    task.progress = 0;
    task.step = 0;
    task.phase = 0;
    task.restarts = 0;
    task.state = TaskState.Free;
    this.inUse--;
    this.#free.push(task);
  }
  /** What the task writes; held until its status so that it can be sent again. `null` for no data. */
  setPayload(task: Task, payload: Buffer | null, owner: RefBuffer | null): void {
    owner?.retain();
    this.dropPayload(task);
    task.payload = payload;
    task.payloadOwner = owner;
    if (payload !== null) task.length = payload.length;
  }
  dropPayload(task: Task): void {
    task.payload = null;
    const owner = task.payloadOwner;
    task.payloadOwner = null;
    owner?.release();
  }
  /** Takes a held task aside until `wakeAt`, milliseconds. */
  rest(task: Task, wakeAt: number): void {
    task.state = TaskState.Backoff;
    task.order = ++this.#order;
    task.wakeAt = wakeAt;
  }
  /** Takes a task aside, wherever it is, until its gate is opened. */
  park(task: Task): void {
    if (task.state === TaskState.Queued) this.unqueue(task);
    else if (task.state === TaskState.Active || task.state === TaskState.Aborting) this.active--;
    else if (task.state === TaskState.Held) task.order = ++this.#order;
    task.state = TaskState.Parked;
  }
  /** Puts a task that is held, backs off or is parked at the end of the queue. */
  enqueue(task: Task): void {
    task.state = TaskState.Queued;
    task.order = ++this.#order;
    task.previous = this.#tail;
    if (this.#tail === null) this.#head = task;
    else this.#tail.next = task;
    this.#tail = task;
  }
  /** The queue's first task, left where it is. */
  get first(): Task | null {
    return this.#head;
  }
  /** Takes a queued task out of the queue, wherever it stands, and holds it. */
  unqueue(task: Task): void {
    if (task.previous === null) this.#head = task.next;
    else task.previous.next = task.next;
    if (task.next === null) this.#tail = task.previous;
    else task.next.previous = task.previous;
    task.next = null;
    task.previous = null;
    task.state = TaskState.Held;
  }
  /** A task that is about to be sent: a new generation of its tag, so that a reply to an older one is not mistaken. */
  activate(task: Task): void {
    const generation = task.itt >>> 16;
    task.itt = (((generation >= LAST_GENERATION ? 0 : generation + 1) << 16) | task.index) >>> 0;
    task.rewind();
    task.state = TaskState.Active;
    this.active++;
  }
  /** The task that was sent with this tag, or undefined for a stale or invented one. */
  find(itt: number): Task | undefined {
    const task = this.slots[itt & 0xffff];
    if (task === undefined || task.itt !== itt >>> 0) return undefined;
    return task.state === TaskState.Active || task.state === TaskState.Aborting ? task : undefined;
  }
  /** Ends the task, wherever it is, and tells its owner. The status fields have been filled in. */
  finish(task: Task): void {
    if (task.state === TaskState.Queued) this.unqueue(task);
    else if (task.state === TaskState.Active || task.state === TaskState.Aborting) this.active--;
    task.state = TaskState.Held;
    task.owner.onTaskDone(task);
  }
  /** The tasks of that kind, oldest start first. A copy: their owners may start and end others meanwhile. */
  inOrder(isMeant: (task: Task) => boolean): Task[] {
    return this.slots.filter(isMeant).sort((a, b) => a.order - b.order);
  }
  #grow(by: number): boolean {
    const most = Math.min(MOST_SLOTS, this.slots.length + by);
    if (most === this.slots.length) return false;
    const from = this.slots.length;
    for (let index = from; index < most; index++) this.slots.push(new Task(index));
    for (let index = most - 1; index >= from; index--) this.#free.push(this.slots[index] as Task);
    return true;
  }
}
