// One TCP connection as an initiator sees it, from login to its end (RFC 7143 §6, §8.1).
import { UnprovenTarget } from '../iscsi/chap.js';
import { DEFAULT_MAX_DATA_SEGMENT, type OperationalParams } from '../iscsi/params.js';
import { Opcode, opcodeName, opcodeOf } from '../iscsi/wire/bhs.js';
import { DigestError, PduFramer, type PduReceiver } from '../iscsi/wire/framer.js';
import { PduWriter } from '../iscsi/wire/pdu-writer.js';
import type { TextPair } from '../iscsi/wire/text.js';
import { AppError, messageOf, ProtocolError } from '../util/errors.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import type { StreamConsumer, Timed, TransmitSink } from '../util/stream.js';
import { Counters } from './counters.js';
import { foreignSpeaker } from './foreign-speaker.js';
import { FullFeature, type FullFeatureHost, type FunctionAnswer } from './full-feature.js';
import { Keepalive } from './keepalive.js';
import { Link } from './link.js';
import type { LoginStep } from './login.js';
import { LoginPhase } from './login-phase.js';
import { type LoginFault, loginBroken } from './login-refusal.js';
import type { ConnectionOutput, ConnectionState, InitiatorEnvironment, LoginOptions } from './options.js';
import { type Task, TaskTable } from './tasks.js';

/** A target that wants us gone at once is given this long all the same: milliseconds. */
const LEAST_LOGOUT_MS = 2000;

/** What a connection shares with its session, and leaves to the next connection. */
export interface SharedState {
  readonly tasks: TaskTable;
  readonly counters: Counters;
}

