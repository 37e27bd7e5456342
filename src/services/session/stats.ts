// What a session has sent and received since its first login, as its worker counts it.
import type { Counters } from '../../initiator/counters.js';
import { callSession, type SessionCallOptions, type Where } from './control.js';

/** PDUs by kind, octets without padding and digests, and errors, under the names of `iscsiadm -s`; they only grow. */
export type SessionStats = Readonly<Record<keyof Counters, number>>;

/** Nothing of it touches the target: a worker that is well answers at once, on a machine under load a little later. */
const STATS_MS = 10_000;

/** The counters of one session, over all its connections. Throws ERR_SESSION_NOT_FOUND, ERR_TIMEOUT. */
export async function sessionStats(paths: Where, sid: number, options: SessionCallOptions = {}): Promise<SessionStats> {
  return (await callSession(paths, sid, 'stats', {}, STATS_MS, options)) as SessionStats;
}
