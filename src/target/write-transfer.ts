// WRITE of any size: bytes from the initiator to the device, without a copy where they arrive in whole blocks (SBC-3 §5.36 ff.).
import { BlockOp, type BlockRequest, BlockStatus } from '../block/block-device.js';
import { ScsiStatus } from '../scsi/status.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import { deviceSense } from './device-status.js';
import { LIMITS } from './limits.js';
import type { DataOutReceiver, Resumable, ScsiTask } from './scsi-task.js';
import type { Unit } from './unit.js';

const MOST_KEPT = 256;
const keptTransfers: WriteTransfer[] = [];
const keptPieces: PieceWrite[] = [];

/**
 * Writes `length` bytes of the task's Data-Out at `offset` and ends the task; whole blocks inside the device, at least one.
 * `durable` puts them on stable storage before the status (FUA, or a write cache that is switched off).
 */
export function writeBlocks(unit: Unit, task: ScsiTask, offset: number, length: number, durable: boolean): void {
  const transfer = keptTransfers.pop() ?? new WriteTransfer();
  transfer.start(unit, task, offset, length, durable);
}

class WriteTransfer implements DataOutReceiver {
  #unit: Unit | null = null;
  #task: ScsiTask | null = null;
  #offset = 0;
  #total = 0;
  #durable = false;
  #inFlight = 0;
  #ended = false;
  #failure: BlockStatus = BlockStatus.Ok;
  #failedAt = 0;
  /** Bytes that did not arrive as whole blocks, and where in the transfer they begin. */
  #gathered: RefBuffer | null = null;
  #gatheredAt = 0;
  #gatheredLength = 0;
  #gatheredSize = 0;

  start(unit: Unit, task: ScsiTask, offset: number, length: number, durable: boolean): void {
    this.#unit = unit;
    this.#task = task;
    this.#offset = offset;
    this.#total = length;
    this.#durable = durable;
    this.#inFlight = 0;
    this.#ended = false;
    this.#failure = BlockStatus.Ok;
    task.receive(length, this);
  }

  onDataOut(piece: Buffer, at: number, owner: RefBuffer | null): void {
    const unit = this.#unit;
    if (unit === null) return;
    const blockSize = unit.device.blockSize;
    if (owner !== null && this.#gathered === null && piece.length % blockSize === 0) {
      this.#write(unit, piece, owner, at);
      return;
    }
    let done = 0;
    while (done < piece.length) done += this.#gather(unit, piece, done, at + done);
  }

  #gather(unit: Unit, piece: Buffer, from: number, at: number): number {
    if (this.#gathered === null) {
      this.#gatheredAt = at;
      this.#gatheredLength = 0;
      this.#gatheredSize = Math.min(LIMITS.chunk, this.#total - at);
      this.#gathered = unit.pool.take(this.#gatheredSize);
    }
    const length = Math.min(piece.length - from, this.#gatheredSize - this.#gatheredLength);
    piece.copy(this.#gathered.buffer, this.#gatheredLength, from, from + length);
    this.#gatheredLength += length;
    if (this.#gatheredLength === this.#gatheredSize) {
      const owner = this.#gathered;
      this.#gathered = null;
      this.#write(unit, owner.buffer.subarray(0, this.#gatheredSize), owner, this.#gatheredAt);
      owner.release();
    }
    return length;
  }

  #write(unit: Unit, payload: Buffer, owner: RefBuffer, at: number): void {
    // After a failure the rest is taken and dropped: the initiator was promised that it may send it.
    if (this.#failure !== BlockStatus.Ok) {
      this.#task?.release(payload.length);
      return;
    }
    this.#inFlight++;
    const write = keptPieces.pop() ?? new PieceWrite();
    write.start(this, unit, payload, owner, this.#offset + at);
  }

  /** One piece is on the device, or will never be. */
  pieceDone(status: BlockStatus, offset: number, length: number): void {
    this.#inFlight--;
    if (status !== BlockStatus.Ok && this.#failure === BlockStatus.Ok) {
      this.#failure = status;
      this.#failedAt = offset;
    }
    this.#task?.release(length);
    this.#maybeFinish();
  }

  onDataOutEnd(): void {
    this.#ended = true;
    this.#maybeFinish();
  }

  onAbort(): void {
    this.#ended = true;
    this.#gathered?.release();
    if (this.#gathered) this.#task?.release(this.#gatheredLength);
    this.#gathered = null;
    this.#maybeFinish();
  }

  /** Whether nothing more of the task should reach the device. */
  get aborted(): boolean {
    return this.#task?.aborted ?? true;
  }

  #maybeFinish(): void {
    if (!this.#ended || this.#inFlight > 0) return;
    const unit = this.#unit;
    const task = this.#task;
    if (unit === null || task === null) return;
    if (this.#durable && this.#failure === BlockStatus.Ok && !task.aborted) {
      this.#durable = false;
      unit.flush((status) => {
        if (status !== BlockStatus.Ok) this.#failure = status;
        this.#failedAt = this.#offset;
        this.#maybeFinish();
      });
      return;
    }
    this.#finish(unit, task);
  }

  #finish(unit: Unit, task: ScsiTask): void {
    const failure = this.#failure;
    const lba = this.#failedAt / unit.device.blockSize;
    this.#unit = null;
    this.#task = null;
    if (keptTransfers.length < MOST_KEPT) keptTransfers.push(this);
    if (task.aborted) unit.end(task, ScsiStatus.TaskAborted, null);
    else if (failure === BlockStatus.Ok) unit.end(task, ScsiStatus.Good, null);
    else unit.end(task, ScsiStatus.CheckCondition, deviceSense(failure, true, lba));
  }
}

/** One request to the device. It waits at the gate while an atomic command holds it. */
class PieceWrite implements BlockRequest, Resumable {
  readonly op = BlockOp.Write;
  offset = 0;
  length = 0;
  readonly flags = 0;
  payload: Buffer | null = null;
  payloadOwner: RefBuffer | null = null;
  #transfer: WriteTransfer | null = null;
  #unit: Unit | null = null;

  start(transfer: WriteTransfer, unit: Unit, payload: Buffer, owner: RefBuffer, offset: number): void {
    owner.retain();
    this.#transfer = transfer;
    this.#unit = unit;
    this.payload = payload;
    this.payloadOwner = owner;
    this.offset = offset;
    this.length = payload.length;
    this.resume();
  }

  resume(): void {
    const unit = this.#unit;
    if (unit === null) return;
    if (this.#transfer?.aborted) {
      this.#finish(BlockStatus.Eio);
      return;
    }
    if (unit.gate.enter(this)) unit.device.submit(this);
  }

  onData(): void {}

  onDone(status: BlockStatus): void {
    const unit = this.#unit;
    this.#finish(status);
    unit?.gate.leave();
  }

  #finish(status: BlockStatus): void {
    const transfer = this.#transfer;
    const { offset, length } = this;
    this.payloadOwner?.release();
    this.#transfer = null;
    this.#unit = null;
    this.payload = null;
    this.payloadOwner = null;
    if (keptPieces.length < MOST_KEPT) keptPieces.push(this);
    transfer?.pieceDone(status, offset, length);
  }
}
