// How busy a session is: what its worker counts, and what two such counts say of the time between them.
import { timeOfShare } from '../../initiator/load.js';
import { commandName } from '../../scsi/opcodes.js';
import { AppError, messageOf } from '../../util/errors.js';
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

export interface SessionSamples {
  readonly samples: readonly SessionSample[];
  /** One line for each session that is there and has not answered. */
  readonly warnings: readonly string[];
}

/** All sessions, or the one of that number. @throws AppError ERR_SESSION_NOT_FOUND, ERR_TIMEOUT for that one */
export async function sampleSessions(
  paths: Where,
  sid: number | undefined,
  options: SessionCallOptions,
): Promise<SessionSamples> {
  if (sid !== undefined) {
    return { samples: [await sample(paths, await getSession(paths, sid, options), options)], warnings: [] };
  }
  const { sessions, silent } = await listSessions(paths, options);
  const asked = await Promise.allSettled(sessions.map((session) => sample(paths, session, options)));
  options.signal?.throwIfAborted();
  const warnings = silent.map(({ sid: number, reason }) => silence(number, reason));
  const samples: SessionSample[] = [];
  for (const [i, outcome] of asked.entries()) {
    if (outcome.status === 'fulfilled') samples.push(outcome.value);
    else if (!hasEnded(outcome.reason)) warnings.push(silence(sessions[i]?.sid ?? 0, messageOf(outcome.reason)));
  }
  return { samples, warnings };
}

function silence(sid: number, reason: string): string {
  return `session ${sid} does not answer: ${reason}`;
}

/** Since it was listed: then it is not missed. */
function hasEnded(error: unknown): boolean {
  return error instanceof AppError && error.code === 'ERR_SESSION_NOT_FOUND';
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
