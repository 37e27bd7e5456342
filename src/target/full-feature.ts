// Full feature phase of a target (RFC 7143 §4.2.5 ff., §11): which PDU goes where, in CmdSN order.

import {
  BHS_LENGTH,
  isImmediate,
  itt as ittOf,
  lunOf,
  NO_TAG,
  Opcode,
  opcodeName,
  opcodeOf,
} from '../iscsi/wire/bhs.js';
import { emitLogoutResponse, LogoutReason, LogoutResponseCode, parseLogoutRequest } from '../iscsi/wire/logout.js';
import { parseNopOut } from '../iscsi/wire/nop-out.js';
import { emitReject, RejectReason } from '../iscsi/wire/reject.js';
import { CommandFlag, commandCmdSn, commandFlags } from '../iscsi/wire/scsi-command.js';
import { Senses } from '../scsi/check-condition.js';
import { decodeLun, NOT_A_LUN } from '../scsi/lun.js';
import { buildFixedSense } from '../scsi/sense.js';
import { ScsiStatus } from '../scsi/status.js';
import { ProtocolError } from '../util/errors.js';
import { RefBuffer } from '../util/ref-buffer.js';
import type { ConnectionAddresses } from './events.js';
import { Keepalive } from './keepalive.js';
import { LIMITS } from './limits.js';
import { executeWithoutUnit } from './no-unit.js';
import { OutputWatch } from './output-watch.js';
import type { TargetSession } from './session.js';
import { TaskManager } from './task-management.js';
import { abortAll } from './task-set.js';
import { TextExchange } from './text-exchange.js';

/** Rejects that one connection may cause: an honest peer causes none. */
const MOST_REJECTS = 64;

/** A PDU that came before its turn. */
interface Held {
  readonly header: Buffer;
  readonly data: Buffer;
  readonly owner: RefBuffer;
}

export class FullFeature {
  readonly session: TargetSession;
  readonly #keepalive: Keepalive;
  readonly #watch: OutputWatch;
  readonly #text: TextExchange;
  readonly #tasks: TaskManager;
  readonly #held = new Map<number, Held>();
  #heldBytes = 0;
  #rejects = 0;
  #pingTag = NO_TAG;

  constructor(session: TargetSession, addresses: ConnectionAddresses, now: number) {
    this.session = session;
    this.#keepalive = new Keepalive(LIMITS.pingAfterMs, LIMITS.pingTimeoutMs, now);
    this.#watch = new OutputWatch(session.sink, LIMITS.pingAfterMs, LIMITS.stuckMs, now);
    this.#text = new TextExchange(session, addresses);
    this.#tasks = new TaskManager(session);
  }

