// Ends sessions: their devices are taken away, caches flushed, the targets told, and nothing is left.

import { now } from '../transport/clock.js';
import { callControl } from '../transport/control.js';
import { delay } from '../transport/timers.js';
import { AppError } from '../util/errors.js';
import type { Paths } from './paths.js';
import { ownerLives, readState, type SessionState, sessionFolder, sessionIds } from './session/folder.js';
import { listSessions } from './session/registry.js';

/** Bound of one logout. The worker has the same for itself. */
const LOGOUT_MS = 15_000;
/** For the process to end once it has answered. */
const EXIT_MS = 5000;
const LOOK_MS = 20;

export interface LogoutOptions {
  readonly paths: Pick<Paths, 'runDir'>;
  /** The worker of each session that is meant: under its number another may have begun meanwhile, which is left alone. */
  readonly workers?: ReadonlyMap<number, number>;
  readonly signal?: AbortSignal | undefined;
}

/** How the logout of one session went. */
export interface LogoutResult {
  readonly sid: number;
  /** What the session was; null where its state could not be read. */
  readonly session: SessionState | null;
  readonly error: AppError | null;
}

/**
 * Ends the given sessions side by side and returns when their processes have ended. A session with a mounted or held
 * device stays as it is, with ERR_BUSY; one that does not exist gets ERR_SESSION_NOT_FOUND; one that has ended, but may
 * have lost its last writes, ERR_LOGOUT. At most 20 s.
 */
export function logout(sids: readonly number[], options: LogoutOptions): Promise<LogoutResult[]> {
  return Promise.all(sids.map((sid) => logoutOne(sid, options)));
}

async function logoutOne(sid: number, { paths, workers, signal }: LogoutOptions): Promise<LogoutResult> {
  const folder = sessionFolder(paths.runDir, sid);
  const session = await readState(folder);
  const fail = (error: AppError): LogoutResult => ({ sid, session, error });
  const worker = workers?.get(sid);
  if (worker !== undefined && session?.pid !== worker) return { sid, session: null, error: null };
  if (!(await sessionIds(paths.runDir)).includes(sid)) return fail(missing(sid));
  try {
    await callControl(folder.controlSocket, 'logout', {}, { timeoutMs: LOGOUT_MS, signal });
    if (session !== null) await ended(session, signal);
    return { sid, session, error: null };
  } catch (error) {
    if (error instanceof AppError && error.code === 'ERR_LOGOUT') {
      if (session !== null) await ended(session, signal);
      return fail(error);
    }
    if (session !== null && (await isEnding(session, error, signal))) {
      // It was dead before, or died over this: what it has left goes with the next listing, which is now.
      await listSessions(paths, { signal });
      return { sid, session, error: null };
    }
    if (error instanceof AppError) return fail(error);
    throw error;
  }
}

/** Whether the session is over without an answer of its own: dead, or on its way out because somebody else ended it. */
async function isEnding(session: SessionState, error: unknown, signal: AbortSignal | undefined): Promise<boolean> {
  if (!ownerLives(session)) return true;
  if (!(error instanceof AppError) || error.code !== 'ERR_NOT_CONNECTED') return false;
  return ended(session, signal).then(
    () => true,
    () => false,
  );
}

/** Until the process has gone: a socket and a folder that vanish a little later would be a surprise to scripts. */
async function ended(session: SessionState, signal: AbortSignal | undefined): Promise<void> {
  const end = now() + EXIT_MS;
  while (ownerLives(session)) {
    if (now() > end) throw new AppError('ERR_TIMEOUT', `worker ${session.pid} of session ${session.sid} does not end`);
    await delay(LOOK_MS, signal);
  }
}

function missing(sid: number): AppError {
  return new AppError('ERR_SESSION_NOT_FOUND', `no session ${sid}`, { hint: 'lunctl session show lists them' });
}
