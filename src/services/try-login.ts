// Logs in and out again, to learn whether a target takes credentials: no LUN is looked at, nothing is kept (RFC 7143 §6, §12.1).
import { InitiatorConnection } from '../initiator/connection.js';
import { LoginFailed } from '../initiator/login-refusal.js';
import { DEFAULT_TIMERS } from '../initiator/options.js';
import { makeIsid, randomIsidPart } from '../iscsi/isid.js';
import type { NegotiationWishes } from '../iscsi/negotiation.js';
import { now } from '../transport/clock.js';
import { connectTcp } from '../transport/connect.js';
import type { Source } from '../transport/source.js';
import { bounded } from '../transport/timers.js';
import type { Wire } from '../transport/wire.js';
import { AppError } from '../util/errors.js';
import { BufferPool } from '../util/ref-buffer.js';
import { loginHint } from './login-hints.js';
import { type Attempt, attemptLogin, type Endpoint, formatPortal } from './session/attempts.js';
import type { Credentials } from './session/info.js';

/** A target that does not answer the logout keeps nobody waiting longer. Milliseconds. */
const LOGOUT_MS = 2000;

export interface Trial {
  /** Null logs in to a discovery session. */
  readonly targetName: string | null;
  readonly portal: Endpoint;
  readonly source?: Source | undefined;
  readonly initiatorName: string;
  readonly credentials: Credentials;
  readonly negotiate: NegotiationWishes;
  /** Bound of the whole trial, redirections and the retry with MD5 included. Milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What an accepted login has shown. */
export interface Accepted {
  /** The CHAP_A number that the target chose. */
  readonly algorithm: number;
  /** The name by which the target has proved itself; null where that was not asked of it. */
  readonly provedAs: string | null;
}

/**
 * One login with an ISID of its own, so that no session of this host is reinstated by it.
 * @throws AppError with the code, words and hint of a login
 */
export async function tryLogin(trial: Trial): Promise<Accepted> {
  const end = now() + trial.timeoutMs;
  try {
    return await attemptLogin(trial.portal, trial.credentials, (at, credentials) =>
      attempt(trial, at, credentials ?? trial.credentials, Math.max(1, end - now())),
    );
  } catch (error) {
    if (!(error instanceof AppError) || error.code === 'ERR_INTERRUPTED') throw error;
    const hint = loginHint(error, trial);
    throw new AppError(error.code, `${formatPortal(trial.portal)}: ${error.message}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    });
  }
}

async function attempt(
  trial: Trial,
  at: Endpoint,
  credentials: Credentials,
  timeoutMs: number,
): Promise<Attempt<Accepted>> {
  const { signal, source } = trial;
  const end = now() + timeoutMs;
  const wire = await connectTcp({ host: at.address, port: at.port }, { timeoutMs, signal, source });
  try {
    const silence = `no answer to the login within ${Math.round(timeoutMs / 1000)} s`;
    return await bounded(exchange(trial, wire, credentials), {
      timeoutMs: Math.max(1, end - now()),
      signal,
      onTimeout: () => new LoginFailed('silent', 'ERR_CONNECT', silence),
    });
  } finally {
    wire.destroy();
  }
}

/** The dialogue over one connection. Settles after the logout, so that the target has no half of a session left. */
function exchange(trial: Trial, wire: Wire, credentials: Credentials): Promise<Attempt<Accepted>> {
  return new Promise((resolve, reject) => {
    let outcome: Attempt<Accepted> | null = null;
    const { initiatorName, targetName, negotiate } = trial;
    const isid = makeIsid(randomIsidPart(), 0);
    const connection = new InitiatorConnection(
      { initiatorName, targetName, isid, credentials, negotiate },
      {
        pool: new BufferPool(),
        now,
        timers: { ...DEFAULT_TIMERS, logoutTimeoutMs: LOGOUT_MS },
        onOutput: () => wire.wake(),
      },
      wire.sink,
    );
    const settle = (): void => {
      if (outcome !== null) resolve(outcome);
      else reject(new LoginFailed('closed', 'ERR_CONNECT', 'the target closed the connection during the login'));
    };
    const drain = (): void => {
      for (let output = connection.poll(); output !== undefined; output = connection.poll()) {
        switch (output.kind) {
          case 'logged-in': {
            const provedAs = credentials.mutual?.user ?? null;
            outcome = { kind: 'done', value: { algorithm: output.chapAlgorithm ?? 0, provedAs } };
            connection.logout();
            break;
          }
          case 'login-failed':
            outcome = { kind: 'failed', error: output.error, retryWithMd5: output.retryWithMd5 };
            settle();
            break;
          case 'redirect':
            outcome = output;
            settle();
            break;
          case 'lost':
          case 'logged-out':
            settle();
            break;
        }
      }
    };
    wire.attach(connection, {
      timed: [connection],
      afterCall: drain,
      onClose: (error) => {
        connection.handleClosed(error);
        drain();
        settle();
      },
    });
  });
}
