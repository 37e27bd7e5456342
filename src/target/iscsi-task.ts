// One SCSI command as iSCSI carries it: write data in, read data and status out (RFC 7143 §4.2.5, §11.3 to §11.8).
import { isImmediate, itt as ittOf, lunOf } from '../iscsi/wire/bhs.js';
import { DataInFlag } from '../iscsi/wire/data-in.js';
import { CDB_AT, CommandFlag, commandEdtl, commandFlags } from '../iscsi/wire/scsi-command.js';
import { buildResponseData, putScsiResponse, ResidualFlag, ScsiResponseCode } from '../iscsi/wire/scsi-response.js';
import { buildFixedSense, type Sense } from '../scsi/sense.js';
import { ScsiStatus } from '../scsi/status.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import { DataInSide } from './data-in-side.js';
import { DataOutSide } from './data-out-side.js';
import type { LogicalUnit } from './logical-unit.js';
import type { Nexus } from './nexus.js';
import type { DataOutReceiver, Resumable, ScsiTask } from './scsi-task.js';
import type { MappedLun } from './target-node.js';
import type { TransferSession } from './transfer-session.js';

/** What a task needs of its session: see TargetSession. */
export interface TaskSession extends TransferSession {
  readonly nexus: Nexus;
  readonly luns: ReadonlyMap<number, MappedLun>;
  /** The task is over: its tag is free, and so is its object. */
  taskEnded(task: IscsiTask): void;
  resumeFetchers(): void;
  /** See ScsiTask.portalGroupTags. */
  portalGroupTags(unit: LogicalUnit): readonly number[];
}

export class IscsiTask implements ScsiTask {
  readonly cdb = Buffer.alloc(16);
  readonly lun = Buffer.alloc(8);
  readonly #session: TaskSession;
  #mapped: MappedLun | null = null;
  itt = 0;
  attribute = 0;
  immediate = false;
  dataOutLength = 0;
  dataInLength = 0;
  aborted = false;
  /** No answer goes out: the task was aborted by task management or with its session. */
  #silent = false;
  #finished = false;
  /** Between two lives. */
  #idle = true;
  #status = 0;
  #sense: Buffer | null = null;
  #failure: Sense | null = null;
  readonly #whenEnded: (() => void)[] = [];

  readonly #out: DataOutSide;
  readonly #in: DataInSide;

  constructor(session: TaskSession) {
    this.#session = session;
    this.#out = new DataOutSide(session, this);
    this.#in = new DataInSide(session, this);
  }

