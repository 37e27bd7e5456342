// Drives one session for its whole life: its connection, and after a loss the next one. RFC 7143 §6.3.5, §7.
import { LoginFailed } from '../../initiator/login-refusal.js';
import type { InitiatorEnvironment } from '../../initiator/options.js';
import { InitiatorSession, type SessionOutput } from '../../initiator/session.js';
import { formatAddress } from '../../iscsi/portal.js';
import { lunToText } from '../../scsi/lun.js';
import type { Sense } from '../../scsi/sense.js';
import { senseToText } from '../../scsi/sense-text.js';
import { now } from '../../transport/clock.js';
import { connectTcp } from '../../transport/connect.js';
import { connectStaggered } from '../../transport/connect-staggered.js';
import { Alarm, bounded, delay } from '../../transport/timers.js';
import { runTurn } from '../../transport/turn.js';
import type { Wire } from '../../transport/wire.js';
import { AppError, messageOf } from '../../util/errors.js';
import { BufferPool } from '../../util/ref-buffer.js';
import { type Attempt, attemptLogin, type Endpoint } from './attempts.js';
import { environmentOf } from './environment.js';
import type { Credentials, LoginRequest } from './info.js';
import type { SessionLog } from './log.js';
import { RecoveryPace } from './recovery-pace.js';

/** Readers that are slow to take data hold this many receive buffers before data for them is copied. */
const RECEIVE_BUFFERS = 64;
/** Bound of one TCP connect while recovering. */
const CONNECT_MS = 5000;
/** Different lines about one recovery; a target that sends us elsewhere each time must not fill memory. */
const MOST_SAID = 100;

export interface DriverOptions {
  readonly login: LoginRequest;
  readonly isid: Buffer;
  readonly log: SessionLog;
  /** Those of this session, which may be fewer than the request's. */
  readonly credentials: Credentials | null;
  /** Where a lost session is looked for again: the record's portal, or the one it has moved to for good. */
  readonly home: Endpoint;
}

/** How one connection and its login are bounded, milliseconds. */
export interface Bounds {
  readonly connectMs: number;
  readonly loginMs: number;
  readonly signal?: AbortSignal | undefined;
  /** The network may come back at any moment: see connectStaggered. */
  readonly eager?: boolean;
}

export class SessionDriver {
  readonly session: InitiatorSession;
  readonly pool = new BufferPool();
  /** Settles when the session has lost its connection for the first time, with the reason; or, with null, when it has logged out. */
  readonly over: Promise<AppError | null>;
  /** Where the login ended up: the portal asked for, or the one it redirected to. */
  portal: Endpoint;
  /** This end's address. */
  localAddress = '';
  /** The target portal group tag that the target stated at login, or null. */
  tpgt: number | null = null;
  authMethod: 'None' | 'CHAP' = 'None';
  /** Wall-clock time of the loss that has not been made good yet, RFC 3339; null while nothing is wrong. */
  lostSince: string | null = null;
  /** Why the connection was lost last, or the last try to replace it failed. */
  lastError: AppError | null = null;
  /** Told of the unit attentions of all LUNs. */
  onUnitAttention: ((sense: Sense) => void) | null = null;
  readonly #log: SessionLog;
  readonly #login: LoginRequest;
  readonly #alarm: Alarm;
  readonly #pace = new RecoveryPace();
  readonly #closing = new AbortController();
  #home: Endpoint;
  #wire: Wire | null = null;
  #settle: ((outcome: Attempt<void>) => void) | null = null;
  #finish: (error: AppError | null) => void = () => {};
  #due = false;
  #recovering = false;
  /** What has been logged of this recovery already. */
  readonly #said = new Set<string>();

