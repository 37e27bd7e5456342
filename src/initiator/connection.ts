// One TCP connection as an initiator sees it: login, full feature phase, logout (RFC 7143 §6, §8.1).
import type { OperationalParams } from '../iscsi/params.js';
import { parseAsyncMessage } from '../iscsi/wire/async-message.js';
import { BHS_LENGTH, NO_TAG, Opcode, opcodeName, opcodeOf, itt as tagOf } from '../iscsi/wire/bhs.js';
import { PduFramer } from '../iscsi/wire/framer.js';
import { emitLogoutRequest, LogoutReason, LogoutResponseCode, parseLogoutResponse } from '../iscsi/wire/logout.js';
import { parseNopIn } from '../iscsi/wire/nop-in.js';
import { emitNopOut, type NopOut } from '../iscsi/wire/nop-out.js';
import { PduWriter } from '../iscsi/wire/pdu-writer.js';
import { parseReject } from '../iscsi/wire/reject.js';
import { emitTaskManagementRequest, parseTaskManagementResponse } from '../iscsi/wire/task-management.js';
import type { TextPair } from '../iscsi/wire/text.js';
import { AppError, messageOf, ProtocolError } from '../util/errors.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import { HIGH_WATER, type StreamConsumer, type Timed, type TransmitSink } from '../util/stream.js';
import { type AsyncAction, asyncAction } from './async-event.js';
import { Counters } from './counters.js';
import { Keepalive } from './keepalive.js';
import { Link } from './link.js';
import { type LoginStep, loginBroken } from './login.js';
import { LoginPhase } from './login-phase.js';
import type { ConnectionOutput, ConnectionState, InitiatorEnvironment, LoginOptions } from './options.js';
import { Receiver } from './receiver.js';
import { rejectedPdu } from './rejected.js';
import { Sender } from './sender.js';
import { NO_LUN, type Task, TaskFailure, TaskTable } from './tasks.js';
import { TextExchange } from './text-exchange.js';

/** Bytes that may wait in the sink before a peer that pings and does not read its answers is given up. */
const FLOODED = 4 * HIGH_WATER;
/** The low half of the tags of everything that is no SCSI command: no task slot has this index. */
const CONTROL_INDEX = 0xfff0;
const LAST_CONTROL = 0xfffe;

/** What a connection shares with its session, and keeps for the next connection. */
export interface SharedState {
  readonly tasks: TaskTable;
  readonly counters: Counters;
}

export class InitiatorConnection implements StreamConsumer, Timed {
  readonly #login: LoginOptions;
  readonly #environment: InitiatorEnvironment;
  readonly #sink: TransmitSink;
  readonly #shared: SharedState;
  readonly #framer: PduFramer;
  readonly #writer: PduWriter;
  readonly #phase: LoginPhase;
  readonly #outputs: ConnectionOutput[] = [];
  /** Task management functions that are not answered yet, by their tag. */
  readonly #functions = new Map<number, (response: number | null) => void>();
  #state: ConnectionState = 'IN_LOGIN';
  #deadline: number | undefined;
  #link: Link | null = null;
  #sender: Sender | null = null;
  #receiver: Receiver | null = null;
  #keepalive: Keepalive | null = null;
  #text: TextExchange | null = null;
  #control = 0;
  #logoutItt = NO_TAG;
  #logoutByTarget = false;
  /** From Async Message 2 and 3, for the loss that follows. */
  #time2WaitMs = 0;

