// `-m host` where sessions are up.
import { resolvePaths } from '../../services/paths.js';
import { registryWarnings } from '../../services/records/sessions.js';
import { listSessions } from '../../services/session/registry.js';
import { hostBlocks, hostLine } from '../render/session-blocks.js';
import type { Call } from './call.js';
import { versionHead } from './session-show.js';

/** -H chooses nothing, as in iscsiadm. Sessions that do not answer are told of and left out. */
export async function showHosts({ talk, signal }: Call, level: 0 | 1 | 2 | 3 | 4): Promise<void> {
  const list = await listSessions(resolvePaths(), { signal });
  for (const text of registryWarnings(list)) talk.complain(text);
  // Timeouts are part of mode session alone.
  const timeouts = { recovery: 0, targetReset: 0, lunReset: 0, abort: 0 };
  const hosts = list.sessions.map((session) => ({ ...session, host: session.sid, timeouts }));
  talk.out(level === 0 ? hosts.map(hostLine).join('') : hostBlocks(hosts, level, versionHead()));
}
