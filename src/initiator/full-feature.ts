// Full feature phase of one connection (RFC 7143 §4.2, §11): which PDU goes where, and the requests that are no SCSI command.
import { parseAsyncMessage } from '../iscsi/wire/async-message.js';
import { BHS_LENGTH, NO_TAG, Opcode, opcodeName, opcodeOf, itt as tagOf } from '../iscsi/wire/bhs.js';
import { emitLogoutRequest, LogoutReason, LogoutResponseCode, parseLogoutResponse } from '../iscsi/wire/logout.js';
import { parseNopIn } from '../iscsi/wire/nop-in.js';
import { emitNopOut, type NopOut } from '../iscsi/wire/nop-out.js';
import { parseReject } from '../iscsi/wire/reject.js';
import { emitTaskManagementRequest, parseTaskManagementResponse, TaskResponse } from '../iscsi/wire/task-management.js';
import type { TextPair } from '../iscsi/wire/text.js';
import { isSameLun } from '../scsi/lun.js';
import type { Sense } from '../scsi/sense.js';
import { AppError, ProtocolError } from '../util/errors.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import { HIGH_WATER } from '../util/stream.js';
import { asyncAction } from './async-event.js';
import type { Link } from './link.js';
import { Receiver } from './receiver.js';
import { rejectedPdu } from './rejected.js';
import { Sender } from './sender.js';
import { NO_LUN, type Task, TaskFailure } from './tasks.js';
import { TextExchange } from './text-exchange.js';

/** Bytes that may wait in the sink before a peer that pings and does not read its answers is given up. */
const FLOODED = 4 * HIGH_WATER;
/** The low half of the tags of everything that is no SCSI command: no task slot has this index. */
const CONTROL_INDEX = 0xfff0;
const LAST_CONTROL = 0xfffe;

/** What the phase asks of its connection. */
export interface FullFeatureHost {
  log(level: 'info' | 'warn', message: string): void;
  answered(pairs: readonly TextPair[]): void;
  /** A unit reports something out of turn (§11.9.1, event 0). `lun` may be kept. */
  unitReports(lun: Buffer, sense: Sense): void;
  /** The target wants us gone within this time (§11.9.1, event 1). */
  logoutRequested(withinMs: number): void;
  /** The Logout Request is on its way. */
  logoutSent(): void;
  loggedOut(time2WaitMs: number): void;
  lose(error: AppError, time2WaitMs: number): void;
}

export type FunctionAnswer = (response: number | null) => void;

export class FullFeature {
  readonly #link: Link;
  readonly #host: FullFeatureHost;
  readonly #sender: Sender;
  readonly #receiver: Receiver;
  /** Task management functions that are not answered yet, by their tag. */
  readonly #functions = new Map<number, FunctionAnswer>();
  #text: TextExchange | null = null;
  #control = 0;
  #logoutItt = NO_TAG;

  constructor(link: Link, host: FullFeatureHost) {
    this.#link = link;
    this.#host = host;
    this.#sender = new Sender(link);
    this.#receiver = new Receiver(link);
  }
  /** Whether the Logout Request has been sent. */
  get loggingOut(): boolean {
    return this.#logoutItt !== NO_TAG;
  }

