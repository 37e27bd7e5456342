// The sessions that are up by their state files alone: no socket, no thread, and next to nothing to load. Scripts poll this listing.
import type { Paths } from '../paths.js';
import { ownerLives, readStateNow, type SessionState, sessionFolder, sessionIdsNow } from './folder.js';

/** What does not change while a session lives. */
export type QuickSession = Omit<SessionState, 'version' | 'startTime' | 'phase'>;

/**
 * The usable sessions below `paths.runDir`, by ascending number, as their workers have described them; a worker counts
 * as alive if its process is the one that made the folder. One that has not finished its login is no session yet. What
 * a dead worker has left is removed first, as by every listing.
 * @throws AppError ERR_ACCESS for a run folder that others may write to
 */
export async function quickSessions(paths: Pick<Paths, 'runDir'>): Promise<QuickSession[]> {
  const states = readAll(paths.runDir);
  if (states.every((state) => state !== null && ownerLives(state))) return usable(states);
  // Rare: only what is dead or damaged needs the sockets and the attach code.
  const { listSessions } = await import('./registry.js');
  const { sessions } = await listSessions(paths);
  const known = usable(readAll(paths.runDir));
  const damaged = sessions.filter(({ sid }) => !known.some((session) => session.sid === sid));
  return [...known, ...damaged].sort((a, b) => a.sid - b.sid);
}

function readAll(runDir: string): (SessionState | null)[] {
  return sessionIdsNow(runDir).map((sid) => readStateNow(sessionFolder(runDir, sid)));
}

function usable(states: readonly (SessionState | null)[]): SessionState[] {
  return states.filter((state) => state !== null).filter((state) => state.phase === 'ready' && ownerLives(state));
}
