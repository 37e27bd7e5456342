// Logs in and out again, to learn whether a target takes credentials, or only asks why it does not let us in: no LUN is looked at, nothing is kept (RFC 7143 §6, §12.1).
import { InitiatorConnection } from '../initiator/connection.js';
import { LoginFailed, RefusedLogin } from '../initiator/login-refusal.js';
import { DEFAULT_TIMERS, type LoginOptions } from '../initiator/options.js';
import { makeIsid, randomIsidPart } from '../iscsi/isid.js';
import type { NegotiationWishes } from '../iscsi/negotiation.js';
import { formatAddress } from '../iscsi/portal.js';
import { now } from '../transport/clock.js';
import { connectTcp } from '../transport/connect.js';
import type { Source } from '../transport/source.js';
import { bounded } from '../transport/timers.js';
import type { Wire } from '../transport/wire.js';
import { AppError } from '../util/errors.js';
import { BufferPool } from '../util/ref-buffer.js';
import { loginHint } from './login-hints.js';
import { type Attempt, attemptLogin, type Endpoint } from './session/attempts.js';
import type { Credentials } from './session/info.js';

/** A target that does not answer the logout keeps nobody waiting longer. Milliseconds. */
const LOGOUT_MS = 2000;

export interface Trial extends Login {
  readonly credentials: Credentials;
  readonly negotiate: NegotiationWishes;
}

/** Where and as whom. */
export interface Login {
  /** Null logs in to a discovery session. */
  readonly targetName: string | null;
  readonly portal: Endpoint;
  readonly source?: Source | undefined;
  readonly initiatorName: string;
  /** Bound of the whole trial, redirections and the retry with MD5 included. Milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
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
      attempt({ ...trial, portal: at, credentials, timeoutMs: Math.max(1, end - now()) }),
    );
  } catch (error) {
    if (!(error instanceof AppError) || error.code === 'ERR_INTERRUPTED') throw error;
    const hint = loginHint(error, trial);
    throw new AppError(error.code, `${formatAddress(trial.portal)}: ${error.message}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    });
  }
}

/**
 * What a login without credentials has failed for. LIO, where it wants CHAP, closes the connection without a word on
 * AuthMethod=None, and has a status for a login that skips the security stage: so that is asked. Another failure, or a target
 * that has no more to say, is `error` itself. RFC 7143 §6.3.
 */
export async function whyClosed(error: AppError, login: Login): Promise<AppError> {
  if (!(error instanceof LoginFailed) || error.fault !== 'closed') return error;
  try {
    const answer = await attempt({ ...login, credentials: null, negotiate: {}, question: true });
    return answer.kind === 'failed' && answer.error instanceof RefusedLogin ? answer.error : error;
  } catch {
    return error;
  }
}

type Dialogue = Login & Pick<LoginOptions, 'credentials' | 'question'> & { readonly negotiate: NegotiationWishes };

async function attempt(dialogue: Dialogue): Promise<Attempt<Accepted>> {
  const { portal, timeoutMs, signal, source } = dialogue;
  const end = now() + timeoutMs;
  const wire = await connectTcp({ host: portal.address, port: portal.port }, { timeoutMs, signal, source });
  try {
    const silence = `no answer to the login within ${Math.round(timeoutMs / 1000)} s`;
    return await bounded(exchange(dialogue, wire), {
      timeoutMs: Math.max(1, end - now()),
      signal,
      onTimeout: () => new LoginFailed('silent', 'ERR_CONNECT', silence),
    });
  } finally {
    wire.destroy();
  }
}

/** The dialogue over one connection. Settles after the logout, so that the target has no half of a session left. */
function exchange(dialogue: Dialogue, wire: Wire): Promise<Attempt<Accepted>> {
  return new Promise((resolve, reject) => {
    let outcome: Attempt<Accepted> | null = null;
    const isid = makeIsid(randomIsidPart(), 0);
    const connection = new InitiatorConnection(
      { ...dialogue, isid },
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
            const provedAs = dialogue.credentials?.mutual?.user ?? null;
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
