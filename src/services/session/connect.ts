// From a portal to a logged-in session: connect, log in, follow redirections. RFC 7143 §6.
import { formatAddress } from '../../iscsi/portal.js';
import { now } from '../../transport/clock.js';
import { AppError } from '../../util/errors.js';
import { loginHint } from '../login-hints.js';
import { whyClosed } from '../try-login.js';
import { attemptLogin, type Endpoint } from './attempts.js';
import { homeAfter, SessionDriver } from './driver.js';
import type { LoginRequest } from './info.js';
import type { SessionLog } from './log.js';

/** A session in full feature phase, with what keeps it connected. */
export type OpenSession = Pick<
  SessionDriver,
  | 'session'
  | 'pool'
  | 'portal'
  | 'tpgt'
  | 'authMethod'
  | 'localAddress'
  | 'lostSince'
  | 'lastError'
  | 'onUnitAttention'
  | 'over'
  | 'close'
>;

export interface ConnectRequest {
  readonly login: LoginRequest;
  readonly isid: Buffer;
  readonly log: SessionLog;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Logs in within `login.timeoutMs`, redirections and the retry with MD5 included. Throws with the codes of a login:
 * ERR_TRANSPORT (4) for a name, ERR_CONNECT (8), ERR_LOGIN_AUTH (24), ERR_FATAL_LOGIN (19), ERR_INTERRUPTED. Nothing
 * stays open then. Afterwards a lost connection is replaced until the session is closed.
 */
export async function openSession({ login, isid, log, signal }: ConnectRequest): Promise<OpenSession> {
  const end = now() + login.timeoutMs;
  const left = () => Math.max(1, end - now());
  let home: Endpoint = login.portal;
  try {
    return await attemptLogin(login.portal, login.credentials, async (portal, credentials) => {
      const driver = new SessionDriver({ login, isid, log, credentials, home });
      const outcome = await driver.connect(portal, { connectMs: left(), loginMs: left(), signal });
      home = homeAfter(outcome, portal, home);
      if (outcome.kind === 'done') return { kind: 'done', value: driver };
      await driver.close();
      if (outcome.kind === 'redirect') log.info(`redirected to ${formatAddress(outcome.to)}`);
      if (outcome.kind !== 'failed' || credentials !== null) return outcome;
      return { ...outcome, error: await whyClosed(outcome.error, { ...login, portal, timeoutMs: left(), signal }) };
    });
  } catch (error) {
    throw loginError(login, error);
  }
}

function loginError(login: LoginRequest, error: unknown): unknown {
  if (!(error instanceof AppError) || error.code === 'ERR_INTERRUPTED') return error;
  const { targetName, portal } = login;
  const hint = loginHint(error, login);
  const { retriable, fault } = error;
  const options = { cause: error, retriable, fault, ...(hint === undefined ? {} : { hint }) };
  return new AppError(
    error.code,
    `cannot log in to ${targetName} at ${formatAddress(portal)}: ${error.message}`,
    options,
  );
}
