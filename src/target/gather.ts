// The whole Data-Out of a command in one buffer, for commands that need it at once: parameter lists, comparisons.
import type { DataOutReceiver, ScsiTask } from './scsi-task.js';

/** The command was aborted while it waited. */
export class TaskAborted extends Error {}

/**
 * `length` bytes of Data-Out, or fewer if the initiator has fewer. Callers bound `length`.
 * Rejects with TaskAborted. Also sets the residual count.
 */
export function gather(task: ScsiTask, length: number): Promise<Buffer> {
  task.expectData(length);
  if (Math.min(length, task.dataOutLength) === 0) return Promise.resolve(Buffer.alloc(0));
  return new Promise((resolve, reject) => {
    const bytes = Buffer.alloc(Math.min(length, task.dataOutLength));
    const receiver: DataOutReceiver = {
      onDataOut: (piece, at) => {
        piece.copy(bytes, at);
      },
      onDataOutEnd: () => resolve(bytes),
      onAbort: () => reject(new TaskAborted('aborted')),
    };
    task.receive(length, receiver);
  });
}

/** Throws TaskAborted for a task that was aborted while something else was awaited. */
export function checkAborted(task: ScsiTask): void {
  if (task.aborted) throw new TaskAborted('aborted');
}
