// The write data of one command: what comes unasked, what R2Ts ask for, and handing it on in order (RFC 7143 §11.7, §11.8).
import { isFinal, NO_TAG } from '../iscsi/wire/bhs.js';
import { dataOutBufferOffset, dataOutDataSn, dataOutTtt } from '../iscsi/wire/data-out.js';
import { putR2T } from '../iscsi/wire/r2t.js';
import { Senses } from '../scsi/check-condition.js';
import type { Sense } from '../scsi/sense.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import type { DataOutReceiver } from './scsi-task.js';
import type { Solicitor, TransferSession } from './transfer-session.js';

/** The command whose data this is. */
interface WritingTask extends Solicitor {
  readonly itt: number;
  readonly lun: Buffer;
  readonly dataOutLength: number;
  readonly aborted: boolean;
  readonly failed: boolean;
  readonly finished: boolean;
  /** Between two lives. */
  readonly idle: boolean;
  /** Ends the command with CHECK CONDITION. */
  fail(sense: Sense): void;
  /** Gives whatever waits for the network a chance to end. */
  cancel(): void;
}

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

export class DataOutSide {
  readonly #session: TransferSession;
  readonly #task: WritingTask;
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

  constructor(session: TransferSession, task: WritingTask) {
    this.#session = session;
    this.#task = task;
  }

  /** Bytes that the logical unit has been given. */
  get delivered(): number {
    return this.#delivered;
  }
  get r2tSn(): number {
    return this.#r2tSn;
  }
  /** Whether the initiator was allowed to send data that has not come yet. */
  get isOpen(): boolean {
    return this.#unsolicitedOpen || this.#r2ts.length > 0;
  }

  /** A new command. `unsolicited`: Data-Out PDUs come unasked. */
  begin(unsolicited: boolean): void {
    this.#wanted = -1;
    this.#received = this.#delivered = this.#promised = this.#r2tSn = this.#held = 0;
    this.#unsolicitedOpen = unsolicited;
    this.#unsolicitedDataSn = 0;
  }

  /** Data that came with the command. The memory it takes was promised by the window. */
  immediateData(data: Buffer, owner: RefBuffer | null): void {
    const { params } = this.#session;
    if (!params.immediateData || data.length > Math.min(params.firstBurstLength, this.#task.dataOutLength)) {
      this.#task.fail(
        data.length > this.#task.dataOutLength ? Senses.NotEnoughUnsolicitedData : Senses.UnexpectedUnsolicitedData,
      );
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
  }

  #unsolicited(b: Buffer, at: number, data: Buffer | null, owner: RefBuffer | null): void {
    if (!this.#unsolicitedOpen) {
      this.#task.fail(Senses.UnexpectedUnsolicitedData);
      return;
    }
    if (isFinal(b, at)) this.#unsolicitedOpen = false;
    if (!this.#inOrder(b, at, this.#unsolicitedDataSn++, data)) return;
    const limit = Math.min(this.#session.params.firstBurstLength, this.#task.dataOutLength);
    if (data === null || this.#received + data.length > limit) {
      this.#task.fail(Senses.UnexpectedUnsolicitedData);
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
      this.#task.fail(Senses.DataPhaseError);
      return;
    }
    const final = isFinal(b, at);
    if (final) {
      this.#r2ts.shift();
      this.#session.solicited -= r2t.length;
    }
    if (!this.#inOrder(b, at, r2t.dataSn++, data)) return;
    if (data === null || this.#received + data.length > r2t.end) {
      this.#task.fail(Senses.DataPhaseError);
      return;
    }
    if (final && this.#received + data.length !== r2t.end) {
      this.#task.fail(Senses.DataPhaseError);
      return;
    }
    this.#take(data, owner);
    if (final) this.solicit();
  }

  #inOrder(b: Buffer, at: number, dataSn: number, data: Buffer | null): boolean {
    if (this.#task.failed || this.#task.aborted) return false;
    if (data === null) this.#task.fail(Senses.ProtocolServiceCrcError);
    else if (dataOutDataSn(b, at) !== dataSn || dataOutBufferOffset(b, at) !== this.#received) {
      this.#task.fail(Senses.DataPhaseError);
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
    else if (this.#wanted < 0 && owner !== null && !this.#task.finished) {
      owner.retain();
      this.#early.push({ piece: data, owner });
    } else this.release(data.length);
  }

  #deliver(data: Buffer, owner: RefBuffer | null): void {
    const receiver = this.#receiver;
    if (receiver === null) {
      // With its end the task has given back all that it held, this too.
      if (!this.#task.idle) this.release(data.length);
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

  /** See ScsiTask. */
  receive(length: number, receiver: DataOutReceiver): number {
    const wanted = Math.min(length, this.#task.dataOutLength);
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
    } else if (this.#task.aborted) this.#task.cancel();
    else this.solicit();
    return wanted;
  }

  /** See ScsiTask. */
  release(length: number): void {
    this.#held -= length;
    this.#session.context.memory.release(length);
  }

  /** Asks for what is still missing, as far as R2Ts and memory allow (RFC 7143 §11.8). */
  solicit(): void {
    if (this.#receiver === null || this.#unsolicitedOpen || this.#task.aborted) return;
    const session = this.#session;
    const { params } = session;
    if (this.#promised < this.#received) this.#promised = this.#received;
    while (this.#r2ts.length < params.maxOutstandingR2T && this.#promised < this.#wanted) {
      const length = Math.min(params.maxBurstLength, this.#wanted - this.#promised);
      if (!session.maySolicit(length, this.#task)) return;
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
      this.#task.lun,
      this.#task.itt,
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

  /** Waits for no data any more. */
  close(): void {
    this.#unsolicitedOpen = false;
    for (const { length } of this.#r2ts.splice(0)) this.#session.solicited -= length;
  }

  /** Tells the logical unit that no more comes. */
  abort(): void {
    const receiver = this.#receiver;
    this.#receiver = null;
    receiver?.onAbort();
  }

  /** The command is over: nobody wants what came early. */
  finish(): void {
    this.#receiver = null;
    if (this.#early.length === 0) return;
    for (const { piece, owner } of this.#early.splice(0)) {
      owner.release();
      this.release(piece.length);
    }
  }

  /** Gives back what is still held. */
  releaseAll(): void {
    if (this.#held > 0) this.release(this.#held);
  }
}
