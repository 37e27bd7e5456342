// Whole commands as promises, for probing and management; never for the data path.
import { commandName } from '../scsi/opcodes.js';
import { parseSense, type Sense, SenseKey } from '../scsi/sense.js';
import { ScsiStatus } from '../scsi/status.js';
import { AppError } from '../util/errors.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import type { Gate } from './gate.js';
import type { InitiatorEnvironment } from './options.js';
import { Trouble } from './retry.js';
import { type Task, TaskFailure, type TaskOwner } from './tasks.js';

/** How long a unit that says BUSY or TASK SET FULL is waited for, milliseconds. */
const PATIENCE_MS = 15_000;

export interface ScsiCommand {
  /** Eight bytes that stay as they are until the end. */
  readonly lun: Buffer;
  /** Up to sixteen bytes. */
  readonly cdb: Buffer;
  readonly dataOut?: Buffer;
  /** The largest answer in bytes; default 0. Not together with `dataOut`. */
  readonly dataInLength?: number;
  /** Bound of one try. BUSY and TASK SET FULL are tried again, for 15 s. */
  readonly timeoutMs: number;
  /** The unit's: the command is only sent while it is open, and ends otherwise. Without one it is sent in any case. */
  readonly gate?: Gate;
  /** Together with `gate`: it waits while that is closed, and is sent again after a lost connection. For what only asks. */
  readonly waits?: boolean;
  /** How long to wait before it is sent; default 0. */
  readonly delayMs?: number;
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
  readonly environment: InitiatorEnvironment;
  take(owner: TaskOwner): Task | null;
  setPayload(task: Task, payload: Buffer | null, owner: RefBuffer | null): void;
  start(task: Task): void;
  startLater(task: Task, delayMs: number): void;
  release(task: Task): void;
  noteUnitAttention(lun: Buffer, sense: Sense): void;
}

class Call {
  readonly trouble = new Trouble();
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
      task.gate = command.gate ?? null;
      task.waits = command.waits === true;
      task.cdb.fill(0);
      command.cdb.copy(task.cdb);
      task.timeoutMs = command.timeoutMs;
      task.reads = length > 0;
      task.length = length;
      // A copy: the caller's bytes need to stay as they are for this call only.
      if (command.dataOut?.length) this.#session.setPayload(task, Buffer.from(command.dataOut), null);
      if (command.delayMs) this.#session.startLater(task, command.delayMs);
      else this.#session.start(task);
    });
  }
  onTaskData(task: Task, piece: Buffer, at: number): void {
    piece.copy((task.context as Call).data, at);
  }
  /** What has come is overwritten. */
  onTaskReplay(task: Task): void {
    task.delivered = 0;
  }
  onTaskDone(task: Task): void {
    const call = task.context as Call;
    const busy = task.status === ScsiStatus.Busy || task.status === ScsiStatus.TaskSetFull;
    if (task.failure === TaskFailure.None && busy) {
      const delayMs = call.trouble.nextTry('later', this.#session.environment.now(), PATIENCE_MS, task.itt);
      if (delayMs !== null) {
        // What has come with the refusal means nothing, and is overwritten.
        task.delivered = 0;
        this.#session.startLater(task, delayMs);
        return;
      }
    }
    const { failure, status, residual, lun } = task;
    const data = call.data.subarray(0, task.received);
    const sense = task.sense.length === 0 ? null : Buffer.from(task.sense);
    this.#session.release(task);
    if (failure === TaskFailure.None) {
      this.#noteAttention(lun, status, sense);
      call.resolve({ status, sense, data, residual });
    } else {
      call.reject(this.#error(failure, call.command));
    }
  }
  /** A unit attention is told once: to whoever sends the next command. It concerns the unit's owner all the same. */
  #noteAttention(lun: Buffer, status: number, sense: Buffer | null): void {
    if (status !== ScsiStatus.CheckCondition || sense === null) return;
    const parsed = parseSense(sense);
    if (parsed?.key === SenseKey.UnitAttention) this.#session.noteUnitAttention(lun, parsed);
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
      case TaskFailure.Cleared:
        return new AppError('ERR_PROTOCOL', `the target threw ${name} away: its unit was reset`, { retriable: true });
      default: {
        const cause = this.#session.lastError;
        const reason = cause === null ? 'the session is not logged in' : cause.message;
        return new AppError('ERR_NOT_CONNECTED', `${name} was not executed: ${reason}`, { cause, retriable: true });
      }
    }
  }
}
