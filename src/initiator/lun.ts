// A logical unit as a BlockDevice: reads, writes and the rest become SCSI commands of a session (SBC-3 §5).
import {
  type BlockDevice,
  BlockFlag,
  BlockOp,
  type BlockRequest,
  BlockStatus,
  type ByteRange,
  type Extent,
} from '../block/block-device.js';
import { checkRequest } from '../block/check-request.js';
import { BlockError } from '../block/promise.js';
import type { Sense } from '../scsi/sense.js';
import { showsRestart } from '../scsi/sense-class.js';
import { ScsiStatus } from '../scsi/status.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import { UnitAllocation } from './allocation.js';
import { Gate, type RestartEvidence, type SessionMember } from './gate.js';
import { LunCommands, MOST_TRANSFER } from './lun-commands.js';
import type { DiskInfo, LunInfo } from './probe.js';
import { QueueDepth } from './queue-depth.js';
import { Trouble } from './retry.js';
import type { InitiatorSession } from './session.js';
import { type Task, TaskFailure, type TaskOwner } from './tasks.js';
import { putsIdentityInDoubt } from './unit-check.js';
import { UnitGuard } from './unit-guard.js';
import { judge, type Verdict } from './verdict.js';
import { WriteLedger } from './write-ledger.js';

const Phase = {
  /** The request's own commands. */
  Main: 0,
  /** SYNCHRONIZE CACHE after a change that has to be stable, for a unit without FUA. */
  Stabilize: 1,
} as const;

/** A request of several commands begins so often anew because the cache that had the first ones was lost. */
const MOST_RESTARTS = 8;
/** A unit that is waited for although the session does not wait for lost connections: milliseconds. */
const LEAST_PATIENCE_MS = 5000;

export interface LunOptions {
  /** Refuse every change, whatever the unit says. */
  readonly readOnly?: boolean;
}

export class Lun implements BlockDevice, TaskOwner, SessionMember {
  readonly info: LunInfo;
  readonly gate = new Gate();
  readonly readOnly: boolean;
  readonly maxTransfer = MOST_TRANSFER;
  /** Always: where the unit cannot, zeros are written, which still saves them the way to us. */
  readonly canWriteZeroes = true;
  /** Bytes read and written since the LUN was opened. */
  readBytes = 0;
  writtenBytes = 0;
  readonly #session: InitiatorSession;
  readonly #commands: LunCommands;
  readonly #depth: QueueDepth;
  readonly #ledger = new WriteLedger();
  readonly #allocation: UnitAllocation;
  readonly #guard: UnitGuard;
  readonly #patienceMs: number;
  readonly #idle: (() => void)[] = [];
  /** The most that the unit has ever had: its users may know of so many bytes. */
  #mostBytes: number;
  /** Since when the unit has been too busy for every command that it has ended in this connection. */
  #busySince: number | null = null;
  #inFlight = 0;
  #closed = false;
  #starting = false;