  get nexus(): Nexus {
    return this.#session.nexus;
  }
  get mapped(): MappedLun {
    if (this.#mapped === null) throw new Error('a task without a logical unit was executed');
    return this.#mapped;
  }

  /** The unit that the command is for; null where its LUN does not exist. */
  get unit(): LogicalUnit | null {
    return this.#mapped?.unit ?? null;
  }
  get luns(): ReadonlyMap<number, MappedLun> {
    return this.#session.luns;
  }
  portalGroupTags(): readonly number[] {
    return this.#session.portalGroupTags(this.mapped.unit);
  }

  get failed(): boolean {
    return this.#failure !== null;
  }
  get finished(): boolean {
    return this.#finished;
  }
  get idle(): boolean {
    return this.#idle;
  }

  /** Takes over a SCSI Command header. `mapped` is null where the LUN does not exist. */
  begin(b: Buffer, at: number, mapped: MappedLun | null): void {
    const flags = commandFlags(b, at);
    b.copy(this.cdb, 0, at + CDB_AT, at + CDB_AT + 16);
    lunOf(b, at).copy(this.lun);
    this.#mapped = mapped;
    this.itt = ittOf(b, at);
    this.attribute = flags & 7;
    this.immediate = isImmediate(b, at);
    const edtl = commandEdtl(b, at);
    this.dataOutLength = (flags & CommandFlag.Write) !== 0 ? edtl : 0;
    this.dataInLength = (flags & CommandFlag.Read) !== 0 ? edtl : 0;
    this.aborted = this.#silent = this.#finished = this.#idle = false;
    this.#failure = this.#sense = null;
    this.#out.begin(this.dataOutLength > 0 && (flags & CommandFlag.Final) === 0);
    this.#in.begin();
  }

  // ---- Data-Out -------------------------------------------------------------------------------------------------

  /** Data that came with the command. The memory it takes was promised by the window. */
  immediateData(data: Buffer, owner: RefBuffer | null): void {
    this.#out.immediateData(data, owner);
  }
  /** A Data-Out PDU for this task. `data` null: its digest was wrong. */
  dataOut(b: Buffer, at: number, data: Buffer | null, owner: RefBuffer | null): void {
    this.#out.dataOut(b, at, data, owner);
    this.#maybeRespond();
  }
  receive(length: number, receiver: DataOutReceiver): number {
    return this.#out.receive(length, receiver);
  }
  release(length: number): void {
    this.#out.release(length);
  }
  solicit(): void {
    this.#out.solicit();
  }

  // ---- Data-In --------------------------------------------------------------------------------------------------

  expectData(total: number): void {
    this.#in.expectData(total);
  }
  mayFetch(bytes: number, waiter: Resumable): number {
    return this.#in.mayFetch(bytes, waiter);
  }
  sendData(piece: Buffer, owner: RefBuffer | null): void {
    this.#in.sendData(piece, owner);
  }

  // ---- The end --------------------------------------------------------------------------------------------------

  /**
   * Ends the task with CHECK CONDITION once what it has started has returned and the data under way has come; one that is over
   * but for that data keeps the status that it has. `ended` is called after it.
   */
  fail(sense: Sense, ended?: () => void): void {
    if (ended !== undefined) this.#whenEnded.push(ended);
    if (this.#failure !== null || this.aborted || this.#finished) return;
    this.#failure = sense;
    this.aborted = true;
    this.cancel();
  }

  abort(ended: () => void): void {
    this.#whenEnded.push(ended);
    this.#silent = true;
    this.#out.close();
    if (this.#finished) {
      this.#maybeRespond();
      return;
    }
    this.aborted = true;
    this.cancel();
  }

  /** Gives whatever waits for the network a chance to end. What waits for a device ends when that answers. */
  cancel(): void {
    if (this.#mapped?.unit.cancelDormant(this) || this.#in.abort()) return;
    this.#out.abort();
  }

  finish(status: number, sense: Buffer | null): void {
    if (this.#finished) throw new Error('a task was finished twice');
    this.#finished = true;
    this.#in.finish();
    this.#out.finish();
    this.#status = this.#failure ? ScsiStatus.CheckCondition : status;
    this.#sense = this.#failure ? buildFixedSense(this.#failure) : sense;
    this.#maybeRespond();
  }

  /** The response waits for data that the initiator was allowed to send: its tag must not be free before (§7.8). */
  #maybeRespond(): void {
    if (this.#idle || !this.#finished || (!this.#silent && this.#out.isOpen)) return;
    const session = this.#session;
    this.#out.releaseAll();
    if (this.#silent || session.over) this.#in.dropTail();
    else this.#respond();
    this.#idle = true;
    const ended = this.#whenEnded.length > 0 ? this.#whenEnded.splice(0) : null;
    session.taskEnded(this);
    if (ended !== null) for (const call of ended) call();
    session.resumeFetchers();
  }

  #respond(): void {
    const expected = this.dataInLength > 0 ? this.dataInLength : this.dataOutLength;
    const good = this.#sense === null && this.#status !== ScsiStatus.TaskAborted;
    const moved = good
      ? this.#in.total
      : this.dataInLength > 0
        ? this.#in.sent
        : Math.min(this.#out.delivered, expected);
    const residual = Math.abs(moved - expected);
    const flags = moved > expected ? ResidualFlag.Overflow : moved < expected ? ResidualFlag.Underflow : 0;
    if (good && this.#in.hasTail) {
      this.#in.flushTail(DataInFlag.Status | flags, this.#status, residual);
      return;
    }
    this.#in.dropTail();
    const session = this.#session;
    const { writer } = session;
    const data = this.#sense === null ? null : buildResponseData(this.#sense);
    const at = writer.begin(data?.length ?? 0);
    const maxCmdSn = session.maxCmdSn();
    putScsiResponse(
      writer.slab,
      at,
      flags,
      ScsiResponseCode.Completed,
      this.#status,
      this.itt,
      session.statSn.take(),
      session.window.expCmdSn,
      maxCmdSn,
      this.dataInLength > 0 ? this.#in.dataSn : this.#out.r2tSn,
      residual,
    );
    writer.end(data, null);
  }
}