  onPdu(b: Buffer, at: number, data: Buffer, owner: RefBuffer | null): void {
    try {
      this.#onPdu(b, at, data, owner);
    } catch (error) {
      this.blame(b, at);
      throw error;
    }
  }
  /** The connection ends over this PDU: if each answer to one command is wrong, the command must not be sent for ever. */
  blame(b: Buffer, at: number): void {
    const task = this.#link.tasks.find(tagOf(b, at));
    if (task !== undefined) task.drops++;
  }
  #onPdu(b: Buffer, at: number, data: Buffer, owner: RefBuffer | null): void {
    switch (opcodeOf(b, at)) {
      case Opcode.DataIn:
        this.#receiver.onDataIn(b, at, data, owner);
        break;
      case Opcode.ScsiResponse:
        this.#receiver.onScsiResponse(b, at, data);
        break;
      case Opcode.R2T:
        this.#sender.onR2T(b, at);
        break;
      default:
        this.#onControl(b, at, data);
    }
  }
  /** Sends what is due: a text request, asked-for data, queued tasks, a logout that waited for the last task. */
  send(): void {
    this.#text?.send();
    this.#sender.send();
    if (this.#sender.commands || this.loggingOut) return;
    if (this.#link.tasks.active === 0 && !this.#sender.held) this.#sendLogout();
  }
  /** One text negotiation. A second one before the answer is a bug. */
  text(pairs: readonly TextPair[]): void {
    if (this.#text !== null) throw new Error('a text negotiation is under way');
    this.#text = new TextExchange(this.#link, this.#controlTag(), pairs);
    this.send();
  }
  /** Sends a task management function (§11.5); `task` is the one of ABORT TASK. */
  manageTasks(taskFunction: number, lun: Buffer, task: Task | null, onResponse: FunctionAnswer): void {
    const { window, expStatSn, writer, counters } = this.#link;
    const itt = this.#controlTag();
    this.#functions.set(itt, onResponse);
    const pdu = {
      immediate: true,
      function: taskFunction,
      lun,
      itt,
      referencedTaskTag: task?.itt ?? NO_TAG,
      cmdSn: window.cmdSn,
      expStatSn,
      refCmdSn: task?.cmdSn ?? 0,
      expDataSn: 0,
    };
    writer.send((b, at) => emitTaskManagementRequest(pdu, b, at));
    counters.tmfcmd_pdus++;
    counters.txdata_octets += BHS_LENGTH;
  }
  ping(): void {
    this.#sendNopOut({ lun: NO_LUN, itt: this.#controlTag(), ttt: NO_TAG });
  }
  /** No more commands; the Logout Request follows the last one that is sent. False if that has been asked before. */
  startLogout(): boolean {
    if (!this.#sender.commands) return false;
    this.#sender.commands = false;
    return true;
  }
  /** The Logout Request, whatever is still under way. */
  logoutNow(): void {
    this.#sender.commands = false;
    if (!this.loggingOut) this.#sendLogout();
  }
  /** The connection has ended: whoever waits for a task management function hears so. */
  end(): void {
    this.#text = null;
    const unanswered = [...this.#functions.values()];
    this.#functions.clear();
    for (const onResponse of unanswered) onResponse(null);
  }

  #onControl(b: Buffer, at: number, data: Buffer): void {
    switch (opcodeOf(b, at)) {
      case Opcode.NopIn:
        this.#onNopIn(b, at);
        break;
      case Opcode.TextResponse:
        this.#onTextResponse(b, at, data);
        break;
      case Opcode.TaskManagementResponse:
        this.#onFunctionResponse(b, at);
        break;
      case Opcode.LogoutResponse:
        this.#onLogoutResponse(b, at);
        break;
      case Opcode.AsyncMessage:
        this.#onAsyncMessage(b, at, data);
        break;
      case Opcode.Reject:
        this.#onReject(b, at, data);
        break;
      default:
        throw new ProtocolError('RFC 7143 §11.2.1.2', `${opcodeName(opcodeOf(b, at))} in full feature phase`);
    }
  }
  #onNopIn(b: Buffer, at: number): void {
    const { window, sink, counters } = this.#link;
    const pdu = parseNopIn(b, at);
    counters.noprx_pdus++;
    if (pdu.itt !== NO_TAG && pdu.ttt !== NO_TAG) {
      throw new ProtocolError('RFC 7143 §11.19', 'a NOP-In that both answers and asks');
    }
    window.update(pdu.expCmdSn, pdu.maxCmdSn);
    // A ping of the target states the next StatSN without using it up (§11.19.2).
    if (pdu.itt !== NO_TAG) {
      this.#link.acknowledge(pdu.statSn);
      return;
    }
    if (pdu.ttt === NO_TAG) return;
    if (sink.backlog > FLOODED) throw new ProtocolError('RFC 7143 §11.19', 'pings, and none of the answers is read');
    this.#sendNopOut({ lun: pdu.lun, itt: NO_TAG, ttt: pdu.ttt });
  }
  #onTextResponse(b: Buffer, at: number, data: Buffer): void {
    this.#link.counters.textrsp_pdus++;
    this.#numbers(b, at);
    const text = this.#text;
    if (text === null || tagOf(b, at) !== text.itt) return;
    const pairs = text.onResponse(b, at, data);
    if (pairs === null) return;
    this.#text = null;
    this.#host.answered(pairs);
  }
  #onFunctionResponse(b: Buffer, at: number): void {
    const pdu = parseTaskManagementResponse(b, at);
    this.#link.counters.tmfrsp_pdus++;
    this.#numbers(b, at);
    this.#endFunction(pdu.itt, pdu.response);
  }
  #endFunction(itt: number, response: number): void {
    const onResponse = this.#functions.get(itt);
    this.#functions.delete(itt);
    onResponse?.(response);
  }
  #onLogoutResponse(b: Buffer, at: number): void {
    const pdu = parseLogoutResponse(b, at);
    this.#link.counters.logoutrsp_pdus++;
    this.#numbers(b, at);
    if (!this.loggingOut || pdu.itt !== this.#logoutItt) return;
    if (pdu.response !== LogoutResponseCode.Closed) {
      this.#host.log('warn', `the target answered the logout with response ${pdu.response}`);
    }
    this.#host.loggedOut(pdu.time2Wait * 1000);
  }
  #onAsyncMessage(b: Buffer, at: number, data: Buffer): void {
    this.#link.counters.async_pdus++;
    this.#numbers(b, at);
    const action = asyncAction(parseAsyncMessage(b, at), data);
    this.#host.log(action.kind === 'note' || action.kind === 'sense' ? 'info' : 'warn', action.message);
    switch (action.kind) {
      case 'sense':
        this.#host.unitReports(action.lun, action.sense);
        break;
      case 'logout':
        this.#host.logoutRequested(action.withinMs);
        break;
      case 'dropped':
        this.#host.lose(new AppError('ERR_TRANSPORT', action.message, { retriable: true }), action.time2WaitMs);
        break;
      case 'negotiate':
        // The target may only ask; what was agreed at login is what we want, so we name no key (§11.9.1, event 4).
        if (this.#text === null) this.text([]);
        break;
      case 'terminated':
        this.#onTerminated(action.lun);
        break;
    }
  }
  /** Data-Out for those tasks stops, the message is acknowledged by a NOP-Out that is no ping, and they start anew (event 5). */
  #onTerminated(lun: Buffer): void {
    const { tasks } = this.#link;
    const theirs = tasks.inOrder((task) => tasks.find(task.itt) === task && isSameLun(task.lun, lun));
    this.#sendNopOut({ lun, itt: NO_TAG, ttt: NO_TAG });
    for (const task of theirs) {
      if (tasks.find(task.itt) !== task) continue;
      task.failure = TaskFailure.Cleared;
      tasks.finish(task);
    }
  }
  #onReject(b: Buffer, at: number, data: Buffer): void {
    const { tasks, counters } = this.#link;
    counters.rjt_pdus++;
    this.#numbers(b, at);
    const { itt, message, fate } = rejectedPdu(parseReject(b, at), data);
    this.#host.log('warn', message);
    const task = tasks.find(itt);
    if (fate === 'task' && task !== undefined) {
      task.failure = TaskFailure.Rejected;
      tasks.finish(task);
    } else if (fate === 'function') {
      this.#endFunction(itt, TaskResponse.Rejected);
    } else if (fate === 'connection') {
      this.#host.lose(new AppError('ERR_PROTOCOL', message, { retriable: true }), 0);
    }
  }
  /** StatSN, ExpCmdSN, MaxCmdSN of a PDU that uses up a StatSN: they stand at the same place in all of them. */
  #numbers(b: Buffer, at: number): void {
    this.#link.acknowledge(b.readUInt32BE(at + 24));
    this.#link.window.update(b.readUInt32BE(at + 28), b.readUInt32BE(at + 32));
  }

  #sendNopOut(fields: Pick<NopOut, 'lun' | 'itt' | 'ttt'>): void {
    const { window, expStatSn, writer, counters } = this.#link;
    const pdu = { ...fields, immediate: true, cmdSn: window.cmdSn, expStatSn };
    writer.send((b, at) => emitNopOut(pdu, b, at));
    counters.noptx_pdus++;
    counters.txdata_octets += BHS_LENGTH;
  }
  #sendLogout(): void {
    const { window, expStatSn, writer, counters } = this.#link;
    const itt = this.#controlTag();
    this.#logoutItt = itt;
    const reason = LogoutReason.CloseSession;
    const pdu = { immediate: true, reason, itt, cid: 0, cmdSn: window.cmdSn, expStatSn };
    writer.send((b, at) => emitLogoutRequest(pdu, b, at));
    counters.logout_pdus++;
    counters.txdata_octets += BHS_LENGTH;
    this.#host.logoutSent();
  }
  #controlTag(): number {
    this.#control = this.#control === LAST_CONTROL ? 0 : this.#control + 1;
    return ((this.#control << 16) | CONTROL_INDEX) >>> 0;
  }
}
