// One SCSI command as iSCSI carries it: write data in, read data and status out (RFC 7143 §4.2.5, §11.3 to §11.8).
import { isFinal, isImmediate, itt as ittOf, lunOf, NO_TAG } from '../iscsi/wire/bhs.js';
import { DataInFlag, putDataIn } from '../iscsi/wire/data-in.js';
import { dataOutBufferOffset, dataOutDataSn, dataOutTtt } from '../iscsi/wire/data-out.js';
import { putR2T } from '../iscsi/wire/r2t.js';
import { CDB_AT, CommandFlag, commandEdtl, commandFlags } from '../iscsi/wire/scsi-command.js';
import { buildResponseData, putScsiResponse, ResidualFlag, ScsiResponseCode } from '../iscsi/wire/scsi-response.js';
import { Senses } from '../scsi/check-condition.js';
import { buildFixedSense, type Sense } from '../scsi/sense.js';
import { ScsiStatus } from '../scsi/status.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import type { LogicalUnit } from './logical-unit.js';
import type { Nexus } from './nexus.js';
import type { DataOutReceiver, Resumable, ScsiTask } from './scsi-task.js';
import type { TargetSession } from './session.js';
import type { MappedLun } from './target-node.js';

/** An R2T whose data has not all come. */
interface Solicited {
  readonly ttt: number;
  readonly length: number;
  /** Where it ends in the command's data. */
  readonly end: number;
  dataSn: number;
}

/** Data that came before the logical unit asked for it. */
interface Early {
  readonly piece: Buffer;
  readonly owner: RefBuffer;
}

export class IscsiTask implements ScsiTask {
  readonly cdb = Buffer.alloc(16);
  readonly #lun = Buffer.alloc(8);
  readonly #session: TargetSession;
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

  // Data-Out: how much came, how much may come unasked, what was asked for.
  #receiver: DataOutReceiver | null = null;
  #wanted = -1;
  #received = 0;
  #delivered = 0;
  #unsolicitedOpen = false;
  #unsolicitedDataSn = 0;
  #promised = 0;
  #r2tSn = 0;
  readonly #r2ts: Solicited[] = [];
  readonly #early: Early[] = [];
  /** Bytes that count against the write memory because of this task. */
  #held = 0;

  // Data-In: what was accepted, what was sent, and the last PDU, which waits for the status to go with it.
  #total = 0;
  #accepted = 0;
  #sent = 0;
  #burst = 0;
  #dataSn = 0;
  #tail: Buffer | null = null;
  #tailOwner: RefBuffer | null = null;
  #fetching = 0;
  #fetcher: Resumable | null = null;

