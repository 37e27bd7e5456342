// A session with its one connection in full feature phase: numbers, tasks, and the limits on what they hold (RFC 7143 §4.4.3).
import type { OperationalParams } from '../iscsi/negotiation.js';
import { ReceiveWindow, type StatusSequence } from '../iscsi/windows.js';
import { AsyncEvent, emitAsyncMessage } from '../iscsi/wire/async-message.js';
import { NO_TAG } from '../iscsi/wire/bhs.js';
import { emitNopIn } from '../iscsi/wire/nop-in.js';
import type { PduWriter } from '../iscsi/wire/pdu-writer.js';
import { Senses } from '../scsi/check-condition.js';
import { HIGH_WATER, type TransmitSink } from '../util/stream.js';
import type { TargetContext } from './context.js';
import type { ConnectionHost, EndCause } from './events.js';
import { IscsiTask, type TaskSession } from './iscsi-task.js';
import { LIMITS } from './limits.js';
import type { LogicalUnit } from './logical-unit.js';
import type { Nexus } from './nexus.js';
import { type OutputHolder, SMALL_PIECE } from './output-memory.js';
import type { Resumable } from './scsi-task.js';
import type { RegisteredSession } from './session-registry.js';
import type { MappedLun } from './target-node.js';
import type { Solicitor } from './transfer-session.js';

/** Read data being fetched from devices for one connection, in bytes: two pieces of the largest kind. */
const MOST_FETCHED = HIGH_WATER;
const NO_LUN = Buffer.alloc(8);

export interface SessionOptions {
  readonly context: TargetContext;
  readonly host: ConnectionHost;
  /** Closes the connection once what is queued has left. */
  readonly close: () => void;
  readonly sink: TransmitSink;
  readonly writer: PduWriter;
  readonly params: OperationalParams;
  /** Data segments are never longer than this, whatever the initiator takes. Bytes. */
  readonly mostXmit: number;
  readonly tsih: number;
  readonly initiatorName: string;
  /** Null for a discovery session. */
  readonly targetName: string | null;
  readonly nexus: Nexus;
  /** TargetPortalGroupTag; 0 for a discovery session. */
  readonly tag: number;
  readonly luns: ReadonlyMap<number, MappedLun>;
  readonly commandWindow: number;
  readonly cid: number;
  readonly cmdSn: number;
  readonly statSn: StatusSequence;
}

export class TargetSession implements RegisteredSession, TaskSession, OutputHolder {
  readonly context: TargetContext;
  readonly host: ConnectionHost;
  readonly sink: TransmitSink;
  readonly writer: PduWriter;
  #params: OperationalParams;
  readonly #mostXmit: number;
  readonly tsih: number;
  readonly initiatorName: string;
  readonly targetName: string | null;
  readonly nexus: Nexus;
  readonly tag: number;
  readonly cid: number;
  readonly statSn: StatusSequence;
  readonly window: ReceiveWindow;
  /** By Initiator Task Tag. */
  readonly tasks = new Map<number, IscsiTask>();
  /** Bytes that R2Ts under way have asked for. */
  solicited = 0;
  immediateTasks = 0;
  #luns: ReadonlyMap<number, MappedLun>;
  readonly #commandWindow: number;
  #nextTtt = 0;
  #fetching = 0;
  readonly #fetchers: Resumable[] = [];
  readonly #starved = new Set<Solicitor>();
  #windowClosed = false;
  /** Whether units and registry have been told. */
  #left = false;
  /** Set when the session is over: its reason. Nothing is sent any more. */
  #ended: { readonly reason: string; readonly cause: EndCause } | null = null;
  /** By when the initiator must have logged out, and why it was asked to. */
  #leaving: { readonly due: number; readonly reason: string } | null = null;
  readonly #whenEnded: (() => void)[] = [];
  readonly #close: () => void;
  readonly #kept: IscsiTask[] = [];
  readonly #units = new Set<LogicalUnit>();
  readonly #wake = (): void => this.#memoryFreed();

  constructor(options: SessionOptions) {
    this.context = options.context;
    this.host = options.host;
    this.#close = options.close;
    this.sink = options.sink;
    this.writer = options.writer;
    this.#params = options.params;
    this.#mostXmit = options.mostXmit;
    this.tsih = options.tsih;
    this.initiatorName = options.initiatorName;
    this.targetName = options.targetName;
    this.nexus = options.nexus;
    this.tag = options.tag;
    this.#luns = options.luns;
    this.#commandWindow = options.commandWindow;
    this.cid = options.cid;
    this.statSn = options.statSn;
    this.window = new ReceiveWindow(options.cmdSn, options.commandWindow);
    // The last Login Response has promised the whole window.
    this.maxCmdSn();
    this.#joinUnits();
    this.context.output.add(this);
  }

  get initiatorPort(): string {
    return this.nexus.initiatorPort;
  }

