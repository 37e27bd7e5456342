// From a choice of targets to login requests: records, credentials, offers and timers put together.
import { checkIscsiName } from '../../iscsi/names.js';
import { DEFAULT_PORT, type Portal } from '../../iscsi/portal.js';
import { AppError } from '../../util/errors.js';
import type { Paths } from '../paths.js';
import { type CredentialPair, requireStrong, weakSecrets } from '../secret-rules.js';
import type { AttachMode, LoginRequest } from '../session/info.js';
import { listSessions, type SessionList } from '../session/registry.js';
import { nodeCredentials } from './auth.js';
import { sourceOf } from './iface.js';
import { limitsFrom, negotiateFrom, sessionCount, timersFrom } from './login.js';
import { type ConfigFile, type NodeRecord, readConfig, selectIface, selectNodes, temporaryNode } from './records.js';
import { chooseTargets, splitTarget, type TargetChoice } from './target.js';

export interface LoginChoice extends TargetChoice {
  /** Only records whose node.startup is this. */
  readonly startup?: 'automatic' | undefined;
}

export interface LoginPlan {
  /** At least one. */
  readonly records: readonly NodeRecord[];
  readonly config: ConfigFile;
  readonly warnings: readonly string[];
}

/**
 * The records to log in with. A target name and a portal together need no record: the settings are iscsid.conf's.
 * @throws AppError ERR_NOT_FOUND, or ERR_USAGE when the choice could be several targets
 */
export async function planLogin(paths: Pick<Paths, 'configDir' | 'dbDir'>, choice: LoginChoice): Promise<LoginPlan> {
  const wanted = { ...choice, ...splitTarget(choice) };
  const config = await readConfig(paths);
  const { items, warnings } = await selectNodes(paths);
  const candidates = items
    .filter(({ values }) => choice.startup === undefined || values.text('node.startup') === choice.startup)
    .map((record) => ({ ...record.ref, record }));
  const records = chooseTargets(candidates, wanted).map(({ record }) => record);
  const all = [...config.warnings, ...warnings];
  if (records.length > 0) return { records, config, warnings: all };
  const { target, portal, iface } = wanted;
  if (target !== undefined && portal !== undefined && wanted.startup === undefined) {
    const bound = iface === undefined ? null : await selectIface(paths, iface);
    const at = { address: portal.address, port: portal.port ?? DEFAULT_PORT };
    return { records: [temporaryNode(checkIscsiName(target), at, config, bound)], config, warnings: all };
  }
  throw new AppError('ERR_NOT_FOUND', 'No records found', {
    hint: target === undefined ? NO_RECORDS[choice.startup ?? 'any'] : 'find it first, or add -p PORTAL',
  });
}

/** For a login that looks at no record, also where there is one: the settings are iscsid.conf's. */
export async function planWithoutRecord(
  paths: Pick<Paths, 'configDir' | 'dbDir'>,
  { targetName, portal }: { readonly targetName: string; readonly portal: Portal },
): Promise<LoginPlan> {
  const config = await readConfig(paths);
  return { records: [temporaryNode(targetName, portal, config)], config, warnings: config.warnings };
}

const NO_RECORDS = {
  any: 'lunctl discovery sendtargets -p HOST makes them',
  automatic: 'no record has node.startup = automatic',
} as const;

export interface LoginWishes {
  readonly initiatorName: string;
  readonly credentials: CredentialPair | null;
  readonly attach: AttachMode;
  readonly readOnly: boolean;
  readonly foreground: boolean;
  readonly also: boolean;
  readonly shared: boolean;
  readonly connections: number;
  /** Bound of connecting and logging in, instead of the record's. */
  readonly timeoutMs: number | undefined;
}

/** No portal is given longer than this, whatever its record says. Milliseconds. */
const LOGIN_MOST_MS = 15_000;

