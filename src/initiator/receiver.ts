// What arrives for tasks in full feature phase: Data-In (RFC 7143 §11.7), with or without status, and SCSI Response (§11.4).
import { itt as tagOf } from '../iscsi/wire/bhs.js';
import {
  DataInFlag,
  dataInBufferOffset,
  dataInDataSn,
  dataInExpCmdSn,
  dataInFlags,
  dataInMaxCmdSn,
  dataInResidual,
  dataInStatSn,
  dataInStatus,
} from '../iscsi/wire/data-in.js';
import {
  parseResponseData,
  ResidualFlag,
  responseCode,
  responseExpCmdSn,
  responseFlags,
  responseMaxCmdSn,
  responseResidual,
  responseStatSn,
  responseStatus,
  ScsiResponseCode,
} from '../iscsi/wire/scsi-response.js';
import { ProtocolError } from '../util/errors.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import type { Link } from './link.js';
import { type Task, TaskFailure } from './tasks.js';

export class Receiver {
  readonly #link: Link;
  constructor(link: Link) {
    this.#link = link;
  }

  onDataIn(b: Buffer, at: number, data: Buffer, owner: RefBuffer | null): void {
    const { tasks, window, counters } = this.#link;
    counters.datain_pdus++;
    window.update(dataInExpCmdSn(b, at), dataInMaxCmdSn(b, at));
    const flags = dataInFlags(b, at);
    const withStatus = (flags & DataInFlag.Status) !== 0;
    if (withStatus) this.#link.acknowledge(dataInStatSn(b, at));
    const task = tasks.find(tagOf(b, at));
    if (task === undefined) return; // A stale tag: the task was aborted, and its last PDUs were on their way.
    this.#take(task, dataInDataSn(b, at), dataInBufferOffset(b, at), data, owner);
    if (!withStatus) return;
    task.status = dataInStatus(b, at);
    task.residual = signedResidual(flags, dataInResidual(b, at));
    tasks.load.answered(task, this.#link.receivedAt);
    tasks.finish(task);
  }

  onScsiResponse(b: Buffer, at: number, data: Buffer): void {
    const { tasks, window, counters } = this.#link;
    counters.scsirsp_pdus++;
    window.update(responseExpCmdSn(b, at), responseMaxCmdSn(b, at));
    this.#link.acknowledge(responseStatSn(b, at));
    const task = tasks.find(tagOf(b, at));
    if (task === undefined) return;
    // ExpDataSN is not compared: real targets send 0 there, and the byte counts show the same.
    if (responseCode(b, at) !== ScsiResponseCode.Completed) task.failure = TaskFailure.TargetFailure;
    task.status = responseStatus(b, at);
    task.residual = signedResidual(responseFlags(b, at), responseResidual(b, at));
    task.sense = parseResponseData(data).sense;
    tasks.load.answered(task, this.#link.receivedAt);
    tasks.finish(task);
  }

  /** Every byte of a read comes once and in order: we offer DataPDUInOrder and DataSequenceInOrder, and Yes wins. */
  #take(task: Task, dataSn: number, offset: number, data: Buffer, owner: RefBuffer | null): void {
    if (!task.reads) throw new ProtocolError('RFC 7143 §11.7', 'Data-In for a command that reads nothing');
    if (dataSn !== task.dataSn) {
      throw new ProtocolError('RFC 7143 §11.7.5', `DataSN ${dataSn} where ${task.dataSn} was due`);
    }
    if (offset !== task.received) {
      throw new ProtocolError('RFC 7143 §11.7.6', `Data-In at ${offset} where ${task.received} was due`);
    }
    if (offset + data.length > task.length) {
      throw new ProtocolError(
        'RFC 7143 §11.7.6',
        `Data-In up to byte ${offset + data.length} of a command of ${task.length} bytes`,
      );
    }
    task.dataSn++;
    task.received += data.length;
    // A second try delivers only what the first has not: the owner's reader may have sent it on already.
    const known = task.delivered - offset;
    if (known >= data.length) return;
    task.delivered = task.received;
    const piece = known > 0 ? data.subarray(known) : data;
    task.owner.onTaskData(task, piece, offset + Math.max(0, known), owner);
  }
}

function signedResidual(flags: number, residual: number): number {
  if ((flags & ResidualFlag.Underflow) !== 0) return residual;
  return (flags & ResidualFlag.Overflow) !== 0 ? -residual : 0;
}