export class InitiatorConnection implements StreamConsumer, Timed, PduReceiver {
  readonly #login: LoginOptions;
  readonly #environment: InitiatorEnvironment;
  readonly #sink: TransmitSink;
  readonly #shared: SharedState;
  readonly #framer: PduFramer;
  readonly #writer: PduWriter;
  readonly #phase: LoginPhase;
  readonly #outputs: ConnectionOutput[] = [];
  #state: ConnectionState = 'IN_LOGIN';
  /** Of the login, later of the logout. */
  #deadline: number | undefined;
  #full: FullFeature | null = null;
  #link: Link | null = null;
  #keepalive: Keepalive | null = null;
  #params: OperationalParams | null = null;
  /** Something has come from the other end. */
  #heard = false;
  #logoutByTarget = false;
  #logoutMs = 0;

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
    // No PDU of a target has an Additional Header Segment.
    this.#framer = new PduFramer(this, { maxDataSegment: DEFAULT_MAX_DATA_SEGMENT, maxAhs: 0, pool: environment.pool });
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
    return this.#params;
  }
  get tsih(): number {
    return this.#phase.tsih;
  }
  /** How many commands may be in flight at once: as many as the target takes now, and our own limit allows. */
  get mostInFlight(): number {
    const { mostCommands = Number.POSITIVE_INFINITY } = this.#environment;
    return this.#full === null ? 0 : Math.min(mostCommands, this.#shared.tasks.active + this.#phase.window.room);
  }
  /** What is read is bounded by what was asked for, so reading need not stop. */
  readonly paused = false;

  // Bytes

  onBytes(chunk: Buffer, owner: RefBuffer): void {
    if (this.#ended) return;
    const first = !this.#heard;
    this.#received(chunk.length);
    if (first && this.#isForeign(chunk)) return;
    try {
      this.#framer.onBytes(chunk, owner);
    } catch (error) {
      this.#broken(error);
    }
    this.send();
  }
  readTarget(): Buffer | null {
    return this.#ended ? null : this.#framer.readTarget();
  }
  onTargetFilled(length: number): void {
    if (this.#ended) return;
    this.#received(length);
    try {
      this.#framer.onTargetFilled(length);
    } catch (error) {
      this.#broken(error);
    }
    this.send();
  }
  onDrain(): void {
    this.send();
  }
  /** The socket is gone, or the driver caught what a method threw. Idempotent; ends in `login-failed`, `lost` or `logged-out`. */
  handleClosed(error: unknown): void {
    if (this.#ended) return;
    if (this.#full === null) this.#closedInLogin(error);
    // Many targets close without an answer to the logout: the session is over all the same.
    else if (this.#full.loggingOut) this.#loggedOut(0);
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
      this.#overdue();
      return;
    }
    const action = this.#keepalive?.handleTimeout(now) ?? 'none';
    if (action === 'send-nop-out') this.#full?.ping();
    if (action === 'lost') {
      this.#shared.counters.timeout_err++;
      this.#lose(new AppError('ERR_TIMEOUT', 'the target does not answer NOP-Out', { retriable: true }));
    }
  }
  poll(): ConnectionOutput | undefined {
    return this.#outputs.shift();
  }

  // Work

  /** Sends what is due and may be sent. */
  send(): void {
    if (!this.#ended) this.#full?.send();
  }
  /** One text negotiation; the answer is the output `text`. A second one before that is a bug. */
  text(pairs: readonly TextPair[]): void {
    this.#fullFeature().text(pairs);
  }
  /** Sends a task management function (§11.5); `task` is the one of ABORT TASK. null: the connection ended first. */
  manageTasks(taskFunction: number, lun: Buffer, task: Task | null, onResponse: FunctionAnswer): void {
    this.#fullFeature().manageTasks(taskFunction, lun, task, onResponse);
  }
  /** Ends the session: waits for the tasks that are sent, then the Logout Request. Ends in `logged-out` or `lost`. */
  logout(): void {
    this.#startLogout('IN_LOGOUT', this.#environment.timers.logoutTimeoutMs);
  }
  /** Gives the connection up for a reason of ours; the output is `lost`, before the end of the login `login-failed`. */
  drop(error: AppError): void {
    if (this.#ended) return;
    if (this.#full === null) this.#loginFailed(error.message, error);
    else this.#lose(error);
  }

  // PDUs

  onPdu(b: Buffer, at: number, _ahs: Buffer, data: Buffer, owner: RefBuffer | null): void {
    if (this.#ended) return;
    if (this.#full !== null) this.#full.onPdu(b, at, data, owner);
    else if (opcodeOf(b, at) === Opcode.LoginResponse) this.#onLoginResponse(b, at, data);
    else throw new ProtocolError('RFC 7143 §6.3', `${opcodeName(opcodeOf(b, at))} during login`);
  }
  onDataDigestError(b: Buffer, at: number): void {
    this.#full?.blame(b, at);
    // Recovery within the connection is not for error recovery level 0 (§7.8).
    throw new DigestError('data');
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
  #loggedIn({ params, tpgt, targetAlias, authMethod, chapAlgorithm }: Extract<LoginStep, { kind: 'done' }>): void {
    const { timers, now, mostCommands = Number.POSITIVE_INFINITY } = this.#environment;
    const { tasks, counters } = this.#shared;
    this.#phase.exchange.close();
    this.#framer.setMaxDataSegment(params.maxRecvDataSegmentLength);
    this.#framer.setDigests(params.headerDigest === 'CRC32C', params.dataDigest === 'CRC32C');
    this.#writer.setDigests(params.headerDigest === 'CRC32C', params.dataDigest === 'CRC32C');
    const { window, statSn } = this.#phase;
    const link = new Link(this.#sink, this.#writer, tasks, counters, window, params, statSn, now, mostCommands);
    this.#link = link;
    this.#full = new FullFeature(link, this.#host());
    const { noopIntervalMs: intervalMs, noopTimeoutMs: timeoutMs } = timers;
    const sink = this.#sink;
    const taken = sink.taken === undefined ? {} : { taken: () => sink.taken ?? 0 };
    this.#keepalive = new Keepalive({ intervalMs, timeoutMs, ...taken }, now());
    this.#params = params;
    this.#state = 'LOGGED_IN';
    this.#deadline = undefined;
    this.#report({ kind: 'logged-in', params, tsih: this.tsih, tpgt, targetAlias, authMethod, chapAlgorithm });
  }
  #host(): FullFeatureHost {
    return {
      log: (level, message) => this.#report({ kind: 'log', level, message }),
      answered: (pairs) => this.#report({ kind: 'text', pairs }),
      unitReports: (lun, sense) => this.#report({ kind: 'unit-attention', lun, sense }),
      logoutRequested: (withinMs) => {
        this.#logoutByTarget = true;
        const whole = Math.min(Math.max(withinMs, LEAST_LOGOUT_MS), this.#environment.timers.logoutTimeoutMs);
        // Half of it for the tasks under way, half for the exchange.
        this.#startLogout('LOGOUT_REQUESTED', whole / 2);
      },
      logoutSent: () => {
        this.#state = 'IN_LOGOUT';
      },
      loggedOut: (time2WaitMs) => this.#loggedOut(time2WaitMs),
      lose: (error, time2WaitMs) => this.#lose(error, time2WaitMs),
    };
  }
  #startLogout(state: 'IN_LOGOUT' | 'LOGOUT_REQUESTED', withinMs: number): void {
    if (!this.#fullFeature().startLogout()) return;
    this.#state = state;
    this.#logoutMs = withinMs;
    this.#deadline = this.#environment.now() + withinMs;
    this.send();
  }

  // Endings

  get #ended(): boolean {
    return this.#state === 'CLEANUP_WAIT' || this.#state === 'FREE';
  }
  #fullFeature(): FullFeature {
    if (this.#full === null || this.#ended) throw new Error('the connection is not in full feature phase');
    return this.#full;
  }
  #received(octets: number): void {
    this.#heard = true;
    const now = this.#environment.now();
    this.#shared.counters.rxdata_octets += octets;
    this.#keepalive?.handleReceived(now);
    if (this.#link !== null) this.#link.receivedAt = now;
  }
  /** Whether the first bytes show that no iSCSI target is there: the login has failed then. */
  #isForeign(first: Buffer): boolean {
    const speaker = foreignSpeaker(first);
    if (speaker === null) return false;
    this.#loginFailed(`no iSCSI target listens there, but ${speaker}`, undefined, 'not-iscsi');
    return true;
  }
  #closedInLogin(cause: unknown): void {
    const when = this.#heard ? 'during the login' : 'without an answer';
    this.#loginFailed(`the target closed the connection ${when}`, cause, 'closed');
  }
  /** Whatever is thrown while bytes are read ends the connection before it reaches the driver. */
  #broken(error: unknown): never {
    if (error instanceof DigestError) this.#shared.counters.digest_err++;
    if (!this.#ended && this.#full === null) this.#loginFailed(messageOf(error), error);
    else if (!this.#ended) this.#lose(asAppError(error));
    throw error;
  }
  #overdue(): void {
    if (this.#full !== null && this.#logoutByTarget && !this.#full.loggingOut) {
      // The commands that have not ended yet end with the session, and are sent again in the next one.
      this.#deadline = this.#environment.now() + this.#logoutMs;
      this.#full.logoutNow();
      return;
    }
    this.#shared.counters.timeout_err++;
    if (this.#full === null) {
      this.#loginFailed(`no answer within ${this.#environment.timers.loginTimeoutMs / 1000} s`, undefined, 'silent');
    } else {
      this.#lose(new AppError('ERR_LOGOUT', 'the target did not answer the logout in time'));
    }
  }
  #loginFailed(reason: string, cause: unknown, fault: LoginFault | null = null): void {
    const error = loginBroken(this.#login, reason, { cause, fault });
    // A target that could not prove itself is no matter of the algorithm list.
    const retryWithMd5 = !(cause instanceof UnprovenTarget) && this.#phase.exchange.retryWithMd5;
    this.#end();
    this.#report({ kind: 'login-failed', error, retryWithMd5 });
  }
  #lose(error: AppError, time2WaitMs = 0): void {
    this.#end();
    this.#report({ kind: 'lost', error, time2WaitMs });
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
    this.#phase.exchange.close();
    this.#full?.end();
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