  /** Bytes have come: the initiator lives. */
  heard(now: number): void {
    this.#keepalive.heard(now);
  }
  get deadline(): number {
    const { leavingDue = Number.POSITIVE_INFINITY, outputFull } = this.session;
    // While nothing is read of it on our account, its silence means nothing.
    const silence = outputFull ? Number.POSITIVE_INFINITY : this.#keepalive.deadline;
    return Math.min(silence, leavingDue, this.#watch.deadline);
  }
  handleTimeout(now: number): void {
    this.session.expire(now);
    if (this.session.over) return;
    if (this.#watch.stuck(now)) {
      this.session.end('it reads nothing of what is sent to it', 'lost');
      return;
    }
    const due = this.session.outputFull ? 'nothing' : this.#keepalive.check(now);
    if (due === 'ping') this.#ping();
    else if (due === 'lost') this.session.end('no answer to a ping', 'lost');
  }

  onPdu(b: Buffer, at: number, ahs: Buffer, data: Buffer, owner: RefBuffer | null): void {
    if (this.session.over) return;
    switch (opcodeOf(b, at)) {
      case Opcode.DataOut:
        // A task that has ended already: its data is of no use, and silence is what §4.2.2.1 asks for.
        this.session.tasks.get(ittOf(b, at))?.dataOut(b, at, data, owner);
        return;
      case Opcode.ScsiCommand:
      case Opcode.TaskManagementRequest:
      case Opcode.TextRequest:
      case Opcode.LogoutRequest:
        this.#numbered(b, at, ahs, data, owner);
        return;
      case Opcode.NopOut:
        // An answer to our ping is immediate and numbers nothing (§11.18).
        this.#numbered(b, at, ahs, data, owner);
        return;
      case Opcode.SnackRequest:
        this.#reject(RejectReason.SnackReject, b, at);
        return;
      case Opcode.LoginRequest:
        this.#reject(RejectReason.ProtocolError, b, at);
        return;
      default:
        this.#reject(RejectReason.CommandNotSupported, b, at);
        return;
    }
  }

  /**
   * The header can be trusted, the data cannot (RFC 7143 §7.8). A command whose data this was ends with CHECK CONDITION. A
   * numbered PDU is lost with its CmdSN: whatever follows would wait for it, and at ErrorRecoveryLevel 0 nobody sends it again.
   */
  onDataDigestError(b: Buffer, at: number): void {
    if (this.session.over) return;
    this.#reject(RejectReason.DataDigestError, b, at);
    if (opcodeOf(b, at) === Opcode.DataOut) this.session.tasks.get(ittOf(b, at))?.dataOut(b, at, null, null);
    else if (!isImmediate(b, at)) this.session.end(`${opcodeName(opcodeOf(b, at))} with a wrong data digest`, 'lost');
  }

  /** Puts commands in order. An immediate one is taken at once, whatever is missing before it (§4.2.2.1). */
  #numbered(b: Buffer, at: number, ahs: Buffer, data: Buffer, owner: RefBuffer | null): void {
    if (isImmediate(b, at)) {
      this.#execute(b, at, ahs, data, owner);
      return;
    }
    const cmdSn = commandCmdSn(b, at);
    switch (this.session.window.receive(cmdSn)) {
      case 'now':
        this.#execute(b, at, ahs, data, owner);
        this.#releaseHeld();
        return;
      case 'later':
        this.#hold(cmdSn, b, at, ahs, data);
        return;
      case 'ignore':
        return;
    }
  }

  #hold(cmdSn: number, b: Buffer, at: number, ahs: Buffer, data: Buffer): void {
    if (this.#held.has(cmdSn) || ahs.length > 0) return;
    this.#heldBytes += BHS_LENGTH + data.length;
    if (this.#heldBytes > LIMITS.outOfOrderBytes) {
      throw new ProtocolError(
        'RFC 7143 §4.2.2.1',
        `CmdSN ${this.session.window.expCmdSn} is missing before too many others`,
      );
    }
    const owner = new RefBuffer(Buffer.from(data));
    this.#held.set(cmdSn, { header: Buffer.from(b.subarray(at, at + BHS_LENGTH)), data: owner.buffer, owner });
  }

