// What is done to running sessions: rescan and statistics. Every session is tried.
import { resolvePaths } from '../../services/paths.js';
import type { QuickSession } from '../../services/session/quick-list.js';
import { AppError } from '../../util/errors.js';
import { exitCodeOf } from '../exit-codes.js';
import { sessionName, statsText } from '../render/iscsiadm.js';
import type { Call } from './call.js';
import { matchingSessions } from './logout.js';
import type { Pattern } from './pattern.js';
import { Reported, reportedText } from './reported.js';

/** `-R`: LUNs that have appeared, vanished or changed their size. */
export async function runRescan(call: Call, pattern: Pattern): Promise<void> {
  const { rescanSession } = await import('../../services/lun/control.js');
  const sessions = await matchingSessions(pattern);
  for (const session of sessions) call.talk.out(`Rescanning session ${nameOf(session)}\n`);
  const rescans = sessions.map(({ sid }) => rescanSession(resolvePaths(), sid, { signal: call.signal }));
  await forEach(call, sessions, rescans, () => {});
}

/** `-s`: what each session has counted. */
export async function runStats(call: Call, pattern: Pattern): Promise<void> {
  const { sessionStats } = await import('../../services/session/stats.js');
  const sessions = await matchingSessions(pattern);
  const asked = sessions.map(({ sid }) => sessionStats(resolvePaths(), sid, { signal: call.signal }));
  await forEach(call, sessions, asked, (session, stats) => {
    call.talk.out(statsText({ ...session, ...session.portal }, stats));
  });
}

function nameOf(session: QuickSession): string {
  return sessionName({ ...session, ...session.portal });
}

/** Tells of each in turn what came of it, and at last of the first failure. */
async function forEach<T>(
  { talk, signal }: Call,
  sessions: readonly QuickSession[],
  works: readonly Promise<T>[],
  tell: (session: QuickSession, result: T) => void,
): Promise<void> {
  if (sessions.length === 0) {
    talk.complain('No session found.');
    return talk.fail(Reported.NoObjects);
  }
  let failure: unknown;
  for (const [i, outcome] of (await Promise.allSettled(works)).entries()) {
    const session = sessions[i] as QuickSession;
    if (outcome.status === 'fulfilled') tell(session, outcome.value);
    else {
      failure ??= outcome.reason;
      if (outcome.reason instanceof AppError) talk.complain(outcome.reason.message);
    }
  }
  if (signal.aborted) throw signal.reason;
  if (failure === undefined) return;
  const number = exitCodeOf(failure);
  talk.complain(`Could not execute operation on all sessions: ${reportedText(number)}`);
  talk.fail(number);
}
