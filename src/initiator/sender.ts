// What leaves in full feature phase: SCSI Commands with their immediate and unsolicited data (RFC 7143 §4.2.5.2, §11.3),
// and the Data-Out sequences that R2Ts ask for (§11.7, §11.8).
import { BHS_LENGTH, lunOf, NO_TAG, itt as tagOf } from '../iscsi/wire/bhs.js';
import { putDataOut } from '../iscsi/wire/data-out.js';
import { r2tBufferOffset, r2tExpCmdSn, r2tLength, r2tMaxCmdSn, r2tSn, r2tTtt } from '../iscsi/wire/r2t.js';
import { CDB_AT, CommandFlag, putScsiCommand, TaskAttribute } from '../iscsi/wire/scsi-command.js';
import { ProtocolError } from '../util/errors.js';
import { HIGH_WATER } from '../util/stream.js';
import type { Link } from './link.js';
import type { Task } from './tasks.js';

/** One R2T that is being answered. Kept for reuse. */
class Transfer {
  task: Task | null = null;
  readonly lun = Buffer.alloc(8);
  itt = NO_TAG;
  ttt = NO_TAG;
  at = 0;
  end = 0;
  dataSn = 0;
  next: Transfer | null = null;
}

export class Sender {
  readonly #link: Link;
  #head: Transfer | null = null;
  #tail: Transfer | null = null;
  #spare: Transfer | null = null;
  /** New commands leave only while this is set; Data-Out that was asked for always does. */
  commands = true;

