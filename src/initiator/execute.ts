// Whole commands as promises, for probing and management; never for the data path.
import { commandName } from '../scsi/opcodes.js';
import { ScsiStatus } from '../scsi/status.js';
import { AppError } from '../util/errors.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import { type Task, TaskFailure, type TaskOwner } from './tasks.js';
import { backoffMs, MOST_RETRIES } from './verdict.js';

export interface ScsiCommand {
  /** Eight bytes that stay as they are until the end. */
  readonly lun: Buffer;
  /** Up to sixteen bytes. */
  readonly cdb: Buffer;
  readonly dataOut?: Buffer;
  /** The largest answer in bytes; default 0. Not together with `dataOut`. */
  readonly dataInLength?: number;
  /** Bound of one try. BUSY and TASK SET FULL are tried again, for about 15 s. */
  readonly timeoutMs: number;
}

export interface ScsiResult {
  /** SAM status. */
  readonly status: number;
  /** Sense data of CHECK CONDITION; null where there is none. */
  readonly sense: Buffer | null;
  /** What came, at most `dataInLength` bytes. */
  readonly data: Buffer;
  /** Positive: bytes asked for that do not exist (underflow). Negative: bytes that did not fit (overflow). */
  readonly residual: number;
}

/** What a command needs of its session; see there. */
export interface TaskSlots {
  readonly lastError: AppError | null;
  take(owner: TaskOwner): Task | null;
  setPayload(task: Task, payload: Buffer | null, owner: RefBuffer | null): void;
  start(task: Task): void;
  startLater(task: Task, delayMs: number): void;
  release(task: Task): void;
}

class Call {
  constructor(
    readonly command: ScsiCommand,
    readonly data: Buffer,
    readonly resolve: (result: ScsiResult) => void,
    readonly reject: (error: AppError) => void,
  ) {}
}

export class CommandRunner implements TaskOwner {
  readonly #session: TaskSlots;
  constructor(session: TaskSlots) {
    this.#session = session;
  }

  /** Rejects with AppError: the session is lost, the time is over, the target rejected the command. */
  run(command: ScsiCommand): Promise<ScsiResult> {
    const length = command.dataInLength ?? 0;
    if (length > 0 && command.dataOut !== undefined) throw new Error('a command goes one way');
    return new Promise((resolve, reject) => {
      const task = this.#session.take(this);
      if (task === null) return reject(new AppError('ERR_BUSY', 'too many commands in flight', { retriable: true }));
      task.context = new Call(command, Buffer.alloc(length), resolve, reject);
      task.lun = command.lun;
      task.cdb.fill(0);
      command.cdb.copy(task.cdb);
      task.timeoutMs = command.timeoutMs;
      task.reads = length > 0;
      task.length = length;
      // A copy: the caller's bytes need to stay as they are for this call only.
      if (command.dataOut?.length) this.#session.setPayload(task, Buffer.from(command.dataOut), null);
      this.#session.start(task);
    });
  }
  onTaskData(task: Task, piece: Buffer, at: number): void {
    piece.copy((task.context as Call).data, at);
  }
  onTaskDone(task: Task): void {
    const call = task.context as Call;
    const busy = task.status === ScsiStatus.Busy || task.status === ScsiStatus.TaskSetFull;
    if (task.failure === TaskFailure.None && busy && task.retries < MOST_RETRIES) {
      this.#session.startLater(task, backoffMs(task.retries++));
      return;
    }
    const { failure, status, residual } = task;
    const data = call.data.subarray(0, task.received);
    const sense = task.sense.length === 0 ? null : Buffer.from(task.sense);
    this.#session.release(task);
    if (failure === TaskFailure.None) call.resolve({ status, sense, data, residual });
    else call.reject(this.#error(failure, call.command));
  }
  #error(failure: TaskFailure, { cdb, timeoutMs }: ScsiCommand): AppError {
    const name = commandName(cdb[0] ?? 0, (cdb[1] ?? 0) & 0x1f);
    switch (failure) {
      case TaskFailure.TimedOut:
        return new AppError('ERR_TIMEOUT', `no answer to ${name} within ${timeoutMs / 1000} s`, { retriable: true });
      case TaskFailure.Rejected:
        return new AppError('ERR_PROTOCOL', `the target rejected ${name}`);
      case TaskFailure.TargetFailure:
        return new AppError('ERR_PROTOCOL', `the target failed to execute ${name}`);
      default: {
        const cause = this.#session.lastError;
        const reason = cause === null ? 'the session is not logged in' : cause.message;
        return new AppError('ERR_NOT_CONNECTED', `${name} was not executed: ${reason}`, { cause, retriable: true });
      }
    }
  }
}
