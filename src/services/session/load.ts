// How busy a session is: what its worker counts, and what two such counts say of the time between them.
import { timeOfShare } from '../../initiator/load.js';
import { commandName } from '../../scsi/opcodes.js';
import { callSession, type SessionCallOptions, type Where } from './control.js';
import type { SessionInfo } from './info.js';
import { getSession, listSessions } from './registry.js';
import { type SessionStats, sessionStats } from './stats.js';

/** Of an array that is mostly zeros: each index with its count. */
export type Counted = readonly (readonly [index: number, count: number])[];

/** All that is counted only grows, as long as no LUN is withdrawn. */
export interface SessionLoad extends Pick<SessionInfo, 'state' | 'recovery' | 'readBytes' | 'writtenBytes'> {
  /** On the worker's own clock. */
  readonly atMs: number;
  /** Answered commands by SCSI operation code. */
  readonly commands: Counted;
  /** Those of them whose status was not GOOD. */
  readonly failed: number;
  /** Answered commands by the bucket of their time: see initiator/load.ts. */
  readonly times: Counted;
  readonly inFlight: number;
  /** How many the target takes at once, as far as it says; 0 without a connection. */
  readonly mostInFlight: number;
  /** Commands that are not sent yet: the window is full, the unit is busy, or the session is being recovered. */
  readonly waiting: number;
}

/** A worker that is well answers at once: nothing of it touches the target. */
const LOAD_MS = 2000;

/** Throws ERR_SESSION_NOT_FOUND, ERR_TIMEOUT. */
async function sessionLoad(paths: Where, sid: number, options: SessionCallOptions = {}): Promise<SessionLoad> {
  return (await callSession(paths, sid, 'load', {}, LOAD_MS, options)) as SessionLoad;
}

/** What is not zero in `counts`. */
export function counted(counts: ArrayLike<number>): Counted {
  return Array.from(counts).flatMap((count, index) => (count === 0 ? [] : [[index, count] as const]));
}

/** What a session has done between two looks at it, by the second. */
export interface LoadRates {
  readonly seconds: number;
  readonly commandsPerSecond: number;
  readonly readBytesPerSecond: number;
  readonly writtenBytesPerSecond: number;
  /** Time from start to status that half, and 99 of 100, did not exceed, microseconds; null when nothing was answered. */
  readonly p50: number | null;
  readonly p99: number | null;
}

/** `before` null: since the session was made, which `seconds` tells. */
export function loadRates(before: SessionLoad | null, now: SessionLoad, seconds: number): LoadRates {
  const grown = difference(before?.times ?? [], now.times);
  const answered = grown.reduce((sum, count) => sum + count, 0);
  const rate = (value: number) => (seconds <= 0 ? 0 : Math.max(0, value) / seconds);
  return {
    seconds,
    commandsPerSecond: rate(answered),
    readBytesPerSecond: rate(now.readBytes - (before?.readBytes ?? 0)),
    writtenBytesPerSecond: rate(now.writtenBytes - (before?.writtenBytes ?? 0)),
    p50: timeOfShare(grown, 0.5),
    p99: timeOfShare(grown, 0.99),
  };
}

function difference(before: Counted, now: Counted): number[] {
  const grown: number[] = [];
  for (const [index, count] of now) grown[index] = count;
  for (const [index, count] of before) grown[index] = Math.max(0, (grown[index] ?? 0) - count);
  return Array.from(grown, (count) => count ?? 0);
}

/** `READ(16)` → how many, the most frequent first. */
export function commandCounts(load: SessionLoad): Readonly<Record<string, number>> {
  const sorted = [...load.commands].sort(([, a], [, b]) => b - a);
  return Object.fromEntries(sorted.map(([code, count]) => [commandName(code), count]));
}

/** What is known of a session at one moment. */
export interface SessionSample {
  readonly session: SessionInfo;
  readonly counters: SessionStats;
  readonly load: SessionLoad;
}

/** All sessions that answer, or the one of that number. @throws AppError ERR_SESSION_NOT_FOUND for that */
export async function sampleSessions(
  paths: Where,
  sid: number | undefined,
  options: SessionCallOptions,
): Promise<SessionSample[]> {
  const sessions =
    sid === undefined ? (await listSessions(paths, options)).sessions : [await getSession(paths, sid, options)];
  const asked = await Promise.allSettled(sessions.map((session) => sample(paths, session, options)));
  // One that has ended since the listing, or does not answer any more, is there the next time or never.
  return asked.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
}

async function sample(paths: Where, session: SessionInfo, options: SessionCallOptions): Promise<SessionSample> {
  const [counters, load] = await Promise.all([
    sessionStats(paths, session.sid, options),
    sessionLoad(paths, session.sid, options),
  ]);
  return { session, counters, load };
}

/** What each session has done since its last sample; a session of the same number with another worker is another one. */
export class LoadWatch {
  #last: ReadonlyMap<string, SessionLoad> = new Map();

  /** For each sample, what it has done since the call before; null where it was not there then. */
  rates(samples: readonly SessionSample[]): (LoadRates | null)[] {
    const rates = samples.map((sample) => {
      const before = this.#last.get(keyOf(sample));
      return before === undefined ? null : loadRates(before, sample.load, (sample.load.atMs - before.atMs) / 1000);
    });
    this.#last = new Map(samples.map((sample) => [keyOf(sample), sample.load]));
    return rates;
  }
}

function keyOf({ session: { sid, pid, loggedInAt } }: SessionSample): string {
  return `${sid} ${pid} ${loggedInAt}`;
}
