// --login, --loginall and the sessions that `-o new` adds: every record is tried, and the first error is the exit code.
import { resolvePaths } from '../../services/paths.js';
import type { NodeRecord } from '../../services/records/records.js';
import type { LoginRequest, SessionInfo } from '../../services/session/info.js';
import { alreadyPresent, loginDoneLine, loginStartLine, pathName } from '../render/iscsiadm.js';
import type { Call } from './call.js';
import type { Pattern } from './pattern.js';
import { matchingRecords, recordsThat } from './records.js';
import { Reported, report } from './reported.js';
import { TRY_HELP } from './usage.js';

/** Each has a process of its own. */
const MOST_AT_ONCE = 16;
const STARTUPS = ['all', 'manual', 'automatic', 'onboot'];

export interface LoginWays {
  /** One session more, however many there are. */
  readonly further?: boolean;
  /** Go on trying as long as the record says (initial_login_retry_max times its login timeout). */
  readonly persistent?: boolean;
}

/** Logs in with every record that the pattern matches. */
export async function runLogin(call: Call, pattern: Pattern, ways: LoginWays = {}): Promise<void> {
  const records = await matchingRecords(call, pattern);
  if (records.length === 0) return;
  if (!(await loginWith(call, records, ways))) call.talk.complain('Could not log into all portals');
}

/** Logs in with every record whose node.startup is `startup`: at boot, so it takes its time. */
export async function runLoginAll(call: Call): Promise<void> {
  const { options, talk } = call;
  const startup = options.text('L') ?? '';
  if (!STARTUPS.includes(startup)) {
    talk.complain(`Invalid loginall option ${startup}.`);
    talk.bare(TRY_HELP);
    return talk.fail(Reported.Invalid);
  }
  const records = await recordsThat(call, (record) => startsAs(record, startup));
  const [leading, others] = [records.filter(isLeading), records.filter((record) => !isLeading(record))];
  if (others.length > 0 && !(await loginWith(call, others, { persistent: true }))) {
    talk.complain('Could not log into all portals');
  }
  if (leading.length > 0) await leadingLogins(call, leading);
}

/** Whether a record is to be logged in to, or out of, with `-L` or `-U` and this word. */
export function startsAs({ values }: Pick<NodeRecord, 'values'>, startup: string): boolean {
  const set = ['node.startup', 'node.conn[0].startup'].map((key) => values.text(key) || 'manual');
  return startup === 'all' || set.includes(startup);
}

function isLeading({ values }: NodeRecord): boolean {
  return values.text('node.leading_login') === 'Yes';
}

/** One session for each target (node.leading_login): interface after interface, until one has worked. */
async function leadingLogins(call: Call, records: readonly NodeRecord[]): Promise<void> {
  const { talk } = call;
  for (const iface of [...new Set(records.map(({ ref }) => ref.iface))].sort()) {
    const open = await openTargets();
    const due = records.filter(({ ref }) => ref.iface === iface && !open.has(ref.targetName));
    if (due.length === 0 || (await loginWith(call, due, { persistent: true }))) continue;
    talk.complain(`Could not log into all portals on ${iface}, trying next interface`);
  }
  const open = await openTargets();
  if (records.every(({ ref }) => open.has(ref.targetName))) return;
  talk.complain('Could not login all leading-login portals');
  talk.fail(Reported.FatalLogin);
}

async function openTargets(): Promise<Set<string>> {
  const { quickSessions } = await import('../../services/session/quick-list.js');
  return new Set((await quickSessions(resolvePaths())).map(({ targetName }) => targetName));
}

interface Planned {
  readonly record: NodeRecord;
  readonly multiple: boolean;
  readonly request: () => LoginRequest;
}

/** Logs in with these records, side by side, and reports in their order. False if any of them failed. */
export async function loginWith(call: Call, records: readonly NodeRecord[], ways: LoginWays = {}): Promise<boolean> {
  const { talk, options, signal } = call;
  const { planned, allMissing } = await planLogins(call, records, ways);
  for (const { record, multiple } of planned) talk.out(loginStartLine(record.ref, { multiple }));
  if (planned.length === 0) return allMissing;
  if (options.has('W')) {
    const { goOnInBackground } = await import('./background.js');
    goOnInBackground(options);
    return allMissing;
  }
  const { sideBySide } = await import('../../util/side-by-side.js');
  const results = sideBySide(planned, MOST_AT_ONCE, (one) => logIn(call, one, ways));
  let allDone = allMissing;
  for (const [i, { record }] of planned.entries()) {
    try {
      await results[i];
      talk.out(loginDoneLine(record.ref));
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      talk.complain(`Could not login to ${pathName(record.ref)}.`);
      report(talk, error);
      allDone = false;
    }
  }
  return allDone;
}

/** The sessions to be made. Records that have all of theirs are told of. */
async function planLogins(
  call: Call,
  records: readonly NodeRecord[],
  { further = false }: LoginWays,
): Promise<{ planned: readonly Planned[]; allMissing: boolean }> {
  const { talk } = call;
  const paths = resolvePaths();
  const { countSessions, loginRequest, sessionRequest } = await import('../../services/records/plan.js');
  const { readConfig } = await import('../../services/records/records.js');
  const { readIdentity } = await import('../../services/identity.js');
  const { quickSessions } = await import('../../services/session/quick-list.js');
  const config = await readConfig(paths);
  const { initiatorName } = await readIdentity(paths);
  const sessions = await quickSessions(paths);
  let allMissing = true;
  const planned = records.flatMap((record): Planned[] => {
    const count = countSessions(record, sessions);
    const indexes = further ? [count.further] : count.missing;
    if (indexes.length === 0) {
      talk.complain(`${alreadyPresent(record.ref, count.wanted, count.present)}.`);
      talk.fail(Reported.SessionExists);
      allMissing = false;
    }
    const wishes = { ...WISHES, initiatorName };
    return indexes.map((index) => ({
      record,
      multiple: further || count.wanted > 1,
      request: () => sessionRequest(loginRequest(record, config, wishes), index),
    }));
  });
  return { planned, allMissing };
}

/** Credentials are the record's or iscsid.conf's. */
const WISHES = {
  credentials: null,
  attach: 'auto',
  readOnly: false,
  foreground: false,
  also: false,
  shared: false,
  connections: 1,
  timeoutMs: undefined,
} as const;

async function logIn({ signal }: Call, planned: Planned, { persistent = false }: LoginWays): Promise<SessionInfo> {
  const { login } = await import('../../services/login.js');
  const { retrying } = await import('../../services/login-retry.js');
  const request = planned.request();
  const attempt = () => login(request, { paths: resolvePaths(), signal });
  return retrying(persistent ? patience(planned.record) : 0, attempt, { signal });
}

/** For how long iscsid tries: seconds. */
function patience({ values }: NodeRecord): number {
  const number = (key: string, fallback: number) => Number.parseInt(values.text(key), 10) || fallback;
  return number('node.session.initial_login_retry_max', 8) * number('node.conn[0].timeo.login_timeout', 15);
}
