// `-m session -P 1` to `-P 3`.
import { readFileSync } from 'node:fs';
import { type Paths, resolvePaths } from '../../services/paths.js';
import { sessionTimeouts } from '../../services/records/login.js';
import { recordsOfPath } from '../../services/records/records.js';
import { registryWarnings } from '../../services/records/sessions.js';
import type { SessionInfo } from '../../services/session/info.js';
import type { QuickSession } from '../../services/session/quick-list.js';
import { listSessions } from '../../services/session/registry.js';
import { type BlockSecrets, sessionBlocks } from '../render/session-blocks.js';
import type { Call } from './call.js';
import { Reported } from './reported.js';
import { OPEN_ISCSI_VERSION } from './usage.js';

/** A machine under load answers late; a session that is left out would look as if it had ended. */
const ANSWER_MS = 10_000;

/** Those of `wanted` that answer, with all that the level asks for. */
export async function showBlocks(call: Call, wanted: readonly QuickSession[], level: 1 | 2 | 3): Promise<void> {
  const { options, talk } = call;
  const paths = resolvePaths();
  const sessions = await answeringSessions(call, wanted);
  // Records are found by the portal where the login began.
  const begun = sessions.map((session) => ({ ...session, portal: session.persistentPortal }));
  const timeouts = await sessionTimeouts(paths, begun);
  const secrets = options.has('S') ? await Promise.all(begun.map((session) => secretsOf(paths, session))) : [];
  const blocks = sessions.map((session, i) => ({
    ...session,
    host: session.sid,
    secrets: secrets[i],
    timeouts: timeouts[i] ?? { recovery: 0, targetReset: 0, lunReset: 0, abort: 0 },
  }));
  talk.out(sessionBlocks(blocks, level, versionHead()));
}

/** What the sessions say of themselves; one that does not answer is told of, and is no success. */
export async function answeringSessions({ talk, signal }: Call, wanted: readonly QuickSession[]) {
  const list = await listSessions(resolvePaths(), { signal, answerMs: ANSWER_MS });
  if (list.silent.some(({ sid }) => wanted.some((one) => one.sid === sid))) talk.fail(Reported.PduTimeout);
  for (const text of registryWarnings(list)) talk.complain(text);
  return list.sessions.flatMap((session) => {
    const persistent = wanted.find(({ sid }) => sid === session.sid)?.portal;
    return persistent === undefined ? [] : [{ ...session, persistentPortal: persistent }];
  });
}

/** What iscsiadm says of the kernel's transport class stands for what carries our sessions: this program. */
export function versionHead(): string {
  const file = new URL('../../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  return `iSCSI Transport Class version ${version}\nversion ${OPEN_ISCSI_VERSION}\n`;
}

/** A session tells nobody its secrets: they are read where its login had them from, if that still names the same users. */
async function secretsOf(paths: Paths, session: SessionInfo): Promise<BlockSecrets> {
  const [record] = await recordsOfPath(paths, session);
  const of = (user: string | null, key: string) => {
    const same = user !== null && record?.values.text(`node.session.auth.username${key}`) === user;
    return same ? record.values.text(`node.session.auth.password${key}`) : '';
  };
  return { password: of(session.chapUser, ''), passwordIn: of(session.mutualUser, '_in') };
}
