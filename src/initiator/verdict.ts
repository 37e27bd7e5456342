// What an ended command means for a block request: done, try again, or an errno. The commands of a BlockDevice are all
// idempotent, so each may be sent again.
import { BlockStatus } from '../block/block-device.js';
import { parseSense, type Sense } from '../scsi/sense.js';
import { classifySense, classifyStatus, type SenseKind } from '../scsi/sense-class.js';
import { ScsiStatus } from '../scsi/status.js';
import { type Task, TaskFailure } from './tasks.js';

export interface Verdict {
  /** What the request ends with unless the command is sent again; Ok for success. */
  readonly status: BlockStatus;
  readonly retry: 'now' | 'later' | 'no';
  /** With CHECK CONDITION. */
  readonly kind: SenseKind | null;
  readonly sense: Sense | null;
}

const GOOD: Verdict = { status: BlockStatus.Ok, retry: 'no', kind: null, sense: null };
const FAILED: Verdict = { status: BlockStatus.Eio, retry: 'no', kind: null, sense: null };

/** Judges a task within its onTaskDone. */
export function judge(task: Task): Verdict {
  if (task.failure !== TaskFailure.None) return FAILED;
  if (task.status === ScsiStatus.Good) return GOOD;
  if (task.status === ScsiStatus.ReservationConflict) return FAILED; // it does not pass by waiting
  if (task.status !== ScsiStatus.CheckCondition) {
    const { errno, retry } = classifyStatus(task.status);
    return { status: errno, retry, kind: null, sense: null };
  }
  const sense = parseSense(task.sense);
  const { errno, retry, kind } = classifySense(sense);
  return { status: errno, retry, kind, sense };
}

/** Tries after the first, at once or after a while. */
export const MOST_RETRIES = 8;
const BACKOFF_MS = [10, 30, 100, 300, 1000, 2000, 4000, 8000];

/** How long to wait before try number `retry` (from 0), in milliseconds: about 15 s in all. */
export function backoffMs(retry: number): number {
  return BACKOFF_MS[Math.min(retry, BACKOFF_MS.length - 1)] as number;
}