  constructor(session: TargetSession) {
    this.#session = session;
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

  /** Takes over a SCSI Command header. `mapped` is null where the LUN does not exist. */
  begin(b: Buffer, at: number, mapped: MappedLun | null): void {
    const flags = commandFlags(b, at);
    b.copy(this.cdb, 0, at + CDB_AT, at + CDB_AT + 16);
    lunOf(b, at).copy(this.#lun);
    this.#mapped = mapped;
    this.itt = ittOf(b, at);
    this.attribute = flags & 7;
    this.immediate = isImmediate(b, at);
    const edtl = commandEdtl(b, at);
    this.dataOutLength = (flags & CommandFlag.Write) !== 0 ? edtl : 0;
    this.dataInLength = (flags & CommandFlag.Read) !== 0 ? edtl : 0;
    this.aborted = this.#silent = this.#finished = this.#idle = false;
    this.#failure = this.#sense = null;
    this.#wanted = -1;
    this.#received = this.#delivered = this.#promised = this.#r2tSn = this.#held = 0;
    this.#unsolicitedOpen = this.dataOutLength > 0 && (flags & CommandFlag.Final) === 0;
    this.#unsolicitedDataSn = 0;
    this.#total = this.#accepted = this.#sent = this.#burst = this.#dataSn = this.#fetching = 0;
  }

  // ---- Data-Out -------------------------------------------------------------------------------------------------

  /** Data that came with the command. The memory it takes was promised by the window. */
  immediateData(data: Buffer, owner: RefBuffer | null): void {
    const { params } = this.#session;
    if (!params.immediateData || data.length > Math.min(params.firstBurstLength, this.dataOutLength)) {
      this.fail(data.length > this.dataOutLength ? Senses.NotEnoughUnsolicitedData : Senses.UnexpectedUnsolicitedData);
      return;
    }
    this.#hold(data.length);
    this.#take(data, owner);
  }

  /** A Data-Out PDU for this task. `data` null: its digest was wrong. */
  dataOut(b: Buffer, at: number, data: Buffer | null, owner: RefBuffer | null): void {
    const ttt = dataOutTtt(b, at);
    if (ttt === NO_TAG) this.#unsolicited(b, at, data, owner);
    else this.#answer(ttt, b, at, data, owner);
    this.#maybeRespond();
  }

  #unsolicited(b: Buffer, at: number, data: Buffer | null, owner: RefBuffer | null): void {
    if (!this.#unsolicitedOpen) {
      this.fail(Senses.UnexpectedUnsolicitedData);
      return;
    }
    if (isFinal(b, at)) this.#unsolicitedOpen = false;
    if (!this.#inOrder(b, at, this.#unsolicitedDataSn++, data)) return;
    const limit = Math.min(this.#session.params.firstBurstLength, this.dataOutLength);
    if (data === null || this.#received + data.length > limit) {
      this.fail(Senses.UnexpectedUnsolicitedData);
      return;
    }
    this.#hold(data.length);
    this.#take(data, owner);
    this.solicit();
  }

  #answer(ttt: number, b: Buffer, at: number, data: Buffer | null, owner: RefBuffer | null): void {
    // Sequences come in the order of their R2Ts (DataSequenceInOrder=Yes), so only the oldest can be answered.
    const r2t = this.#r2ts[0];
    if (r2t === undefined || r2t.ttt !== ttt) {
      // Data for an R2T of an earlier life of this tag.
      if (!this.#r2ts.some((r) => r.ttt === ttt)) return;
      this.fail(Senses.DataPhaseError);
      return;
    }
    const final = isFinal(b, at);
    if (final) {
      this.#r2ts.shift();
      this.#session.solicited -= r2t.length;
    }
    if (!this.#inOrder(b, at, r2t.dataSn++, data)) return;
    if (data === null || this.#received + data.length > r2t.end) {
      this.fail(Senses.DataPhaseError);
      return;
    }
    if (final && this.#received + data.length !== r2t.end) {
      this.fail(Senses.DataPhaseError);
      return;
    }
    this.#take(data, owner);
    if (final) this.solicit();
  }

  #inOrder(b: Buffer, at: number, dataSn: number, data: Buffer | null): boolean {
    if (this.#failure !== null || this.aborted) return false;
    if (data === null) this.fail(Senses.ProtocolServiceCrcError);
    else if (dataOutDataSn(b, at) !== dataSn || dataOutBufferOffset(b, at) !== this.#received) {
      this.fail(Senses.DataPhaseError);
    } else return true;
    return false;
  }

  #hold(bytes: number): void {
    this.#held += bytes;
    this.#session.context.memory.take(bytes);
  }

  #take(data: Buffer, owner: RefBuffer | null): void {
    this.#received += data.length;
    if (data.length === 0) return;
    if (this.#receiver !== null) this.#deliver(data, owner);
    else if (this.#wanted < 0 && owner !== null && !this.#finished) {
      owner.retain();
      this.#early.push({ piece: data, owner });
    } else this.release(data.length);
  }

  #deliver(data: Buffer, owner: RefBuffer | null): void {
    const receiver = this.#receiver;
    if (receiver === null) {
      // With its end the task has given back all that it held, this too.
      if (!this.#idle) this.release(data.length);
      return;
    }
    const useful = Math.min(data.length, this.#wanted - this.#delivered);
    if (useful < data.length) this.release(data.length - useful);
    const from = this.#delivered;
    this.#delivered += useful;
    if (useful > 0) receiver.onDataOut(useful === data.length ? data : data.subarray(0, useful), from, owner);
    if (this.#delivered === this.#wanted && this.#receiver === receiver) {
      this.#receiver = null;
      receiver.onDataOutEnd();
    }
  }

  receive(length: number, receiver: DataOutReceiver): number {
    const wanted = Math.min(length, this.dataOutLength);
    this.#wanted = wanted;
    this.#receiver = receiver;
    if (this.#early.length > 0) {
      for (const { piece, owner } of this.#early.splice(0)) {
        this.#deliver(piece, owner);
        owner.release();
      }
    }
    if (wanted === 0 && this.#receiver === receiver) {
      this.#receiver = null;
      receiver.onDataOutEnd();
    } else if (this.aborted) this.#cancel();
    else this.solicit();
    return wanted;
  }

  release(length: number): void {
    this.#held -= length;
    this.#session.context.memory.release(length);
  }

  /** Asks for what is still missing, as far as R2Ts and memory allow (RFC 7143 §11.8). */
  solicit(): void {
    if (this.#receiver === null || this.#unsolicitedOpen || this.aborted) return;
    const session = this.#session;
    const { params } = session;
    if (this.#promised < this.#received) this.#promised = this.#received;
    while (this.#r2ts.length < params.maxOutstandingR2T && this.#promised < this.#wanted) {
      const length = Math.min(params.maxBurstLength, this.#wanted - this.#promised);
      if (!session.maySolicit(length, this)) return;
      this.#held += length;
      this.#sendR2T(length);
      this.#promised += length;
    }
  }

  #sendR2T(length: number): void {
    const { writer, window, statSn } = this.#session;
    const ttt = this.#session.nextTtt();
    this.#r2ts.push({ ttt, length, end: this.#promised + length, dataSn: 0 });
    const at = writer.begin(0);
    const maxCmdSn = this.#session.maxCmdSn();
    putR2T(
      writer.slab,
      at,
      this.#lun,
      this.itt,
      ttt,
      statSn.next,
      window.expCmdSn,
      maxCmdSn,
      this.#r2tSn++,
      this.#promised,
      length,
    );
    writer.end(null, null);
  }

  // ---- Data-In --------------------------------------------------------------------------------------------------

  expectData(total: number): void {
    this.#total = total;
  }

  mayFetch(bytes: number, waiter: Resumable): boolean {
    if (!this.#session.mayFetch(bytes, waiter)) {
      this.#fetcher = waiter;
      return false;
    }
    this.#fetcher = null;
    this.#fetching += bytes;
    return true;
  }

  sendData(piece: Buffer, owner: RefBuffer | null): void {
    const counted = Math.min(piece.length, this.#fetching);
    this.#fetching -= counted;
    this.#session.fetched(counted);
    if (this.aborted || this.#session.over) return;
    const limit = Math.min(this.#total, this.dataInLength);
    const end = Math.min(piece.length, limit - this.#accepted);
    const { maxXmitDataSegmentLength, maxBurstLength } = this.#session.params;
    for (let from = 0; from < end; ) {
      const size = Math.min(maxXmitDataSegmentLength, maxBurstLength - this.#burst, end - from);
      const part = size === piece.length ? piece : piece.subarray(from, from + size);
      from += size;
      this.#accepted += size;
      if (this.#accepted === limit) this.#keepTail(part, owner);
      else this.#sendPdu(part, owner, 0, 0, 0);
    }
  }

  #keepTail(part: Buffer, owner: RefBuffer | null): void {
    if (owner === null) {
      const copy = this.#session.context.pool.take(part.length);
      part.copy(copy.buffer);
      this.#tail = copy.buffer.subarray(0, part.length);
      this.#tailOwner = copy;
    } else {
      owner.retain();
      this.#tail = part;
      this.#tailOwner = owner;
    }
  }

  /** Sends the last PDU; `flags` with Status makes it end the command. */
  #flushTail(flags: number, residual: number): void {
    const tail = this.#tail;
    const owner = this.#tailOwner;
    if (tail === null || owner === null) return;
    this.#tail = this.#tailOwner = null;
    this.#sendPdu(tail, owner, flags, this.#status, residual);
    owner.release();
  }

  #sendPdu(data: Buffer, owner: RefBuffer | null, flags: number, status: number, residual: number): void {
    const session = this.#session;
    const { writer, params } = session;
    this.#burst += data.length;
    const last = this.#burst === params.maxBurstLength || this.#accepted === Math.min(this.#total, this.dataInLength);
    if (last) this.#burst = 0;
    const at = writer.begin(data.length);
    const withStatus = (flags & DataInFlag.Status) !== 0;
    const statSn = withStatus ? session.statSn.take() : 0;
    const bits = flags | (last ? DataInFlag.Final : 0);
    const { expCmdSn } = session.window;
    const maxCmdSn = session.maxCmdSn();
    putDataIn(
      writer.slab,
      at,
      bits,
      withStatus ? status : 0,
      this.itt,
      statSn,
      expCmdSn,
      maxCmdSn,
      this.#dataSn++,
      this.#sent,
      residual,
    );
    this.#sent += data.length;
    writer.end(data, owner);
  }

  // ---- The end --------------------------------------------------------------------------------------------------

  /** Ends the task with CHECK CONDITION once what it has started has returned and the data under way has come. */
  fail(sense: Sense): void {
    if (this.#failure !== null || this.aborted || this.#finished) return;
    this.#failure = sense;
    this.aborted = true;
    this.#cancel();
  }

  abort(ended: () => void): void {
    this.#whenEnded.push(ended);
    this.#silent = true;
    this.#unsolicitedOpen = false;
    for (const { length } of this.#r2ts.splice(0)) this.#session.solicited -= length;
    if (this.#finished) {
      this.#maybeRespond();
      return;
    }
    this.aborted = true;
    this.#cancel();
  }

  /** Gives whatever waits for the network a chance to end. What waits for a device ends when that answers. */
  #cancel(): void {
    const mapped = this.#mapped;
    if (mapped?.unit.cancelDormant(this)) return;
    const fetcher = this.#fetcher;
    if (fetcher !== null && this.#session.dropFetcher(fetcher)) {
      this.#fetcher = null;
      fetcher.resume();
      return;
    }
    const receiver = this.#receiver;
    this.#receiver = null;
    receiver?.onAbort();
  }

  finish(status: number, sense: Buffer | null): void {
    if (this.#finished) throw new Error('a task was finished twice');
    this.#finished = true;
    this.#receiver = null;
    this.#session.fetched(this.#fetching);
    this.#fetching = 0;
    if (this.#early.length > 0) this.#dropEarly();
    this.#status = this.#failure ? ScsiStatus.CheckCondition : status;
    this.#sense = this.#failure ? buildFixedSense(this.#failure) : sense;
    this.#maybeRespond();
  }

  #dropEarly(): void {
    for (const { piece, owner } of this.#early.splice(0)) {
      owner.release();
      this.release(piece.length);
    }
  }

  /** The response waits for data that the initiator was allowed to send: its tag must not be free before (§7.8). */
  #maybeRespond(): void {
    if (this.#idle || !this.#finished || (!this.#silent && (this.#unsolicitedOpen || this.#r2ts.length > 0))) return;
    const session = this.#session;
    if (this.#held > 0) this.release(this.#held);
    if (this.#silent || session.over) this.#dropTail();
    else this.#respond();
    this.#idle = true;
    const ended = this.#whenEnded.length > 0 ? this.#whenEnded.splice(0) : null;
    session.taskEnded(this);
    if (ended !== null) for (const call of ended) call();
    session.resumeFetchers();
  }

  #dropTail(): void {
    this.#tailOwner?.release();
    this.#tail = this.#tailOwner = null;
  }

  #respond(): void {
    const expected = this.dataInLength > 0 ? this.dataInLength : this.dataOutLength;
    const good = this.#sense === null && this.#status !== ScsiStatus.TaskAborted;
    const moved = good ? this.#total : this.dataInLength > 0 ? this.#sent : Math.min(this.#delivered, expected);
    const residual = Math.abs(moved - expected);
    const flags = moved > expected ? ResidualFlag.Overflow : moved < expected ? ResidualFlag.Underflow : 0;
    if (good && this.#tail !== null) {
      this.#flushTail(DataInFlag.Status | flags, residual);
      return;
    }
    this.#dropTail();
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
      this.dataInLength > 0 ? this.#dataSn : this.#r2tSn,
      residual,
    );
    writer.end(data, null);
  }
}