  #releaseHeld(): void {
    while (this.#held.size > 0 && !this.session.over) {
      const cmdSn = this.session.window.expCmdSn;
      const next = this.#held.get(cmdSn);
      if (next === undefined) return;
      this.#held.delete(cmdSn);
      this.#heldBytes -= BHS_LENGTH + next.data.length;
      this.session.window.receive(cmdSn);
      this.#execute(next.header, 0, Buffer.alloc(0), next.data, next.owner);
      next.owner.release();
    }
  }

  #execute(b: Buffer, at: number, ahs: Buffer, data: Buffer, owner: RefBuffer | null): void {
    const opcode = opcodeOf(b, at);
    // §4.3: a discovery session is for text, pings and its logout.
    if (
      this.session.targetName === null &&
      (opcode === Opcode.ScsiCommand || opcode === Opcode.TaskManagementRequest)
    ) {
      this.#reject(RejectReason.CommandNotSupported, b, at);
      return;
    }
    switch (opcode) {
      case Opcode.ScsiCommand:
        this.#command(b, at, ahs, data, owner);
        return;
      case Opcode.TaskManagementRequest:
        this.#tasks.onRequest(b, at);
        return;
      case Opcode.TextRequest:
        this.#text.onRequest(b, at, data);
        return;
      case Opcode.LogoutRequest:
        this.#logout(b, at);
        return;
      default:
        this.#nopOut(b, at, data);
        return;
    }
  }

  #command(b: Buffer, at: number, ahs: Buffer, data: Buffer, owner: RefBuffer | null): void {
    const { session } = this;
    const immediate = isImmediate(b, at);
    if (session.tasks.has(ittOf(b, at))) {
      this.#reject(RejectReason.TaskInProgress, b, at);
      return;
    }
    if (immediate && session.immediateTasks >= LIMITS.immediateTasks) {
      this.#reject(RejectReason.ImmediateCommandReject, b, at);
      return;
    }
    const lun = decodeLun(lunOf(b, at));
    const mapped = lun === NOT_A_LUN ? undefined : session.luns.get(lun);
    const task = session.newTask();
    task.begin(b, at, mapped ?? null);
    session.tasks.set(task.itt, task);
    if (immediate) session.immediateTasks++;
    if (data.length > 0) task.immediateData(data, owner);
    const flags = commandFlags(b, at);
    // Neither a CDB of more than 16 bytes nor a command of two directions is known to any unit here.
    const both = (flags & CommandFlag.Read) !== 0 && (flags & CommandFlag.Write) !== 0;
    if (task.aborted) task.finish(ScsiStatus.TaskAborted, null);
    else if (ahs.length > 0 || both) task.finish(ScsiStatus.CheckCondition, buildFixedSense(Senses.InvalidFieldInCdb));
    else if (session.context.memory.held > 2 * session.context.memory.limit && task.dataOutLength > 0) {
      task.finish(ScsiStatus.TaskSetFull, null);
    } else if (mapped === undefined) executeWithoutUnit(task);
    else mapped.unit.execute(task);
  }

  #nopOut(b: Buffer, at: number, data: Buffer): void {
    const nop = parseNopOut(b, at);
    if (nop.itt === NO_TAG) {
      if (nop.ttt === this.#pingTag) this.#pingTag = NO_TAG;
      return;
    }
    const { session } = this;
    const limit = session.params.maxXmitDataSegmentLength;
    const echo = data.length === 0 ? null : Buffer.from(data.subarray(0, limit));
    session.sendNopIn(nop.itt, NO_TAG, nop.lun, echo);
  }

  /** Asks a quiet initiator whether it lives. */
  #ping(): void {
    this.#pingTag = this.session.nextTtt();
    this.session.sendNopIn(NO_TAG, this.#pingTag, Buffer.alloc(8), null);
  }

  #logout(b: Buffer, at: number): void {
    const { session } = this;
    const logout = parseLogoutRequest(b, at);
    const answer = (response: number): void => {
      const numbers = { expCmdSn: session.window.expCmdSn, maxCmdSn: session.maxCmdSn() };
      const { itt } = logout;
      const statSn = session.statSn.take();
      const times = { time2Wait: session.params.defaultTime2Wait, time2Retain: 0 };
      session.writer.send((s, to) => emitLogoutResponse({ response, itt, statSn, ...numbers, ...times }, s, to));
    };
    if (logout.reason === LogoutReason.RemoveForRecovery) {
      answer(LogoutResponseCode.RecoveryNotSupported);
      return;
    }
    if (logout.reason === LogoutReason.CloseConnection && logout.cid !== session.cid) {
      answer(LogoutResponseCode.CidNotFound);
      return;
    }
    // "Closed" is true only once nothing that was started can still change the medium.
    abortAll([...session.tasks.values()], () => {
      if (session.over) return;
      answer(LogoutResponseCode.Closed);
      session.end('logout', 'logout');
    });
  }

  /** RFC 7143 §11.17: the reason and the whole header of what was refused. */
  #reject(reason: number, b: Buffer, at: number): void {
    if (++this.#rejects > MOST_REJECTS) {
      throw new ProtocolError('RFC 7143 §7.6', `${opcodeName(opcodeOf(b, at))} refused, after ${MOST_REJECTS} others`);
    }
    const { session } = this;
    const header = Buffer.from(b.subarray(at, at + BHS_LENGTH));
    const numbers = { expCmdSn: session.window.expCmdSn, maxCmdSn: session.maxCmdSn(), dataSn: 0 };
    const statSn = session.statSn.take();
    session.writer.send((s, to) => emitReject({ reason, statSn, ...numbers }, s, to), header);
  }
}
