// --logout and --logoutall: every session is tried, and the first error is the exit code.
import { resolvePaths } from '../../services/paths.js';
import type { QuickSession } from '../../services/session/quick-list.js';
import { logoutDoneLine, logoutStartLine, sessionName } from '../render/iscsiadm.js';
import type { Call } from './call.js';
import { matches, type Pattern } from './pattern.js';
import { Reported, report } from './reported.js';
import { TRY_HELP } from './usage.js';

const STARTUPS = ['all', 'manual', 'automatic'];

/** Ends the sessions that the pattern matches. */
export async function runLogout(call: Call, pattern: Pattern): Promise<void> {
  await logoutOf(call, await matchingSessions(pattern));
}

/** Ends the sessions whose record has this node.startup; never those that the machine has booted from. */
export async function runLogoutAll(call: Call): Promise<void> {
  const { options, talk } = call;
  const startup = options.text('U') ?? '';
  if (!STARTUPS.includes(startup)) {
    talk.complain(`Invalid logoutall option ${startup}.`);
    talk.bare(TRY_HELP);
    return talk.fail(Reported.Invalid);
  }
  const { onPath, selectNodes } = await import('../../services/records/records.js');
  const { startsAs } = await import('./login.js');
  const { items } = await selectNodes(resolvePaths());
  const sessions = (await matchingSessions({ tpgt: -1 })).filter((session) => {
    const [record] = onPath(items, session);
    return record !== undefined && !isBoot(record) && startsAs(record, startup);
  });
  await logoutOf(call, sessions);
}

function isBoot({ values }: { readonly values: { text(key: string): string } }): boolean {
  return values.text('node.startup') === 'onboot' || values.text('node.discovery_type') === 'fw';
}

/** By ascending number. */
export async function matchingSessions(pattern: Pattern): Promise<readonly QuickSession[]> {
  const { quickSessions } = await import('../../services/session/quick-list.js');
  const found: QuickSession[] = [];
  for (const session of await quickSessions(resolvePaths())) {
    if (await matches(pattern, { ...session, ...session.portal })) found.push(session);
  }
  return found;
}

async function logoutOf({ talk, signal }: Call, sessions: readonly QuickSession[]): Promise<void> {
  if (sessions.length === 0) {
    talk.complain('No matching sessions found');
    return talk.fail(Reported.NoObjects);
  }
  const names = new Map(sessions.map((session) => [session.sid, { ...session, ...session.portal }]));
  for (const name of names.values()) talk.out(logoutStartLine(name));
  const { logout } = await import('../../services/logout.js');
  const workers = new Map(sessions.map(({ sid, pid }) => [sid, pid]));
  let failed = false;
  for (const { sid, error } of await logout([...names.keys()], { paths: resolvePaths(), workers, signal })) {
    const name = names.get(sid);
    if (name === undefined) continue;
    if (error === null) {
      talk.out(logoutDoneLine(name));
      continue;
    }
    if (signal.aborted) throw signal.reason;
    failed = true;
    talk.complain(`Could not logout of ${sessionName(name)}.`);
    report(talk, error);
  }
  if (failed) talk.complain('Could not logout of all requested sessions');
}
