// READ of any size: blocks from the device straight to the initiator (SBC-3 §5.7 to §5.10).
import { BlockOp, type BlockRequest, BlockStatus } from '../block/block-device.js';
import { ScsiStatus } from '../scsi/status.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import { deviceSense } from './device-status.js';
import { LIMITS } from './limits.js';
import type { Resumable, ScsiTask } from './scsi-task.js';
import type { Unit } from './unit.js';

/** Finished transfers kept for the next commands. */
const MOST_KEPT = 256;
const kept: ReadTransfer[] = [];

/** Sends `length` bytes from `offset` and ends the task. Both are whole blocks inside the device; `length` may be 0. */
export function readBlocks(unit: Unit, task: ScsiTask, offset: number, length: number): void {
  const transfer = kept.pop() ?? new ReadTransfer();
  transfer.start(unit, task, offset, length);
}

/** One READ. It fetches a piece at a time, and the next one only when the network has room: memory stays bounded. */
class ReadTransfer implements BlockRequest, Resumable {
  readonly op = BlockOp.Read;
  offset = 0;
  length = 0;
  readonly flags = 0;
  readonly payload = null;
  readonly payloadOwner = null;
  #end = 0;
  #unit: Unit | null = null;
  #task: ScsiTask | null = null;

  start(unit: Unit, task: ScsiTask, offset: number, length: number): void {
    this.#unit = unit;
    this.#task = task;
    this.offset = offset;
    this.#end = offset + length;
    this.resume();
  }

  resume(): void {
    const task = this.#task;
    if (task === null || this.#unit === null) return;
    if (task.aborted) {
      this.#finish(ScsiStatus.TaskAborted, BlockStatus.Ok);
      return;
    }
    const left = this.#end - this.offset;
    if (left === 0) {
      this.#finish(ScsiStatus.Good, BlockStatus.Ok);
      return;
    }
    this.length = task.mayFetch(Math.min(LIMITS.chunk, left), this);
    if (this.length > 0) this.#unit.device.submit(this);
  }

  onData(piece: Buffer, _at: number, owner: RefBuffer | null): void {
    this.#task?.sendData(piece, owner);
  }

  onDone(status: BlockStatus): void {
    const find = this.#unit?.device.firstBadBlock;
    if (status === BlockStatus.Eio && find !== undefined) {
      const fail = (): void => this.#finish(ScsiStatus.CheckCondition, status);
      find.call(this.#unit?.device, { offset: this.offset, length: this.length }).then((at) => {
        this.offset = at;
        fail();
      }, fail);
      return;
    }
    if (status !== BlockStatus.Ok) {
      this.#finish(ScsiStatus.CheckCondition, status);
      return;
    }
    this.offset += this.length;
    this.resume();
  }

  #finish(status: number, failure: BlockStatus): void {
    const unit = this.#unit;
    const task = this.#task;
    this.#unit = null;
    this.#task = null;
    const lba = unit === null ? 0 : this.offset / unit.device.blockSize;
    if (kept.length < MOST_KEPT) kept.push(this);
    if (unit === null || task === null) return;
    unit.end(task, status, failure === BlockStatus.Ok ? null : deviceSense(failure, false, lba));
  }
}
