// What an ended command means for a block request: done, try again, or an errno. The commands of a BlockDevice are all
// idempotent, so each may be sent again.
import { BlockStatus } from '../block/block-device.js';
import { parseSense, type Sense } from '../scsi/sense.js';
import { classifySense, classifyStatus, type SenseKind } from '../scsi/sense-class.js';
import { ScsiStatus } from '../scsi/status.js';
import type { Retry } from './retry.js';
import { type Task, TaskFailure } from './tasks.js';

export interface Verdict {
  /** What the request ends with unless the command is sent again; Ok for success. */
  readonly status: BlockStatus;
  readonly retry: Retry;
  /** With CHECK CONDITION. */
  readonly kind: SenseKind | null;
  readonly sense: Sense | null;
}

const PLAIN = { kind: null, sense: null } as const;
const GOOD: Verdict = { ...PLAIN, status: BlockStatus.Ok, retry: 'no' };
const FAILED: Verdict = { ...PLAIN, status: BlockStatus.Eio, retry: 'no' };
const TIMED_OUT: Verdict = { ...PLAIN, status: BlockStatus.Eio, retry: 'timed-out' };
const REJECTED: Verdict = { ...PLAIN, status: BlockStatus.Eio, retry: 'refused' };
const CLEARED: Verdict = { ...PLAIN, status: BlockStatus.Eio, retry: 'now' };

/** Judges a task within its onTaskDone. */
export function judge(task: Task): Verdict {
  if (task.failure !== TaskFailure.None) return judgeFailure(task);
  if (task.status === ScsiStatus.Good) return GOOD;
  if (task.status !== ScsiStatus.CheckCondition) {
    const { errno, retry } = classifyStatus(task.status);
    return { ...PLAIN, status: errno, retry };
  }
  const sense = parseSense(task.sense);
  const { errno, retry, kind } = classifySense(sense);
  return { status: errno, retry: kind === 'unit-attention' ? 'attention' : retry, kind, sense };
}

function judgeFailure({ failure, drops }: Task): Verdict {
  switch (failure) {
    case TaskFailure.TimedOut:
      // One that has cost connections has had more than its tries.
      return drops > 0 ? FAILED : TIMED_OUT;
    case TaskFailure.Rejected:
      return REJECTED;
    case TaskFailure.Cleared:
      return CLEARED;
    default:
      return FAILED;
  }
}
