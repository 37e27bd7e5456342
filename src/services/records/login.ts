// What a node record says about a login: offers, timers and the initiator name, with nonsense in it ignored.
import type { DigestName } from '../../iscsi/params.js';
import { NODE_KEYS } from '../../records/keys.js';
import type { NodeRecord } from '../../records/node-store.js';
import type { Paths } from '../paths.js';
import { DEFAULT_TIMERS, type LoginRequest, type SessionLimits, type SessionTimers } from '../session/info.js';
import { LONGEST_S, numberWithin, type RangedKey, rangedNumber, SEGMENT_LENGTH } from './ranges.js';
import { onPath, type PathOfSession, selectNodes } from './records.js';

type Negotiate = LoginRequest['negotiate'];
type Lookup = Pick<ReadonlyMap<string, string>, 'get'>;

const NODE_DEFAULTS = new Map(NODE_KEYS);

/** Offers that differ from the initiator's own. Keys that only open-iscsi has a use for are left out. */
export function negotiateFrom({ values }: NodeRecord): Negotiate {
  const text = (key: string) => values.text(key);
  const number = (key: RangedKey) => rangedNumber(key, text(key));
  const session = 'node.session.iscsi.';
  const conn = 'node.conn[0].iscsi.';
  const outstanding = number(`${session}MaxOutstandingR2T`);
  return {
    ...optional('initialR2T', yesNo(text(`${session}InitialR2T`))),
    ...optional('immediateData', yesNo(text(`${session}ImmediateData`))),
    ...optional('firstBurstLength', number(`${session}FirstBurstLength`)),
    ...optional('maxBurstLength', number(`${session}MaxBurstLength`)),
    ...optional('maxRecvDataSegmentLength', number(`${conn}MaxRecvDataSegmentLength`)),
    // 1 stands in every record that iscsiadm writes and is nobody's choice: more lets a write keep the line busy.
    ...(outstanding === undefined || outstanding === 1 ? {} : { maxOutstandingR2T: outstanding }),
    // 0 leaves it to the target: no mistake, and so in no table of ranges.
    ...optional('maxXmitDataSegmentLength', numberWithin(text(`${conn}MaxXmitDataSegmentLength`), ...SEGMENT_LENGTH)),
    ...optional('defaultTime2Retain', number(`${session}DefaultTime2Retain`)),
    ...optional('headerDigest', digests(text(`${conn}HeaderDigest`))),
    ...optional('dataDigest', digests(text(`${conn}DataDigest`))),
  };
}

/** How many sessions a record asks for. */
export function sessionCount({ values }: NodeRecord): number {
  return rangedNumber('node.session.nr_sessions', values.text('node.session.nr_sessions')) ?? 1;
}

/** Timers in milliseconds; `loginTimeoutMs` may be overridden by the caller. */
export function timersFrom({ values }: NodeRecord): SessionTimers {
  const inMs = (seconds: number | undefined, fallback: number) => (seconds === undefined ? fallback : seconds * 1000);
  const ms = (key: RangedKey, fallback: number) => inMs(rangedNumber(key, values.text(key)), fallback);
  const replacement = 'node.session.timeo.replacement_timeout';
  const conn = 'node.conn[0].timeo.';
  const error = 'node.session.err_timeo.';
  return {
    noopIntervalMs: ms(`${conn}noop_out_interval`, DEFAULT_TIMERS.noopIntervalMs),
    noopTimeoutMs: ms(`${conn}noop_out_timeout`, DEFAULT_TIMERS.noopTimeoutMs),
    // Below 0 I/O waits for ever.
    replacementTimeoutMs: values.text(replacement).startsWith('-')
      ? Number.MAX_SAFE_INTEGER
      : inMs(numberWithin(values.text(replacement), 0, LONGEST_S), DEFAULT_TIMERS.replacementTimeoutMs),
    loginTimeoutMs: ms(`${conn}login_timeout`, DEFAULT_TIMERS.loginTimeoutMs),
    logoutTimeoutMs: ms(`${conn}logout_timeout`, DEFAULT_TIMERS.logoutTimeoutMs),
    abortTimeoutMs: ms(`${error}abort_timeout`, DEFAULT_TIMERS.abortTimeoutMs),
    luResetTimeoutMs: ms(`${error}lu_reset_timeout`, DEFAULT_TIMERS.luResetTimeoutMs),
    tgtResetTimeoutMs: ms(`${error}tgt_reset_timeout`, DEFAULT_TIMERS.tgtResetTimeoutMs),
  };
}

