// `-m host` where sessions are up.
import type { QuickSession } from '../../services/session/quick-list.js';
import { hostBlocks, hostLine } from '../render/session-blocks.js';
import type { Call } from './call.js';
import { answeringSessions, versionHead } from './session-show.js';

/** Each session as a host. -H chooses none of them, as in iscsiadm. */
export async function showHosts(call: Call, wanted: readonly QuickSession[], level: 0 | 1 | 2 | 3 | 4): Promise<void> {
  const sessions = await answeringSessions(call, wanted);
  // Timeouts are part of mode session alone.
  const timeouts = { recovery: 0, targetReset: 0, lunReset: 0, abort: 0 };
  const hosts = sessions.map((session) => ({ ...session, host: session.sid, timeouts }));
  call.talk.out(level === 0 ? hosts.map(hostLine).join('') : hostBlocks(hosts, level, versionHead()));
}
