// Whether a unit is being sanitized, or has failed to be (SBC-3 §4.11): what other commands get to hear meanwhile.
import { Senses } from '../scsi/check-condition.js';
import { Sanitize, ScsiOp } from '../scsi/opcodes.js';
import type { Sense } from '../scsi/sense.js';
import { TaskAborted } from './gather.js';
import type { ScsiTask } from './scsi-task.js';

type State = 'idle' | 'running' | 'failed';
type Event = 'begin' | 'succeed' | 'fail' | 'exit';

export const TRANSITIONS: Record<State, Partial<Record<Event, State>>> = {
  idle: { begin: 'running', exit: 'idle' },
  running: { succeed: 'idle', fail: 'failed' },
  // A further SANITIZE is the other way out of a failure.
  failed: { begin: 'running', fail: 'failed', exit: 'idle' },
};

interface Waiter {
  readonly task: ScsiTask;
  resolve(): void;
  reject(error: unknown): void;
}

export class SanitizeState {
  #state: State = 'idle';
  #progress = 0;
  #mayExit = false;
  #waiters: Waiter[] = [];

  get state(): State {
    return this.#state;
  }
  /** Whether EXIT FAILURE MODE may end the failure: AUSE of the command that has failed. */
  get mayExit(): boolean {
    return this.#state !== 'failed' || this.#mayExit;
  }

  /** What a command is refused with now; null if it may run (SBC-3 table 37). */
  refuses(opcode: number, serviceAction: number): Sense | null {
    if (this.#state === 'idle') return null;
    const free =
      opcode === ScsiOp.Inquiry ||
      opcode === ScsiOp.ReportLuns ||
      opcode === ScsiOp.RequestSense ||
      opcode === ScsiOp.MaintenanceIn;
    if (free) return null;
    if (this.#state === 'running') return this.pollable;
    return opcode === ScsiOp.Sanitize && serviceAction <= Sanitize.ExitFailureMode ? null : Senses.SanitizeFailed;
  }
  /** What REQUEST SENSE says of it without anybody's being refused; null if there is nothing to say. */
  get pollable(): Sense | null {
    return this.#state === 'running' ? { ...Senses.SanitizeInProgress, progress: this.#progress } : null;
  }

  begin(mayExit: boolean): void {
    this.#go('begin');
    this.#mayExit = mayExit;
    this.#progress = 0;
  }
  /** `share` of the work is done, 0 … 1. Commands that were aborted meanwhile stop waiting: the operation does not stop. */
  advance(share: number): void {
    this.#progress = Math.min(0xffff, Math.floor(share * 0x1_0000));
    const aborted = this.#waiters.filter(({ task }) => task.aborted);
    if (aborted.length === 0) return;
    this.#waiters = this.#waiters.filter(({ task }) => !task.aborted);
    for (const { reject } of aborted) reject(new TaskAborted('aborted'));
  }
  /** The operation is over; `error` null if it has succeeded. */
  end(error: unknown): void {
    this.#go(error === null ? 'succeed' : 'fail');
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      if (error === null) resolve();
      else reject(error);
    }
  }
  exit(): void {
    this.#go('exit');
  }

  /** Settles with the operation, or earlier if the command is aborted. */
  wait(task: ScsiTask): Promise<void> {
    return new Promise((resolve, reject) => this.#waiters.push({ task, resolve, reject }));
  }

  #go(event: Event): void {
    const next = TRANSITIONS[this.#state][event];
    if (next === undefined) throw new Error(`${event} while sanitize is ${this.#state}`);
    this.#state = next;
  }
}
