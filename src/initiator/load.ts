// What a session does for its units: commands that were answered, by operation code, and how long they took. It is kept
// for each command of the hot path, so nothing here allocates; whoever looks takes two copies and compares.

/** The part of a task that is counted. */
interface Answered {
  readonly cdb: Buffer;
  /** SAM status. */
  readonly status: number;
  /** Milliseconds on the session's clock. */
  readonly startedAt: number;
}

/** Eight steps for each doubling: a time is told to about 12 %. The longest are of 36 minutes. */
const STEPS = 8;
/** Microseconds; what takes longer counts as this. */
const LONGEST = 2 ** 31 - 1;
const TIME_BUCKETS = 240;

/** Only ever grows. */
export class Load {
  /** Answered commands by their operation code, SPC-4 §4.2.5.1. */
  readonly commands = new Float64Array(256);
  /** Answered commands by their time from start to status, as `bucketOf` has it. */
  readonly times = new Float64Array(TIME_BUCKETS);
  /** Answered commands whose status was not GOOD. */
  failed = 0;

  /** `task` has its status. `now`: milliseconds on the session's clock. */
  answered(task: Answered, now: number): void {
    const code = task.cdb[0] as number;
    (this.commands[code] as number)++;
    const bucket = bucketOf((now - task.startedAt) * 1000);
    (this.times[bucket] as number)++;
    if (task.status !== 0) this.failed++;
  }
}

/** The bucket of a time in microseconds. */
export function bucketOf(microseconds: number): number {
  const us = Math.min(LONGEST, Math.max(0, microseconds)) | 0;
  if (us < STEPS) return us;
  const doublings = 31 - Math.clz32(us);
  return (doublings - 2) * STEPS + ((us >> (doublings - 3)) & (STEPS - 1));
}

/** Where a bucket begins, microseconds. */
export function bucketStart(bucket: number): number {
  if (bucket < STEPS) return bucket;
  return (STEPS + (bucket % STEPS)) * 2 ** (Math.floor(bucket / STEPS) - 1);
}

/** The time that the part `share` (0 to 1) of the counted commands did not exceed, microseconds; null where none was counted. */
export function timeOfShare(times: ArrayLike<number>, share: number): number | null {
  let total = 0;
  for (let i = 0; i < times.length; i++) total += times[i] ?? 0;
  if (total <= 0) return null;
  let left = Math.max(1, total * share);
  for (let i = 0; i < times.length; i++) {
    const count = times[i] ?? 0;
    if (count >= left) return bucketStart(i) + (bucketStart(i + 1) - bucketStart(i)) * (left / count);
    left -= count;
  }
  return bucketStart(times.length);
}
