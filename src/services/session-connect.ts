// From a portal to a logged-in session: connect, log in, follow redirections. RFC 7143 §6.
import { DEFAULT_TIMERS, type InitiatorEnvironment, type InitiatorTimers } from '../initiator/options.js';
import { InitiatorSession, type SessionOutput } from '../initiator/session.js';
import { senseToText } from '../scsi/sense-text.js';
import { now } from '../transport/clock.js';
import { connectTcp } from '../transport/connect.js';
import { bounded } from '../transport/timers.js';
import type { Wire } from '../transport/wire.js';
import { AppError } from '../util/errors.js';
import { BufferPool } from '../util/ref-buffer.js';
import { type Attempt, attemptLogin, type Endpoint, formatPortal } from './session-attempts.js';
import type { Credentials, LoginRequest, SessionTimers } from './session-info.js';
import type { SessionLog } from './session-log.js';

/** Readers that are slow to take data hold this many receive buffers before data for them is copied. */
const RECEIVE_BUFFERS = 64;

/** A session in full feature phase and the connection that carries it. */
export interface OpenSession {
  readonly session: InitiatorSession;
  readonly pool: BufferPool;
  /** Where the login ended up: the portal asked for, or the one it redirected to. */
  readonly portal: Endpoint;
  /** This end's address. */
  readonly localAddress: string;
  /** The target portal group tag that the target stated at login, or null. */
  readonly tpgt: number | null;
  readonly authMethod: 'None' | 'CHAP';
  /** Settles when the session has lost its connection or logged out: with the reason, or null after a logout. */
  readonly over: Promise<AppError | null>;
  /** Closes the socket; settles when it is gone. */
  close(): Promise<void>;
}

export interface ConnectRequest {
  readonly login: LoginRequest;
  readonly isid: Buffer;
  readonly log: SessionLog;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Logs in within `login.timeoutMs`, redirections and the retry with MD5 included. Throws with the codes of a login:
 * ERR_TRANSPORT (4) for a name, ERR_CONNECT (8), ERR_LOGIN_AUTH (24), ERR_FATAL_LOGIN (19), ERR_INTERRUPTED. Nothing
 * stays open then.
 */
export async function openSession(request: ConnectRequest): Promise<OpenSession> {
  const { login } = request;
  const end = now() + login.timeoutMs;
  try {
    return await attemptLogin(login.portal, login.credentials, async (portal, credentials) => {
      const outcome = await attempt(request, portal, credentials, Math.max(1, end - now()));
      if (outcome.kind === 'redirect') request.log.info(`redirected to ${formatPortal(outcome.to)}`);
      return outcome;
    });
  } catch (error) {
    throw loginError(login, error);
  }
}

async function attempt(
  { login, isid, log, signal }: ConnectRequest,
  portal: Endpoint,
  credentials: Credentials | null,
  timeoutMs: number,
): Promise<Attempt<OpenSession>> {
  const end = now() + timeoutMs;
  const to = { host: portal.address, port: portal.port };
  const { source } = login;
  const wire = await connectTcp(to, { timeoutMs, signal, receiveBuffers: RECEIVE_BUFFERS, source });
  try {
    const { initiatorName, targetName, negotiate } = login;
    const options = { initiatorName, targetName, isid, credentials, negotiate };
    const outcome = await bounded(drive(options, initiatorTimers(login.timers), wire, portal, log), {
      timeoutMs: end - now(),
      signal,
      onTimeout: () => new AppError('ERR_CONNECT', `no answer to the login within ${Math.round(timeoutMs / 1000)} s`),
    });
    if (outcome.kind !== 'done') wire.destroy();
    return outcome;
  } catch (error) {
    wire.destroy();
    throw error;
  }
}

/** Joins a new session to `wire`. Settles when the login has ended; the session goes on being driven if it is done. */
function drive(
  options: ConstructorParameters<typeof InitiatorSession>[0],
  timers: InitiatorTimers,
  wire: Wire,
  portal: Endpoint,
  log: SessionLog,
): Promise<Attempt<OpenSession>> {
  const pool = new BufferPool();
  const environment: InitiatorEnvironment = { pool, now, timers, onOutput: () => wire.wake() };
  const session = new InitiatorSession(options, environment);
  let finish: (error: AppError | null) => void = () => {};
  const over = new Promise<AppError | null>((resolve) => {
    finish = resolve;
  });
  return new Promise((resolve) => {
    const failed = (error: AppError, retryWithMd5: boolean) => resolve({ kind: 'failed', error, retryWithMd5 });
    const handle = (output: SessionOutput): void => {
      switch (output.kind) {
        case 'logged-in': {
          const { tpgt, authMethod } = output;
          const close = async () => {
            wire.end();
            await wire.gone();
          };
          const { localAddress } = wire;
          resolve({ kind: 'done', value: { session, pool, portal, localAddress, tpgt, authMethod, over, close } });
          return;
        }
        case 'redirect':
          resolve({ kind: 'redirect', to: output.to });
          return;
        case 'login-failed':
          failed(output.error, output.retryWithMd5);
          return;
        case 'lost':
          failed(output.error, false);
          log.warn(`connection lost: ${output.error.message}`);
          finish(output.error);
          wire.end();
          return;
        case 'logged-out':
          finish(null);
          wire.end();
          return;
        case 'unit-attention':
          log.info(`LUN ${output.lun.toString('hex')}: ${senseToText(output.sense)}`);
          return;
        case 'log':
          log[output.level](output.message);
          return;
        case 'text':
          return;
      }
    };
    const drain = (): void => {
      for (let output = session.poll(); output !== undefined; output = session.poll()) handle(output);
    };
    const connection = session.open(wire.sink);
    wire.attach(connection, {
      timed: [session],
      afterCall: drain,
      onClose: (error) => {
        connection.handleClosed(error);
        drain();
      },
    });
  });
}

/** What the worker does itself (waiting for a lost connection) is no business of the initiator's core. */
function initiatorTimers(timers: SessionTimers): InitiatorTimers {
  const { noopIntervalMs, noopTimeoutMs, loginTimeoutMs, logoutTimeoutMs } = timers;
  return { ...DEFAULT_TIMERS, noopIntervalMs, noopTimeoutMs, loginTimeoutMs, logoutTimeoutMs };
}

function loginError({ targetName, portal }: LoginRequest, error: unknown): unknown {
  if (!(error instanceof AppError) || error.code === 'ERR_INTERRUPTED') return error;
  const hint = error.hint ?? HINTS[error.code];
  const options = { cause: error, retriable: error.retriable, ...(hint === undefined ? {} : { hint }) };
  return new AppError(
    error.code,
    `cannot log in to ${targetName} at ${formatPortal(portal)}: ${error.message}`,
    options,
  );
}

const HINTS: Partial<Record<AppError['code'], string>> = {
  ERR_CONNECT: 'is the target running, and is its port open in the firewall?',
  ERR_LOGIN_AUTH: 'check the CHAP user and secret, and that the target admits this initiator name',
  ERR_FATAL_LOGIN: 'lunctl discovery sendtargets shows the targets behind a portal',
};