  constructor(link: Link) {
    this.#link = link;
  }
  /** Whether there is Data-Out that the backlog has held up. */
  get held(): boolean {
    return this.#head !== null;
  }
  /** Sends what the backlog and the command window allow: first what was asked for, then new commands in their order. */
  send(): void {
    const { sink, tasks, window, mostCommands } = this.#link;
    while (this.#head !== null && sink.backlog <= HIGH_WATER) this.#sendSolicited(this.#head);
    while (this.commands && window.room > 0 && tasks.active < mostCommands && sink.backlog <= HIGH_WATER) {
      const task = tasks.first;
      if (task === null) break;
      tasks.unqueue(task);
      this.#sendCommand(task);
    }
  }
  /** Notes what the target is ready for. Its numbers are checked against the task before anything is sent. */
  onR2T(b: Buffer, at: number): void {
    const { tasks, window, params, counters } = this.#link;
    counters.r2t_pdus++;
    window.update(r2tExpCmdSn(b, at), r2tMaxCmdSn(b, at));
    const task = tasks.find(tagOf(b, at));
    if (task === undefined) return; // Answers a task that has ended: §4.2.3.1 lets the target say so late.
    const offset = r2tBufferOffset(b, at);
    const length = r2tLength(b, at);
    if (r2tTtt(b, at) === NO_TAG) throw new ProtocolError('RFC 7143 §11.8.5', 'R2T with the reserved tag');
    if (task.payload === null) throw new ProtocolError('RFC 7143 §11.8', 'R2T for a command that writes nothing');
    if (offset + length > task.payload.length) {
      throw new ProtocolError(
        'RFC 7143 §11.8.4',
        `R2T asks for ${length} bytes at ${offset} of a command of ${task.payload.length} bytes`,
      );
    }
    if (length > params.maxBurstLength) {
      throw new ProtocolError(
        'RFC 7143 §13.13',
        `R2T asks for ${length} bytes, MaxBurstLength is ${params.maxBurstLength}`,
      );
    }
    if (r2tSn(b, at) !== task.r2tSn) {
      throw new ProtocolError('RFC 7143 §11.8.2', `R2TSN ${r2tSn(b, at)} where ${task.r2tSn} was due`);
    }
    if (task.r2ts >= params.maxOutstandingR2T) {
      throw new ProtocolError('RFC 7143 §13.17', `more than ${params.maxOutstandingR2T} R2Ts outstanding`);
    }
    // At error recovery level 0 no byte is asked for twice, so this ends a target that would ask forever.
    task.solicited += length;
    if (task.solicited > task.payload.length) {
      throw new ProtocolError('RFC 7143 §11.8', 'R2Ts ask for more bytes than the command has');
    }
    task.r2tSn++;
    task.r2ts++;
    this.#queue(task, b, at, offset, length);
  }
  #queue(task: Task, b: Buffer, at: number, offset: number, length: number): void {
    const transfer = this.#spare ?? new Transfer();
    this.#spare = transfer.next;
    lunOf(b, at).copy(transfer.lun);
    transfer.task = task;
    transfer.itt = task.itt;
    transfer.ttt = r2tTtt(b, at);
    transfer.at = offset;
    transfer.end = offset + length;
    transfer.dataSn = 0;
    transfer.next = null;
    if (this.#tail === null) this.#head = transfer;
    else this.#tail.next = transfer;
    this.#tail = transfer;
  }
  /** One Data-Out PDU of the oldest transfer; the transfer goes when it is complete or its task has ended. */
  #sendSolicited(transfer: Transfer): void {
    const task = transfer.task;
    if (task !== null && this.#link.tasks.find(transfer.itt) === task) {
      const length = Math.min(this.#link.params.maxXmitDataSegmentLength, transfer.end - transfer.at);
      const final = transfer.at + length === transfer.end;
      this.#sendDataOut(task, transfer.lun, transfer.ttt, transfer.dataSn++, transfer.at, length, final);
      transfer.at += length;
      if (!final) return;
      task.r2ts--;
    }
    this.#head = transfer.next;
    if (this.#head === null) this.#tail = null;
    transfer.task = null;
    transfer.next = this.#spare;
    this.#spare = transfer;
  }
  #sendCommand(task: Task): void {
    const link = this.#link;
    const { tasks, window, writer, params, counters } = link;
    tasks.activate(task);
    task.cmdSn = window.take();
    task.deadline = link.now() + task.timeoutMs;
    const payload = task.payload;
    const total = payload === null ? 0 : payload.length;
    const first = Math.min(total, params.firstBurstLength);
    const immediate = params.immediateData ? Math.min(first, params.maxXmitDataSegmentLength) : 0;
    const unsolicited = params.initialR2T ? immediate : first;
    const flags =
      (immediate >= unsolicited ? CommandFlag.Final : 0) |
      (task.reads ? CommandFlag.Read : 0) |
      (total > 0 ? CommandFlag.Write : 0) |
      TaskAttribute.Simple;
    const at = writer.begin(immediate);
    const slab = writer.slab;
    putScsiCommand(slab, at, flags, task.lun, task.itt, task.length, task.cmdSn, link.expStatSn);
    task.cdb.copy(slab, at + CDB_AT);
    writer.end(slice(payload, 0, immediate), task.payloadOwner);
    task.sent = immediate;
    counters.scsicmd_pdus++;
    counters.txdata_octets += BHS_LENGTH + immediate;
    let dataSn = 0;
    for (let offset = immediate; offset < unsolicited; ) {
      const length = Math.min(params.maxXmitDataSegmentLength, unsolicited - offset);
      this.#sendDataOut(task, task.lun, NO_TAG, dataSn++, offset, length, offset + length === unsolicited);
      offset += length;
    }
    // What leaves unasked shows nothing of the target.
    task.moved = task.sent;
  }
  #sendDataOut(
    task: Task,
    lun: Buffer,
    ttt: number,
    dataSn: number,
    offset: number,
    length: number,
    final: boolean,
  ): void {
    const link = this.#link;
    const { writer, counters } = link;
    const at = writer.begin(length);
    putDataOut(writer.slab, at, final, lun, task.itt, ttt, link.expStatSn, dataSn, offset);
    writer.end(slice(task.payload, offset, offset + length), task.payloadOwner);
    task.sent += length;
    counters.dataout_pdus++;
    counters.txdata_octets += BHS_LENGTH + length;
  }
}

function slice(payload: Buffer | null, from: number, to: number): Buffer | null {
  if (payload === null || to === from) return null;
  return from === 0 && to === payload.length ? payload : payload.subarray(from, to);
}