  get params(): OperationalParams {
    return this.#params;
  }
  /** The initiator takes other data segments from now on (RFC 7143 §13.12: a declaration, at any time). */
  declareMaxXmit(length: number): void {
    this.#params = { ...this.#params, maxXmitDataSegmentLength: Math.min(length, this.#mostXmit) };
  }

  get nexusKey(): string {
    return this.nexus.key;
  }
  /** Whether the session is over, so that nothing is taken or sent for it any more. */
  get over(): boolean {
    return this.#ended !== null;
  }
  get units(): ReadonlySet<LogicalUnit> {
    return this.#units;
  }
  get luns(): ReadonlyMap<number, MappedLun> {
    return this.#luns;
  }
  /** By when the initiator must have logged out, if it was asked to. */
  get leavingDue(): number | undefined {
    return this.#leaving?.due;
  }

  /**
   * Another set of logical units from now on. Commands for those that are gone end with 05/25/00; the initiator is told by UNIT ATTENTION
   * 3Fh/0Eh on each one that stays (SPC-4 §6.33: REPORTED LUNS DATA HAS CHANGED), if the numbers are not the same as before.
   */
  regrant(luns: ReadonlyMap<number, MappedLun>): void {
    if (this.over) return;
    const before = this.#luns;
    this.#luns = luns;
    const same = before.size === luns.size && [...luns].every(([lun, { unit }]) => before.get(lun)?.unit === unit);
    if (same) return;
    const stay = new Set([...luns.values()].map(({ unit }) => unit));
    for (const unit of this.#units) {
      if (stay.has(unit)) this.nexus.attention(unit, Senses.ReportedLunsChanged);
      else this.#leaveUnit(unit);
    }
    this.#joinUnits();
  }

  #joinUnits(): void {
    for (const { unit } of this.#luns.values()) {
      if (this.#units.has(unit)) continue;
      this.#units.add(unit);
      unit.join(this.nexus);
    }
  }

  #leaveUnit(unit: LogicalUnit): void {
    this.#units.delete(unit);
    const tasks = [...this.tasks.values()].filter((task) => task.unit === unit);
    let left = tasks.length;
    const leave = (): void => {
      // It may have come back meanwhile.
      if (--left <= 0 && !this.#units.has(unit)) unit.leave(this.nexus);
    };
    if (left === 0) leave();
    for (const task of tasks) task.fail(Senses.LunNotSupported, leave);
  }