  /** Writes the first Login Request into `sink` at once. `shared` is the session's; a connection of its own has its own. */
  constructor(
    login: LoginOptions,
    environment: InitiatorEnvironment,
    sink: TransmitSink,
    shared: SharedState = { tasks: new TaskTable(), counters: new Counters() },
  ) {
    this.#login = login;
    this.#environment = environment;
    this.#sink = sink;
    this.#shared = shared;
    this.#framer = new PduFramer(
      {
        onPdu: (b, at, _ahs, data, owner) => this.#onPdu(b, at, data, owner),
        onDataDigestError: () => this.#onDataDigestError(),
      },
      { maxDataSegment: 8192, maxAhs: 0, pool: environment.pool },
    );
    this.#writer = new PduWriter(sink);
    this.#phase = new LoginPhase(login, this.#writer, shared.counters);
    this.#deadline = environment.now() + environment.timers.loginTimeoutMs;
    this.#phase.start();
  }
  get state(): ConnectionState {
    return this.#state;
  }
  /** What the login agreed on; null before its end. */
  get params(): OperationalParams | null {
    return this.#link?.params ?? null;
  }
  get tsih(): number {
    return this.#phase.tsih;
  }
  /** What is read is bounded by what was asked for, so reading need not stop. */
  readonly paused = false;

  // Bytes

  onBytes(chunk: Buffer, owner: RefBuffer): void {
    if (this.#ended) return;
    this.#received(chunk.length);
    this.#guard(() => this.#framer.onBytes(chunk, owner));
  }
  readTarget(): Buffer | null {
    return this.#ended ? null : this.#framer.readTarget();
  }
  onTargetFilled(length: number): void {
    if (this.#ended) return;
    this.#received(length);
    this.#guard(() => this.#framer.onTargetFilled(length));
  }
  onDrain(): void {
    this.send();
  }
  /** The socket is gone, or the driver caught what a method threw. Idempotent; ends in `login-failed`, `lost` or `logged-out`. */
  handleClosed(error: unknown): void {
    if (this.#ended) return;
    // Many targets close without an answer to the logout: the session is over all the same.
    if (this.#logoutItt !== NO_TAG) this.#loggedOut(0);
    else if (this.#link === null) this.#loginFailed('the target closed the connection', error);
    else this.#lose(new AppError('ERR_TRANSPORT', closedMessage(error), { cause: error, retriable: true }));
  }

  // Time

  get deadline(): number | undefined {
    if (this.#ended) return undefined;
    const keepalive = this.#keepalive?.deadline;
    if (this.#deadline === undefined) return keepalive;
    return keepalive === undefined ? this.#deadline : Math.min(this.#deadline, keepalive);
  }
  handleTimeout(now: number): void {
    if (this.#ended) return;
    if (this.#deadline !== undefined && now >= this.#deadline) {
      this.#shared.counters.timeout_err++;
      if (this.#state === 'IN_LOGIN') {
        const seconds = this.#environment.timers.loginTimeoutMs / 1000;
        this.#loginFailed(`no answer within ${seconds} s`, undefined);
      } else this.#lose(new AppError('ERR_LOGOUT', 'the target did not answer the logout in time'));
      return;
    }
    const action = this.#keepalive?.handleTimeout(now) ?? 'none';
    if (action === 'send-nop-out') this.#ping();
    if (action === 'lost') {
      this.#shared.counters.timeout_err++;
      this.#lose(new AppError('ERR_TIMEOUT', 'the target does not answer NOP-Out', { retriable: true }));
    }
  }
  poll(): ConnectionOutput | undefined {
    return this.#outputs.shift();
  }

  // Work

  /** Sends what is due: a text request, asked-for data, queued tasks, a logout that waited for the last task. */
  send(): void {
    if (this.#ended || this.#sender === null) return;
    this.#text?.send();
    this.#sender.send();
    if (this.#sender.commands || this.#logoutItt !== NO_TAG) return;
    if (this.#shared.tasks.active === 0 && !this.#sender.held) this.#sendLogout();
  }
  /** One text negotiation; the answer is the output `text`. A second one before that is a bug. */
  text(pairs: readonly TextPair[]): void {
    const link = this.#fullFeature();
    if (this.#text !== null) throw new Error('a text negotiation is under way');
    this.#text = new TextExchange(link, this.#controlTag(), pairs);
    this.send();
  }
  /** Sends a task management function (§11.5); `task` is the one of ABORT TASK. null: the connection ended first. */
  manageTasks(
    taskFunction: number,
    lun: Buffer,
    task: Task | null,
    onResponse: (response: number | null) => void,
  ): void {
    const link = this.#fullFeature();
    const itt = this.#controlTag();
    this.#functions.set(itt, onResponse);
    this.#writer.send((b, at) =>
      emitTaskManagementRequest(
        {
          immediate: true,
          function: taskFunction,
          lun,
          itt,
          referencedTaskTag: task?.itt ?? NO_TAG,
          cmdSn: link.window.cmdSn,
          expStatSn: link.expStatSn,
          refCmdSn: task?.cmdSn ?? 0,
          expDataSn: 0,
        },
        b,
        at,
      ),
    );
    this.#shared.counters.tmfcmd_pdus++;
    this.#shared.counters.txdata_octets += BHS_LENGTH;
  }
  /** Ends the session: waits for the tasks that are sent, then the Logout Request. Ends in `logged-out` or `lost`. */
  logout(): void {
    this.#startLogout('IN_LOGOUT', this.#environment.timers.logoutTimeoutMs);
  }
  /** Gives the connection up for a reason of ours; the output is `lost`. */
  drop(error: AppError): void {
    if (!this.#ended) this.#lose(error);
  }

  // PDUs

  #onPdu(b: Buffer, at: number, data: Buffer, owner: RefBuffer | null): void {
    if (this.#ended) return;
    const opcode = opcodeOf(b, at);
    const receiver = this.#receiver;
    if (receiver === null) {
      if (opcode === Opcode.LoginResponse) this.#onLoginResponse(b, at, data);
      else throw new ProtocolError('RFC 7143 §6.3', `${opcodeName(opcode)} during login`);
      return;
    }
    switch (opcode) {
      case Opcode.DataIn:
        receiver.onDataIn(b, at, data, owner);
        break;
      case Opcode.ScsiResponse:
        receiver.onScsiResponse(b, at, data);
        break;
      case Opcode.R2T:
        this.#sender?.onR2T(b, at);
        break;
      default:
        this.#onControl(opcode, b, at, data);
    }
  }
  #onControl(opcode: number, b: Buffer, at: number, data: Buffer): void {
    switch (opcode) {
      case Opcode.NopIn:
        this.#onNopIn(b, at);
        return;
      case Opcode.TextResponse:
        this.#onTextResponse(b, at, data);
        return;
      case Opcode.TaskManagementResponse:
        this.#onFunctionResponse(b, at);
        return;
      case Opcode.LogoutResponse:
        this.#onLogoutResponse(b, at);
        return;
      case Opcode.AsyncMessage:
        this.#onAsyncMessage(b, at, data);
        return;
      case Opcode.Reject:
        this.#onReject(b, at, data);
        return;
      default:
        throw new ProtocolError('RFC 7143 §11.2.1.2', `${opcodeName(opcode)} in full feature phase`);
    }
  }
  #onLoginResponse(b: Buffer, at: number, data: Buffer): void {
    const step = this.#phase.onResponse(b, at, data);
    if (step === null) return;
    if (step.kind === 'done') {
      this.#loggedIn(step);
      return;
    }
    this.#end();
    if (step.kind === 'redirect') this.#report(step);
    else this.#report({ kind: 'login-failed', error: step.error, retryWithMd5: step.retryWithMd5 });
  }
  #loggedIn(step: Extract<LoginStep, { kind: 'done' }>): void {
    const { params } = step;
    const { timers, now } = this.#environment;
    const { tasks, counters } = this.#shared;
    this.#phase.exchange.close();
    this.#framer.setMaxDataSegment(params.maxRecvDataSegmentLength);
    this.#framer.setDigests(params.headerDigest === 'CRC32C', params.dataDigest === 'CRC32C');
    this.#writer.setDigests(params.headerDigest === 'CRC32C', params.dataDigest === 'CRC32C');
    const link = new Link(this.#sink, this.#writer, tasks, counters, this.#phase.window, params, this.#phase.statSn);
    this.#link = link;
    this.#sender = new Sender(link);
    this.#receiver = new Receiver(link);
    this.#keepalive = new Keepalive({ intervalMs: timers.noopIntervalMs, timeoutMs: timers.noopTimeoutMs }, now());
    this.#state = 'LOGGED_IN';
    this.#deadline = undefined;
    const { tpgt, targetAlias, authMethod } = step;
    this.#report({ kind: 'logged-in', params, tsih: this.tsih, tpgt, targetAlias, authMethod });
  }
  #onNopIn(b: Buffer, at: number): void {
    const link = this.#fullFeature();
    const pdu = parseNopIn(b, at);
    this.#shared.counters.noprx_pdus++;
    link.window.update(pdu.expCmdSn, pdu.maxCmdSn);
    // A ping of the target states the next StatSN without using it up (§11.19.2).
    if (pdu.itt !== NO_TAG) {
      link.acknowledge(pdu.statSn);
      return;
    }
    if (pdu.ttt === NO_TAG) return;
    if (this.#sink.backlog > FLOODED)
      throw new ProtocolError('RFC 7143 §11.19', 'pings, and none of the answers is read');
    this.#sendNopOut({ lun: pdu.lun, itt: NO_TAG, ttt: pdu.ttt });
  }
  #onTextResponse(b: Buffer, at: number, data: Buffer): void {
    this.#shared.counters.textrsp_pdus++;
    this.#numbers(b, at);
    const text = this.#text;
    if (text === null || tagOf(b, at) !== text.itt) return;
    const pairs = text.onResponse(b, at, data);
    if (pairs === null) return;
    this.#text = null;
    this.#report({ kind: 'text', pairs });
  }
  #onFunctionResponse(b: Buffer, at: number): void {
    const pdu = parseTaskManagementResponse(b, at);
    this.#shared.counters.tmfrsp_pdus++;
    this.#numbers(b, at);
    const onResponse = this.#functions.get(pdu.itt);
    this.#functions.delete(pdu.itt);
    onResponse?.(pdu.response);
  }
  #onLogoutResponse(b: Buffer, at: number): void {
    const pdu = parseLogoutResponse(b, at);
    this.#shared.counters.logoutrsp_pdus++;
    this.#numbers(b, at);
    if (pdu.itt !== this.#logoutItt || pdu.itt === NO_TAG) return;
    if (pdu.response !== LogoutResponseCode.Closed) {
      this.#log('warn', `the target answered the logout with response ${pdu.response}`);
    }
    this.#loggedOut(pdu.time2Wait * 1000);
  }
  #onAsyncMessage(b: Buffer, at: number, data: Buffer): void {
    const pdu = parseAsyncMessage(b, at);
    this.#shared.counters.async_pdus++;
    this.#numbers(b, at);
    this.#obey(asyncAction(pdu, data));
  }
  #obey(action: AsyncAction): void {
    this.#log(action.kind === 'note' ? 'info' : 'warn', action.message);
    if (action.kind === 'logout') {
      this.#logoutByTarget = true;
      this.#startLogout('LOGOUT_REQUESTED', Math.min(action.withinMs, this.#environment.timers.logoutTimeoutMs));
    } else if (action.kind === 'dropped') {
      this.#time2WaitMs = action.time2WaitMs;
      this.#lose(new AppError('ERR_TRANSPORT', action.message, { retriable: true }));
    } else if (action.kind === 'negotiate' && this.#text === null) {
      // The target may only ask; what was agreed at login is what we want, so we name no key (§11.9.1, event 4).
      this.text([]);
    }
  }
  #onReject(b: Buffer, at: number, data: Buffer): void {
    this.#shared.counters.rjt_pdus++;
    this.#numbers(b, at);
    const { itt, message, fate } = rejectedPdu(parseReject(b, at), data);
    this.#log('warn', message);
    const task = this.#shared.tasks.find(itt);
    if (fate === 'task' && task !== undefined) {
      task.failure = TaskFailure.Rejected;
      this.#shared.tasks.finish(task);
    } else if (fate === 'connection') {
      this.#lose(new AppError('ERR_PROTOCOL', message, { retriable: true }));
    }
  }
  #onDataDigestError(): void {
    this.#shared.counters.digest_err++;
    // Recovery within the connection is not for error recovery level 0 (§7.8).
    throw new ProtocolError('RFC 7143 §7.8', 'a data digest does not match');
  }
  /** StatSN, ExpCmdSN, MaxCmdSN of a PDU that uses up a StatSN: they stand at the same place in all of them. */
  #numbers(b: Buffer, at: number): void {
    const link = this.#fullFeature();
    link.acknowledge(b.readUInt32BE(at + 24));
    link.window.update(b.readUInt32BE(at + 28), b.readUInt32BE(at + 32));
  }

  // Requests of our own

  #ping(): void {
    this.#sendNopOut({ lun: NO_LUN, itt: this.#controlTag(), ttt: NO_TAG });
  }
  #sendNopOut(fields: Pick<NopOut, 'lun' | 'itt' | 'ttt'>): void {
    const link = this.#fullFeature();
    const pdu = { ...fields, immediate: true, cmdSn: link.window.cmdSn, expStatSn: link.expStatSn };
    this.#writer.send((b, at) => emitNopOut(pdu, b, at));
    this.#shared.counters.noptx_pdus++;
    this.#shared.counters.txdata_octets += BHS_LENGTH;
  }
  #startLogout(state: 'IN_LOGOUT' | 'LOGOUT_REQUESTED', withinMs: number): void {
    if (this.#sender === null) throw new Error('a logout before the login');
    if (!this.#sender.commands) return;
    this.#sender.commands = false;
    this.#state = state;
    this.#deadline = this.#environment.now() + withinMs;
    this.send();
  }
  #sendLogout(): void {
    const link = this.#fullFeature();
    const itt = this.#controlTag();
    this.#logoutItt = itt;
    this.#state = 'IN_LOGOUT';
    const { cmdSn } = link.window;
    const { expStatSn } = link;
    const reason = LogoutReason.CloseSession;
    this.#writer.send((b, at) => emitLogoutRequest({ immediate: true, reason, itt, cid: 0, cmdSn, expStatSn }, b, at));
    this.#shared.counters.logout_pdus++;
    this.#shared.counters.txdata_octets += BHS_LENGTH;
  }
  #controlTag(): number {
    this.#control = this.#control === LAST_CONTROL ? 0 : this.#control + 1;
    return ((this.#control << 16) | CONTROL_INDEX) >>> 0;
  }

  // Endings

  get #ended(): boolean {
    return this.#state === 'CLEANUP_WAIT' || this.#state === 'FREE';
  }
  #fullFeature(): Link {
    if (this.#link === null) throw new Error('the connection is not in full feature phase');
    return this.#link;
  }
  #received(octets: number): void {
    this.#shared.counters.rxdata_octets += octets;
    this.#keepalive?.handleReceived(this.#environment.now());
  }
  /** Whatever is thrown while bytes are read ends the connection before it reaches the driver. */
  #guard(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!this.#ended && this.#link === null) this.#loginFailed(messageOf(error), error);
      else if (!this.#ended) this.#lose(asAppError(error));
      throw error;
    }
    this.send();
  }
  #loginFailed(reason: string, cause: unknown): void {
    const error = loginBroken(this.#login, reason, cause);
    // A target that could not prove itself is no matter of the algorithm list.
    const retryWithMd5 = error.code !== 'ERR_FATAL_LOGIN' && this.#phase.exchange.retryWithMd5;
    this.#end();
    this.#report({ kind: 'login-failed', error, retryWithMd5 });
  }
  #lose(error: AppError): void {
    this.#end();
    this.#report({ kind: 'lost', error, time2WaitMs: this.#time2WaitMs });
  }
  #loggedOut(time2WaitMs: number): void {
    this.#end();
    this.#state = 'FREE';
    this.#report({ kind: 'logged-out', byTarget: this.#logoutByTarget, time2WaitMs });
  }
  #end(): void {
    this.#state = 'CLEANUP_WAIT';
    this.#deadline = undefined;
    this.#keepalive?.stop();
    this.#text = null;
    this.#phase.exchange.close();
    const unanswered = [...this.#functions.values()];
    this.#functions.clear();
    for (const onResponse of unanswered) onResponse(null);
  }
  #log(level: 'info' | 'warn', message: string): void {
    this.#report({ kind: 'log', level, message });
  }
  #report(output: ConnectionOutput): void {
    this.#outputs.push(output);
    this.#environment.onOutput?.();
  }
}

function asAppError(error: unknown): AppError {
  return error instanceof AppError ? error : new AppError('ERR_INTERNAL', messageOf(error), { cause: error });
}

function closedMessage(error: unknown): string {
  return error === undefined || error === null
    ? 'the target closed the connection'
    : `the connection failed: ${messageOf(error)}`;
}