/** What the login service is asked for one record. */
export function loginRequest(record: NodeRecord, config: ConfigFile, wishes: LoginWishes): LoginRequest {
  const { targetName, address, port, tpgt, iface } = record.ref;
  const timers = timersFrom(record);
  const source = sourceOf(record);
  const timeoutMs = wishes.timeoutMs ?? Math.min(timers.loginTimeoutMs, LOGIN_MOST_MS);
  return {
    targetName,
    portal: { address, port, tpgt },
    iface,
    ...(source === undefined ? {} : { source }),
    initiatorName: record.values.text('iface.initiatorname') || wishes.initiatorName,
    credentials: nodeCredentials(wishes.credentials, record.values, config.values),
    attach: wishes.attach,
    readOnly: wishes.readOnly,
    foreground: wishes.foreground,
    timeoutMs,
    negotiate: negotiateFrom(record),
    timers: { ...timers, loginTimeoutMs: timeoutMs },
    limits: limitsFrom(record),
    connections: wishes.connections,
    also: wishes.also,
    shared: wishes.shared,
  };
}

/** What deserves a word before the logins of a plan, whose credentials may be the records' own. */
export function credentialWarnings(plan: LoginPlan, given: CredentialPair | null): string[] {
  return credentialsOf(plan, given).flatMap(weakSecrets);
}

/** @throws AppError ERR_USAGE for a secret of less than 12 bytes */
export function requireStrongSecrets(plan: LoginPlan, given: CredentialPair | null): void {
  for (const credentials of credentialsOf(plan, given)) requireStrong(credentials);
}

function credentialsOf({ records, config }: LoginPlan, given: CredentialPair | null) {
  return records.map(({ values }) => nodeCredentials(given, values, config.values));
}

/** One session to be made for a record. */
export interface PlannedLogin {
  readonly record: NodeRecord;
  /** How many sessions the record asks for (node.session.nr_sessions), this one among them. */
  readonly sessions: number;
  readonly request: LoginRequest;
}

/**
 * The sessions that the records of a plan ask for, less those that are there already. Of a record all of whose sessions
 * are there one is named again, so that it is refused. Only the first session of a record gets devices: the others are
 * second paths.
 */
export async function planSessions(
  paths: Pick<Paths, 'runDir'>,
  { records, config }: LoginPlan,
  wishes: LoginWishes,
  signal: AbortSignal,
): Promise<PlannedLogin[]> {
  const anySeveral = records.some((record) => sessionCount(record) > 1);
  const present = anySeveral ? sessionsOf(await listSessions(paths, { signal })) : [];
  return records.flatMap((record) => {
    const { wanted: sessions, missing } = countSessions(record, present);
    const request = loginRequest(record, config, wishes);
    return (missing.length === 0 ? [0] : missing).map((index) => ({
      ...{ record, sessions },
      request: sessionRequest(request, index),
    }));
  });
}

/** The request for one of a record's sessions: only the first one gets devices. */
export function sessionRequest(request: LoginRequest, index: number): LoginRequest {
  return index === 0 ? request : { ...request, index, attach: 'none' };
}

/** What tells which record a session was made from, and which of the record's sessions it is. */
export interface RecordSession {
  readonly targetName: string;
  readonly iface: string;
  readonly portal: { readonly address: string; readonly port: number };
  readonly index: number;
}

export interface SessionCount {
  /** What the record asks for. */
  readonly wanted: number;
  readonly present: number;
  /** The indexes to make sessions for. */
  readonly missing: readonly number[];
  /** The index of a session beyond those that are asked for. */
  readonly further: number;
}

/** How many of a record's sessions there are. */
export function countSessions(record: NodeRecord, sessions: readonly RecordSession[]): SessionCount {
  const wanted = sessionCount(record);
  const taken = indexesOf(record, sessions);
  const free = Array.from({ length: wanted + taken.length + 1 }, (_, i) => i).filter((i) => !taken.includes(i));
  const missing = free.slice(0, Math.max(0, wanted - taken.length));
  return { wanted, present: taken.length, missing, further: free[0] ?? 0 };
}

function indexesOf({ ref }: NodeRecord, sessions: readonly RecordSession[]): number[] {
  return sessions
    .filter(
      ({ targetName, iface, portal }) =>
        targetName === ref.targetName &&
        iface === ref.iface &&
        portal.address === ref.address &&
        portal.port === ref.port,
    )
    .map(({ index }) => index);
}

function sessionsOf({ sessions, silent }: SessionList): RecordSession[] {
  return [...sessions, ...silent.map(({ state }) => state)];
}