  /** MaxCmdSN for the next PDU. It stands still while too much write data is held. */
  maxCmdSn(): number {
    if (this.context.memory.exhausted !== this.#windowClosed) {
      this.#windowClosed = !this.#windowClosed;
      this.window.setSize(this.#windowClosed ? 0 : this.#commandWindow);
      if (this.#windowClosed) this.context.memory.wait(this.#wake);
    }
    return this.window.maxCmdSn;
  }

  nextTtt(): number {
    this.#nextTtt = (this.#nextTtt + 1) >>> 0;
    if (this.#nextTtt === NO_TAG) this.#nextTtt = 1;
    return this.#nextTtt;
  }

  portalGroupTags(unit: LogicalUnit): readonly number[] {
    const tags = new Set(this.context.node.tagsWith(this.targetName ?? '', unit));
    // The configuration may have changed since this session was granted its units.
    return [...tags.add(this.nexus.tag)].sort((a, b) => a - b);
  }

  /** An unused task, from the last ones if there are some. */
  newTask(): IscsiTask {
    return this.#kept.pop() ?? new IscsiTask(this);
  }

  /** The task is over: its tag is free, and so is its object. */
  taskEnded(task: IscsiTask): void {
    if (this.tasks.get(task.itt) === task) this.tasks.delete(task.itt);
    this.#starved.delete(task);
    if (task.immediate) this.immediateTasks--;
    if (this.#kept.length < this.#commandWindow) this.#kept.push(task);
    if (this.#ended !== null && this.tasks.size === 0) this.#finishEnd();
  }

  get outputHeld(): number {
    return this.#fetching + this.sink.backlog;
  }
  /** Whether so much is held for slow readers, and by this one too, that nothing more should be asked for. */
  get outputFull(): boolean {
    const { backlog } = this.sink;
    return backlog > 2 * HIGH_WATER || (backlog > SMALL_PIECE && !this.context.output.hasRoom(0));
  }

  /** See ScsiTask.mayFetch. One of the two things that a refusal waits for is always on its way. */
  mayFetch(bytes: number, waiter: Resumable): number {
    const own = this.outputHeld;
    const ownFull = own > 0 && (this.sink.backlog > HIGH_WATER || this.#fetching + bytes > MOST_FETCHED);
    const granted = ownFull ? 0 : this.#withinAll(bytes, own);
    if (granted === 0) {
      this.#fetchers.push(waiter);
      this.sink.wantDrain?.();
    }
    this.#fetching += granted;
    return granted;
  }
  /** What the budget of all sessions has for one that holds `own` bytes already. */
  #withinAll(bytes: number, own: number): number {
    if (this.context.output.hasRoom(bytes)) return bytes;
    return own === 0 ? Math.min(bytes, SMALL_PIECE) : 0;
  }
  fetched(bytes: number): void {
    this.#fetching -= bytes;
  }
  /** Lets waiting reads go on, as far as there is room. */
  resumeFetchers(): void {
    while (this.#fetching < MOST_FETCHED && this.sink.backlog <= HIGH_WATER) {
      const waiter = this.#fetchers.shift();
      if (waiter === undefined) return;
      waiter.resume();
      // One that does not fit queues itself again; those behind it do not fit either.
      if (this.#fetchers.at(-1) === waiter) {
        this.#fetchers.pop();
        this.#fetchers.unshift(waiter);
        return;
      }
    }
  }
  /** Takes a waiting read out, to be resumed by its abort. */
  dropFetcher(waiter: Resumable): boolean {
    const at = this.#fetchers.indexOf(waiter);
    if (at >= 0) this.#fetchers.splice(at, 1);
    return at >= 0;
  }

  /** Whether an R2T for `bytes` may go out now; if not, `waiter.solicit` is called again when there may be room. */
  maySolicit(bytes: number, waiter: Solicitor): boolean {
    const own = this.solicited === 0 || this.solicited + bytes <= LIMITS.solicitedPerConnection;
    if (own && this.context.memory.reserve(bytes)) {
      this.solicited += bytes;
      return true;
    }
    this.#starved.add(waiter);
    this.context.memory.wait(this.#wake);
    return false;
  }

  #memoryFreed(): void {
    if (this.#ended !== null) return;
    const starved = [...this.#starved];
    this.#starved.clear();
    for (const waiter of starved) waiter.solicit();
    if (!this.#windowClosed) return;
    if (this.context.memory.exhausted) this.context.memory.wait(this.#wake);
    // An initiator that has used up its window and waits for nothing else must be told that it is open again.
    else this.sendNopIn(NO_TAG, NO_TAG, NO_LUN, null);
  }

  /** A NOP-In. It uses up a StatSN only as the answer to a ping (RFC 7143 §11.19.2). */
  sendNopIn(itt: number, ttt: number, lun: Buffer, data: Buffer | null): void {
    const statSn = itt === NO_TAG ? this.statSn.next : this.statSn.take();
    const numbers = { statSn, expCmdSn: this.window.expCmdSn, maxCmdSn: this.maxCmdSn() };
    this.writer.send((b, at) => emitNopIn({ lun, itt, ttt, ...numbers }, b, at), data);
  }

  /** Asks the initiator to log out (§11.9.1); one that has not within the time given is dropped. */
  requestLogout(reason: string): void {
    if (this.over || this.#leaving !== null) return;
    this.#leaving = { due: this.host.now() + LIMITS.logoutSeconds * 1000, reason };
    const numbers = { expCmdSn: this.window.expCmdSn, maxCmdSn: this.maxCmdSn() };
    const parameters = { vendorCode: 0, parameter1: 0, parameter2: 0, parameter3: LIMITS.logoutSeconds };
    const pdu = { lun: NO_LUN, statSn: this.statSn.take(), event: AsyncEvent.RequestLogout, ...numbers, ...parameters };
    this.writer.send((b, at) => emitAsyncMessage(pdu, b, at), null);
    this.host.changed();
  }
  /** The time to log out is over. */
  expire(now: number): void {
    if (this.#leaving !== null && now >= this.#leaving.due) this.end(this.#leaving.reason, 'target');
  }

  terminate(reason: string, cause: EndCause, ended: () => void): void {
    if (this.#left) {
      ended();
      return;
    }
    this.#whenEnded.push(ended);
    this.end(reason, cause);
  }

  /** Stops every task, closes the connection and leaves the registry once all that was started has returned. */
  end(reason: string, cause: EndCause): void {
    if (this.#ended !== null) return;
    this.#ended = { reason, cause };
    this.context.memory.forget(this.#wake);
    this.context.output.remove(this);
    this.#close();
    const tasks = [...this.tasks.values()];
    if (tasks.length === 0) this.#finishEnd();
    else for (const task of tasks) task.abort(() => {});
  }

  #finishEnd(): void {
    const { reason, cause } = this.#ended ?? { reason: '', cause: 'target' };
    const waiting = this.#whenEnded.splice(0);
    if (!this.#left) {
      this.#left = true;
      for (const unit of this.#units) unit.leave(this.nexus);
      this.context.sessions.remove(this);
      const { initiatorName, targetName, tsih } = this;
      this.host.event({ kind: 'end', initiatorName, targetName, session: tsih, cause, reason });
    }
    for (const ended of waiting) ended();
  }
}
