// What a node record says about a login: offers, timers and the initiator name, with nonsense in it ignored.
import type { DigestName } from '../../iscsi/params.js';
import { NODE_KEYS } from '../../records/keys.js';
import type { NodeRecord } from '../../records/node-store.js';
import type { Paths } from '../paths.js';
import {
  DEFAULT_TIMERS,
  type LoginRequest,
  type SessionInfo,
  type SessionLimits,
  type SessionTimers,
} from '../session/info.js';
import { selectNodes } from './records.js';

type Negotiate = LoginRequest['negotiate'];
type Lookup = Pick<ReadonlyMap<string, string>, 'get'>;

const NODE_DEFAULTS = new Map(NODE_KEYS);

/** Offers that differ from the initiator's own. Keys that only open-iscsi has a use for are left out. */
export function negotiateFrom({ values }: NodeRecord): Negotiate {
  const text = (key: string) => values.text(key);
  const session = 'node.session.iscsi.';
  const conn = 'node.conn[0].iscsi.';
  const outstanding = integer(text(`${session}MaxOutstandingR2T`), 1, 65_535);
  return {
    ...optional('initialR2T', yesNo(text(`${session}InitialR2T`))),
    ...optional('immediateData', yesNo(text(`${session}ImmediateData`))),
    ...optional('firstBurstLength', integer(text(`${session}FirstBurstLength`), 512, 2 ** 24 - 1)),
    ...optional('maxBurstLength', integer(text(`${session}MaxBurstLength`), 512, 2 ** 24 - 1)),
    ...optional('maxRecvDataSegmentLength', integer(text(`${conn}MaxRecvDataSegmentLength`), 512, 2 ** 24 - 1)),
    // 1 stands in every record that iscsiadm writes and is nobody's choice: more lets a write keep the line busy.
    ...(outstanding === undefined || outstanding === 1 ? {} : { maxOutstandingR2T: outstanding }),
    ...optional('maxXmitDataSegmentLength', integer(text(`${conn}MaxXmitDataSegmentLength`), 512, 2 ** 24 - 1)),
    ...optional('defaultTime2Retain', integer(text(`${session}DefaultTime2Retain`), 0, 3600)),
    ...optional('headerDigest', digests(text(`${conn}HeaderDigest`))),
    ...optional('dataDigest', digests(text(`${conn}DataDigest`))),
  };
}

/** More sessions of one record than this are somebody's mistake. */
const MOST_SESSIONS = 32;

/** How many sessions a record asks for. */
export function sessionCount({ values }: NodeRecord): number {
  return integer(values.text('node.session.nr_sessions'), 1, MOST_SESSIONS) ?? 1;
}

/** Timers in milliseconds; `loginTimeoutMs` may be overridden by the caller. */
export function timersFrom({ values }: NodeRecord): SessionTimers {
  const ms = (key: string, fallback: number, least = 0) => {
    const seconds = integer(values.text(key), least, 86_400);
    return seconds === undefined ? fallback : seconds * 1000;
  };
  const replacement = 'node.session.timeo.replacement_timeout';
  const conn = 'node.conn[0].timeo.';
  const error = 'node.session.err_timeo.';
  return {
    noopIntervalMs: ms(`${conn}noop_out_interval`, DEFAULT_TIMERS.noopIntervalMs),
    noopTimeoutMs: ms(`${conn}noop_out_timeout`, DEFAULT_TIMERS.noopTimeoutMs),
    // Below 0 I/O waits for ever.
    replacementTimeoutMs: values.text(replacement).startsWith('-')
      ? Number.MAX_SAFE_INTEGER
      : ms(replacement, DEFAULT_TIMERS.replacementTimeoutMs),
    loginTimeoutMs: ms(`${conn}login_timeout`, DEFAULT_TIMERS.loginTimeoutMs, 1),
    logoutTimeoutMs: ms(`${conn}logout_timeout`, DEFAULT_TIMERS.logoutTimeoutMs, 1),
    abortTimeoutMs: ms(`${error}abort_timeout`, DEFAULT_TIMERS.abortTimeoutMs, 1),
    luResetTimeoutMs: ms(`${error}lu_reset_timeout`, DEFAULT_TIMERS.luResetTimeoutMs, 1),
    tgtResetTimeoutMs: ms(`${error}tgt_reset_timeout`, DEFAULT_TIMERS.tgtResetTimeoutMs, 1),
  };
}

/** Commands in flight at most; what is absent is left to the target. */
export function limitsFrom({ values }: NodeRecord): SessionLimits {
  const most = (key: string) => {
    const value = integer(values.text(key), 1, 65_535);
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
  const text = (key: string) => (record ?? config).get(`discovery.sendtargets.${key}`) ?? '';
  const seconds = integer(text('timeo.login_timeout'), 1, 86_400);
  return {
    negotiate: optional('maxRecvDataSegmentLength', integer(text('iscsi.MaxRecvDataSegmentLength'), 512, 2 ** 24 - 1)),
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
    integer((record ?? config).get(`discovery.sendtargets.${key}`) ?? '', least, 86_400) ?? fallback;
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
  sessions: readonly Pick<SessionInfo, 'targetName' | 'portal' | 'iface'>[],
): Promise<SessionTimeouts[]> {
  const { items } = await selectNodes(paths);
  return sessions.map(({ targetName, portal, iface }) => {
    const record = items.find(
      ({ ref }) =>
        ref.targetName === targetName &&
        ref.address === portal.address &&
        ref.port === portal.port &&
        ref.iface === iface,
    );
    const seconds = (key: string, fallback: number) =>
      integer(record?.values.text(`node.session.${key}`) ?? '', 0, 86_400) ?? fallback;
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

function integer(text: string, least: number, most: number): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value < least || value > most ? undefined : value;
}