  /** A unit whose `info.disk` is null is no disk, and a misuse. */
  constructor(session: InitiatorSession, info: LunInfo, options: LunOptions = {}) {
    if (info.disk === null) throw new Error(`LUN ${info.lun} is no disk`);
    this.info = info;
    this.#session = session;
    this.#depth = new QueueDepth(session.environment.queueDepth);
    this.#commands = new LunCommands(session, info.disk);
    this.#allocation = new UnitAllocation(session, this);
    this.readOnly = options.readOnly === true || info.disk.readOnly;
    this.#mostBytes = this.sizeBytes;
    this.#patienceMs = Math.max(LEAST_PATIENCE_MS, session.environment.timers.replacementTimeoutMs);
    this.#guard = new UnitGuard(session, this.gate, info, this.#patienceMs, {
      adopt: (disk) => this.#adopt(disk),
      replaced: () => this.#restarted('another unit answers in its place'),
    });
    session.join(this);
  }
  get address(): Buffer {
    return this.info.address;
  }
  get sizeBytes(): number {
    return this.#disk.blocks * this.#disk.blockSize;
  }
  get blockSize(): number {
    return this.#disk.blockSize;
  }
  get physicalBlockSize(): number {
    return this.#disk.physicalBlockSize;
  }
  get optimalIoSize(): number {
    return this.#disk.optimalIoSize;
  }
  get writeCache(): boolean {
    return this.#disk.writeCache;
  }
  get writeLosses(): number {
    return this.#ledger.losses;
  }
  get canTrim(): boolean {
    return this.#disk.thin.unmap || this.#commands.canUnmapBySame;
  }
  /** Whether changes have been acknowledged that only the unit's cache may hold. */
  get unflushed(): boolean {
    return this.writeCache && this.#ledger.unflushed;
  }
  /** Requests that go to the unit at once, Infinity unless it has said TASK SET FULL. */
  get queueDepth(): number {
    return this.#depth.limit;
  }
  /** Why the unit serves nothing at present, or null. */
  get problem(): string | null {
    return this.#guard.problem;
  }

  submit(request: BlockRequest): void {
    const status = this.#closed ? BlockStatus.Eshutdown : this.#check(request);
    if (status !== BlockStatus.Ok) {
      request.onDone(status);
      return;
    }
    if (request.length === 0 && request.op !== BlockOp.Flush) {
      request.onDone(BlockStatus.Ok);
      return;
    }
    const task = this.#session.take(this);
    if (task === null) {
      request.onDone(BlockStatus.Enomem);
      return;
    }
    this.#inFlight++;
    if (request.op === BlockOp.Flush) this.#ledger.flushStarts(task);
    task.request = request;
    task.lun = this.info.address;
    task.gate = this.gate;
    task.timeoutMs = this.#session.environment.timers.commandTimeoutMs;
    this.#commands.put(task, request);
    if (this.#depth.admit(task)) this.#session.start(task);
  }
  async allocation(range: ByteRange, most: number): Promise<readonly Extent[]> {
    if (this.#closed) throw new BlockError(BlockStatus.Eshutdown, `LUN ${this.info.lun} is closed`);
    this.#inFlight++;
    try {
      return await this.#allocation.extents(this.#disk, range, most);
    } finally {
      this.#leave();
    }
  }
  prefetch(range: ByteRange): void {
    if (!this.#closed) this.#allocation.prefetch(this.#disk, range);
  }
  /** Resolves when the requests in flight have ended. */
  close(): Promise<void> {
    this.#closed = true;
    this.#guard.stop();
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  // What the session reports

  onTaskData(task: Task, piece: Buffer, at: number, owner: RefBuffer | null): void {
    task.request?.onData(piece, task.progress + at, owner);
  }
  onTaskReplay(task: Task): void {
    this.#takeBack(task);
  }
  onTaskDone(task: Task): void {
    const request = task.request;
    if (request === null) throw new Error('a task of no request');
    const verdict = judge(task);
    if (verdict.status !== BlockStatus.Ok) this.#stumble(task, request, verdict);
    else if (this.#isAmiss(task, request)) this.#end(task, request, BlockStatus.Eio);
    else this.#advance(task, request);
  }
  /** The unit may be another one, or of another size: it is asked, and what has not been sent yet waits for the answer. */
  recheck(): void {
    this.#guard.doubt();
  }
  onReconnected({ refused }: RestartEvidence): void {
    this.#busySince = null;
    if (refused) this.#restarted('its address refused connections for a while');
    this.#guard.reconnected();
  }
  onUnitAttention(sense: Sense): void {
    if (sense.deferred === true) this.#ledger.failedLater();
    if (showsRestart(sense)) this.#restarted('it reports a power on or reset');
    if (putsIdentityInDoubt(sense)) this.#guard.doubt();
  }
  onUnitsChanged(): void {
    this.#guard.hearsay();
  }

  get #disk(): DiskInfo {
    return this.#commands.disk;
  }
  #check(request: BlockRequest): BlockStatus {
    const status = checkRequest(this, request);
    if (status !== BlockStatus.Ok) return this.#isCutOff(request) ? BlockStatus.Eio : status;
    if (request.op === BlockOp.Trim && !this.canTrim) return BlockStatus.Enotsup;
    const zeroesSlowly = request.op === BlockOp.WriteZeroes && !this.#commands.writeSame;
    return zeroesSlowly && (request.flags & BlockFlag.FastZero) !== 0 ? BlockStatus.Enotsup : BlockStatus.Ok;
  }
  /** A range that the unit had before it shrunk: no mistake of whoever asks. */
  #isCutOff({ offset, length }: BlockRequest): boolean {
    const end = offset + length;
    return end > this.sizeBytes && end <= this.#mostBytes;
  }
  /** The unit is the same as before and says this of itself now. */
  #adopt(disk: DiskInfo): void {
    this.#commands.disk = disk;
    this.#mostBytes = Math.max(this.#mostBytes, this.sizeBytes);
  }
  /** Evidence of a restart: what only a volatile cache held is gone (SBC-3 §4.15). */
  #restarted(evidence: string): void {
    if (!this.writeCache || this.#disk.nonVolatileCache || !this.#ledger.cacheLost()) return;
    const message = `LUN ${this.info.lun}: acknowledged writes that were not flushed may be lost, ${evidence}`;
    this.#session.note('warn', `${message}; the next flush fails`);
  }

  // The endings of a command

  /** A command of a request has succeeded: the next one, the cache, or the end. */
  #advance(task: Task, request: BlockRequest): void {
    this.#busySince = null;
    if (this.#isUndone(task, request)) {
      this.#beginAnew(task, request);
      return;
    }
    if (task.phase === Phase.Stabilize || request.op === BlockOp.Flush) {
      this.#end(task, request, BlockStatus.Ok);
      return;
    }
    task.progress += task.step;
    task.delivered = 0;
    task.context = null;
    if (task.progress < request.length) {
      this.#commands.put(task, request);
      this.#session.start(task);
    } else if (this.#mustStabilize(request)) {
      task.phase = Phase.Stabilize;
      this.#commands.putSynchronize(task);
      this.#session.start(task);
    } else {
      this.#end(task, request, BlockStatus.Ok);
    }
  }
  /** Whether the cache has been lost since the request's first command: it had what nobody has acknowledged yet. */
  #isUndone(task: Task, { op }: BlockRequest): boolean {
    if (op === BlockOp.Read || op === BlockOp.Flush) return false;
    if (task.progress === 0) task.cacheLosses = this.#ledger.cacheLosses;
    return task.cacheLosses !== this.#ledger.cacheLosses;
  }
  #beginAnew(task: Task, request: BlockRequest): void {
    if (task.restarts++ === MOST_RESTARTS) {
      this.#end(task, request, BlockStatus.Eio);
      return;
    }
    task.progress = 0;
    task.phase = Phase.Main;
    this.#commands.put(task, request);
    this.#session.start(task);
  }
  /** WRITE has a FUA bit where the unit says so; UNMAP and WRITE SAME have none. Without a cache there is nothing to do. */
  #mustStabilize(request: BlockRequest): boolean {
    if ((request.flags & BlockFlag.Fua) === 0 || !this.#disk.writeCache || request.op === BlockOp.Read) return false;
    return request.op !== BlockOp.Write || !this.#disk.dpofua;
  }
  /** A command has not succeeded: what it means for the unit, then another try or the end. */
  #stumble(task: Task, request: BlockRequest, verdict: Verdict): void {
    const isTold = task.failure === TaskFailure.None;
    if (isTold && task.status === ScsiStatus.TaskSetFull) this.#depth.full();
    if (isTold && verdict.retry !== 'later') this.#busySince = null;
    if (verdict.kind === 'deferred') this.#ledger.failedLater();
    if (verdict.kind === 'unit-attention' && verdict.sense !== null) {
      this.#session.noteUnitAttention(this.info.address, verdict.sense);
    }
    if (verdict.kind === 'no-such-lun' || verdict.kind === 'out-of-range') this.#guard.doubt();
    const delayMs = this.#nextTry(task, verdict);
    // With a status that is no success the data may be anything: what cannot be taken back must not be taken for a success.
    if (delayMs === null) this.#failed(task, request, verdict);
    else if (!this.#takeBack(task) && isTold) this.#end(task, request, BlockStatus.Eio);
    else if (delayMs === 0) this.#session.start(task);
    else this.#session.startLater(task, delayMs);
  }
  /** Whether nothing has been delivered by this command, or whoever reads has forgotten it again. */
  #takeBack(task: Task): boolean {
    if (task.delivered > 0 && task.request?.onRewind?.(task.progress) === true) task.delivered = 0;
    return task.delivered === 0;
  }
  #nextTry(task: Task, { retry }: Verdict): number | null {
    const now = this.#session.environment.now();
    if (retry === 'later') {
      this.#busySince ??= now;
      // The others have waited for the same unit long enough: those that the queue depth held back do not begin anew.
      if (now - this.#busySince >= this.#patienceMs) return null;
    }
    const trouble = task.context instanceof Trouble ? task.context : new Trouble();
    task.context = trouble;
    return trouble.nextTry(retry, now, this.#patienceMs, task.itt);
  }
  #failed(task: Task, request: BlockRequest, verdict: Verdict): void {
    const unknown = verdict.kind === 'unsupported';
    const isSync = request.op === BlockOp.Flush || task.phase === Phase.Stabilize;
    // Some units without a cache do not know SYNCHRONIZE CACHE: everything is stable there already.
    if (isSync && unknown && !this.#disk.writeCache) {
      this.#end(task, request, BlockStatus.Ok);
      return;
    }
    if (
      request.op === BlockOp.WriteZeroes &&
      this.#commands.writeSame &&
      (unknown || verdict.kind === 'invalid-field')
    ) {
      this.#zeroSlowly(task, request);
      return;
    }
    // An answer of the unit says that its cache could not be emptied; a lost command says nothing.
    const isRefused = isSync && task.failure === TaskFailure.None;
    if (isRefused && request.op !== BlockOp.Flush) this.#ledger.syncFailed();
    // ENOTSUP is an answer to what is optional only.
    const optional = request.op === BlockOp.Trim || request.op === BlockOp.WriteZeroes;
    const vague = verdict.status === BlockStatus.Enotsup || verdict.status === BlockStatus.Einval;
    this.#end(task, request, vague && !(optional && !isSync) ? BlockStatus.Eio : verdict.status, isRefused);
  }
  #zeroSlowly(task: Task, request: BlockRequest): void {
    this.#commands.writeSame = false;
    if ((request.flags & BlockFlag.FastZero) !== 0) {
      this.#end(task, request, BlockStatus.Enotsup);
      return;
    }
    this.#commands.put(task, request);
    this.#session.start(task);
  }
  /** GOOD for less or for more than was asked for: the unit has shrunk, its blocks have another size, or it is wrong. */
  #isAmiss(task: Task, { op }: BlockRequest): boolean {
    if (task.phase !== Phase.Main) return false;
    if (op === BlockOp.Read) return task.received !== task.length || task.residual !== 0;
    if (op === BlockOp.Write && task.residual !== 0) return true;
    return (op === BlockOp.Write || op === BlockOp.WriteZeroes) && task.sent !== task.length;
  }
  #end(task: Task, request: BlockRequest, outcome: BlockStatus, isRefused = false): void {
    const { op, flags } = request;
    const status = op === BlockOp.Flush ? this.#ledger.flushEnds(task, outcome, isRefused) : outcome;
    this.#session.release(task);
    this.#depth.leave(status === BlockStatus.Ok);
    if (status === BlockStatus.Ok) {
      if (op === BlockOp.Read) this.readBytes += request.length;
      else if (op !== BlockOp.Flush && (flags & BlockFlag.Fua) === 0) this.#ledger.changed();
      if (op === BlockOp.Write) this.writtenBytes += request.length;
    }
    request.onDone(status);
    this.#startWaiting();
    this.#leave();
  }
  #leave(): void {
    if (--this.#inFlight === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
  /** Starts what the queue depth held back. A start may end at once and come back here: one loop does them all. */
  #startWaiting(): void {
    if (this.#starting) return;
    this.#starting = true;
    for (let task = this.#depth.next(); task !== undefined; task = this.#depth.next()) this.#session.start(task);
    this.#starting = false;
  }
}