/** Commands in flight at most; what is absent is left to the target. */
export function limitsFrom({ values }: NodeRecord): SessionLimits {
  const most = (key: RangedKey) => {
    const value = rangedNumber(key, values.text(key));
    // The default stands in every record and is nobody's choice: the target's window and TASK SET FULL say more.
    return value === undefined || String(value) === NODE_DEFAULTS.get(key) ? undefined : value;
  };
  const [commands, queueDepth] = [most('node.session.cmds_max'), most('node.session.queue_depth')];
  return {
    ...(commands === undefined ? {} : { commands }),
    ...(queueDepth === undefined ? {} : { queueDepth }),
  };
}

/** What a discovery record, or iscsid.conf where there is none yet, says about the discovery session. */
export function discoverySettings(
  record: Lookup | undefined,
  config: Lookup,
): { readonly negotiate: Negotiate; readonly timeoutMs?: number } {
  const number = (key: RangedKey) => rangedNumber(key, (record ?? config).get(key) ?? '');
  const seconds = number('discovery.sendtargets.timeo.login_timeout');
  const length = number('discovery.sendtargets.iscsi.MaxRecvDataSegmentLength');
  return {
    negotiate: optional('maxRecvDataSegmentLength', length),
    ...(seconds === undefined ? {} : { timeoutMs: seconds * 1000 }),
  };
}

/** How long and how often a SendTargets portal is asked. Milliseconds. */
export interface DiscoveryPatience {
  readonly connectMs: number;
  /** For each answer of the portal. */
  readonly answerMs: number;
  /** How often it is asked again after a failure that may pass. */
  readonly reopens: number;
}

/** The same of a discovery record, or of iscsid.conf where there is none. */
export function discoveryPatience(record: Lookup | undefined, config: Lookup): DiscoveryPatience {
  const number = (key: string, fallback: number, least: number) =>
    numberWithin((record ?? config).get(`discovery.sendtargets.${key}`) ?? '', least, LONGEST_S) ?? fallback;
  return {
    connectMs: number('timeo.login_timeout', 15, 1) * 1000,
    answerMs: number('timeo.active_timeout', 30, 1) * 1000,
    reopens: number('reopen_max', 5, 0),
  };
}

/** What `session show -P 2` says about waiting, in seconds. */
export interface SessionTimeouts {
  readonly recovery: number;
  readonly targetReset: number;
  readonly lunReset: number;
  readonly abort: number;
}

/** The timeouts of each session's record, or the defaults where it has none any more. */
export async function sessionTimeouts(
  paths: Pick<Paths, 'configDir' | 'dbDir'>,
  sessions: readonly PathOfSession[],
): Promise<SessionTimeouts[]> {
  const { items } = await selectNodes(paths);
  return sessions.map((session) => {
    const [record] = onPath(items, session);
    const seconds = (key: string, fallback: number) =>
      numberWithin(record?.values.text(`node.session.${key}`) ?? '', 0, LONGEST_S) ?? fallback;
    return {
      recovery: seconds('timeo.replacement_timeout', DEFAULT_TIMERS.replacementTimeoutMs / 1000),
      targetReset: seconds('err_timeo.tgt_reset_timeout', 30),
      lunReset: seconds('err_timeo.lu_reset_timeout', 30),
      abort: seconds('err_timeo.abort_timeout', 15),
    };
  });
}

function optional<K extends keyof Negotiate>(key: K, value: Negotiate[K] | undefined): Pick<Negotiate, K> | object {
  return value === undefined ? {} : { [key]: value };
}

function yesNo(text: string): boolean | undefined {
  if (text === 'Yes') return true;
  return text === 'No' ? false : undefined;
}

/** A list in order of preference, as `CRC32C,None`; undefined when no word of it is known. */
function digests(text: string): DigestName[] | undefined {
  const names = text.split(',').map((name) => name.trim());
  const known = names.filter((name): name is DigestName => name === 'CRC32C' || name === 'None');
  return known.length === 0 ? undefined : [...new Set(known)];
}
