// Running sessions by what a command was given to find them.
import { AppError } from '../../util/errors.js';
import type { Paths } from '../paths.js';
import { listSessions, type SessionList } from '../session/registry.js';
import { chooseTargets, splitTarget, type TargetChoice } from './target.js';

export interface SessionChoice extends TargetChoice {
  readonly sid?: number | undefined;
  readonly signal: AbortSignal;
}

/** What a session is called in messages. */
export interface SessionRef {
  readonly sid: number;
  readonly targetName: string;
  readonly address: string;
  readonly port: number;
  readonly tpgt: number;
  readonly iface: string;
}

/**
 * The sessions that are meant, also those whose worker does not answer.
 * @throws AppError ERR_SESSION_NOT_FOUND for a number, ERR_NOT_FOUND when nothing fits, ERR_USAGE when it is not clear
 */
export async function chooseSessions(
  paths: Pick<Paths, 'runDir'>,
  choice: SessionChoice,
): Promise<{ readonly items: readonly SessionRef[]; readonly warnings: readonly string[] }> {
  const list = await listSessions(paths, { signal: choice.signal });
  const live = [...list.sessions, ...list.silent.map(({ state }) => state)];
  const all = live
    .map(({ sid, targetName, portal, iface }) => ({ sid, targetName, iface, ...portal }))
    .sort((a, b) => a.sid - b.sid);
  const items = choice.sid === undefined ? chooseTargets(all, splitTarget(choice)) : bySid(all, choice.sid);
  if (items.length === 0) throw new AppError('ERR_NOT_FOUND', 'No matching sessions found');
  return { items, warnings: registryWarnings(list) };
}

function bySid(all: readonly SessionRef[], sid: number): readonly SessionRef[] {
  const found = all.filter((session) => session.sid === sid);
  if (found.length === 0) throw new AppError('ERR_SESSION_NOT_FOUND', `no session ${sid}`);
  return found;
}

/** What a listing has to say besides its sessions. What has been cleaned up is told where it is done. */
export function registryWarnings({ silent }: SessionList): string[] {
  return silent.map(({ sid, reason }) => `session ${sid} does not answer: ${reason}`);
}