  constructor({ login, isid, log, credentials, home }: DriverOptions) {
    const { initiatorName, targetName, negotiate } = login;
    const environment: InitiatorEnvironment = {
      pool: this.pool,
      now,
      ...environmentOf(login),
      onOutput: () => this.#wake(),
    };
    this.session = new InitiatorSession({ initiatorName, targetName, negotiate, isid, credentials }, environment);
    this.portal = this.#home = home;
    this.#log = log;
    this.#login = login;
    this.#alarm = new Alarm(this.session, (work) => {
      runTurn(work);
      this.#drain();
    });
    this.over = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /** Connects to `portal` and logs in. Throws when there is no connection; how the login ended is told. */
  async connect(portal: Endpoint, { connectMs, loginMs, signal, eager = false }: Bounds): Promise<Attempt<void>> {
    const to = { host: portal.address, port: portal.port };
    const { source } = this.#login;
    const dial = eager ? connectStaggered : connectTcp;
    const wire = await dial(to, { timeoutMs: connectMs, signal, receiveBuffers: RECEIVE_BUFFERS, source });
    try {
      const silence = `no answer to the login within ${seconds(loginMs)}`;
      const onTimeout = () => new LoginFailed('silent', 'ERR_CONNECT', silence);
      const outcome = await bounded(this.#logIn(wire), { timeoutMs: loginMs, signal, onTimeout });
      if (outcome.kind === 'done') {
        this.portal = portal;
        this.localAddress = wire.localAddress;
      } else wire.drop();
      return outcome;
    } catch (error) {
      wire.drop();
      throw error;
    }
  }
  /** Ends what is left of the session and its connection; settles when the socket is gone. */
  async close(): Promise<void> {
    this.#closing.abort();
    if (this.session.state !== 'FREE') this.session.logout().catch(() => {});
    const wire = this.#wire;
    wire?.end();
    await wire?.gone();
    this.#alarm.stop();
  }

  /** Joins the session to `wire`. Settles when the login has ended; the connection goes on being driven. */
  #logIn(wire: Wire): Promise<Attempt<void>> {
    return new Promise((resolve) => {
      this.#settle = resolve;
      this.#wire = wire;
      runTurn(() => {
        const connection = this.session.open(wire.sink);
        wire.attach(connection, {
          timed: [this.session],
          afterCall: () => this.#drain(),
          onClose: (error) => {
            connection.handleClosed(error);
            this.#drain();
          },
        });
      });
    });
  }
  #wake(): void {
    if (this.#wire !== null) {
      this.#wire.wake();
      return;
    }
    if (this.#due) return;
    this.#due = true;
    setImmediate(() => {
      this.#due = false;
      this.#drain();
    });
  }
  #drain(): void {
    for (let output = this.session.poll(); output !== undefined; output = this.session.poll()) this.#handle(output);
    if (this.#wire === null) this.#alarm.rearm();
  }
  #handle(output: SessionOutput): void {
    switch (output.kind) {
      case 'logged-in':
        this.tpgt = output.tpgt;
        this.authMethod = output.authMethod;
        this.#pace.loggedIn(now());
        this.#end({ kind: 'done', value: undefined });
        return;
      case 'redirect':
        this.#wire = null;
        this.#end({ kind: 'redirect', to: output.to });
        return;
      case 'login-failed':
        this.#wire = null;
        this.#end({ kind: 'failed', error: output.error, retryWithMd5: output.retryWithMd5 });
        return;
      case 'lost':
        this.#end({ kind: 'failed', error: output.error, retryWithMd5: false });
        this.#lost(output.error, output.time2WaitMs);
        return;
      case 'logged-out':
        if (this.session.state === 'FAILED' && this.session.lastError !== null) {
          this.#lost(this.session.lastError, output.time2WaitMs);
          return;
        }
        this.#finish(null);
        this.#wire?.end();
        return;
      case 'expired':
        this.#log.error('I/O that waited for the target has failed: the replacement timeout is over; logins go on');
        return;
      case 'recovered':
        this.#recovered(output.tookMs, output.replayed);
        return;
      case 'unit-attention':
        this.#log.info(`LUN ${lunToText(output.lun)}: ${senseToText(output.sense)}`);
        this.onUnitAttention?.(output.sense);
        return;
      case 'log':
        this.#log[output.level](output.message);
        return;
      case 'text':
        return;
    }
  }
  #end(outcome: Attempt<void>): void {
    this.#settle?.(outcome);
    this.#settle = null;
  }

  // Recovery

  /** Whatever is left of the old connection must not reach the target after the new login: it is dropped, not ended. */
  #lost(error: AppError, time2WaitMs: number): void {
    const wire = this.#wire;
    this.#wire = null;
    this.lastError = error;
    wire?.drop();
    this.#finish(error);
    if (this.session.state !== 'FAILED') return;
    if (this.lostSince === null) this.#log.warn(`connection lost: ${error.message}`);
    this.lostSince ??= new Date().toISOString();
    this.#pace.lost(now(), time2WaitMs);
    if (!this.#recovering) void this.#recover();
  }
  async #recover(): Promise<void> {
    this.#recovering = true;
    const { signal } = this.#closing;
    while (this.session.state === 'FAILED' && !signal.aborted) {
      try {
        await delay(this.#pace.delay(now()), signal);
        await this.#tryAgain(signal);
      } catch (error) {
        if (!signal.aborted) this.#failed(error);
      }
    }
    this.#recovering = false;
  }
  async #tryAgain(signal: AbortSignal): Promise<void> {
    this.#pace.begin(now());
    const bounds = { connectMs: CONNECT_MS, loginMs: this.#login.timers.loginTimeoutMs, signal, eager: true };
    // The credentials are the session's own: another list of algorithms is not tried.
    await attemptLogin(this.#home, null, async (portal) => {
      const outcome = await this.connect(portal, bounds);
      this.#home = homeAfter(outcome, portal, this.#home);
      if (outcome.kind === 'redirect') this.#say('info', `redirected to ${formatAddress(outcome.to)}`);
      return outcome;
    });
  }
  #failed(error: unknown): void {
    if (isRefused(error)) this.session.noteRefused();
    this.lastError =
      error instanceof AppError ? error : new AppError('ERR_INTERNAL', messageOf(error), { cause: error });
    this.#pace.failed(error, now(), this.session.recovery === 'expired');
    this.#say('warn', `not back yet: ${messageOf(error)}`);
  }
  #recovered(tookMs: number, replayed: number): void {
    this.lostSince = null;
    this.#said.clear();
    this.#log.info(`the session is back after ${seconds(tookMs)}; ${replayed} commands were sent again`);
  }
  /** Once for each recovery, however often it is tried. */
  #say(level: 'info' | 'warn', message: string): void {
    if (this.#said.has(message) || this.#said.size >= MOST_SAID) return;
    this.#said.add(message);
    this.#log[level](message);
  }
}

/** A portal that has moved for good is not asked again; one that sends us on for now is. */
export function homeAfter(outcome: Attempt<unknown>, asked: Endpoint, home: Endpoint): Endpoint {
  const moved = outcome.kind === 'redirect' && outcome.to.permanent === true && asked === home;
  return moved ? outcome.to : home;
}

/** Nobody listens at the address, or the one who does resets: whoever served the target there is not up. */
function isRefused(error: unknown): boolean {
  const code = error instanceof AppError ? (error.cause as { code?: unknown } | undefined)?.code : undefined;
  return code === 'ECONNREFUSED' || code === 'ECONNRESET';
}

function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(1))} s`;
}
