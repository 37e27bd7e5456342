// One operation on a file on its way through the thread pool, or done at once where the file is in memory.
import { read, readSync, write, writeSync } from 'node:fs';
import type { BufferPool, RefBuffer } from '../util/ref-buffer.js';
import { BlockFlag, BlockOp, type BlockRequest, BlockStatus } from './block-device.js';
import { statusOfError } from './errno-status.js';

/** Transfers go in steps of this size, so that a large READ streams and needs no buffer of its own size. */
const STEP = 2 ** 20;
const ZEROES = Buffer.alloc(STEP);

/** The device that a task works for. */
export interface TaskHost {
  readonly fd: number;
  readonly pool: BufferPool;
  /** Whether transfers of up to STEP bytes are done within `submit`: only where no disk can make everybody wait. */
  readonly inMemory: boolean;
  /** A write is done: it ends once it is as stable as the request's flags and the device demand. */
  written(task: FileTask, flags: number): void;
  /** Ends the task once everything written before this call is stable. */
  sync(task: FileTask): void;
  /** Makes a hole; Enotsup where that is not possible or not worth it, maybe at once. */
  punch(offset: number, length: number, done: (status: BlockStatus) => void): void;
  /** Takes the task back and ends its request. */
  finish(task: FileTask, status: BlockStatus): void;
}

/** One request on its way. Pooled; its callbacks are made once. */
export class FileTask {
  readonly #device: TaskHost;
  #request: BlockRequest | null = null;
  /** Bytes of the request that are done. */
  #done = 0;
  /** READ: the step's memory, and its bytes that are there. */
  #piece: RefBuffer | null = null;
  #filled = 0;
  /** WRITE_ZEROES that is done by writing them. */
  #zeroes = false;

  constructor(device: TaskHost) {
    this.#device = device;
  }
  start(request: BlockRequest): void {
    this.#request = request;
    this.#done = 0;
    this.#zeroes = false;
    const now = this.#device.inMemory && request.length <= STEP;
    switch (request.op) {
      case BlockOp.Read:
        if (now) this.#readNow(request);
        else this.#readStep(request);
        break;
      case BlockOp.Write:
        if (now) this.#writeNow(request);
        else this.#writeStep(request);
        break;
      case BlockOp.Flush:
        this.#device.sync(this);
        break;
      case BlockOp.Trim:
        this.#device.punch(request.offset, request.length, this.#onTrimmed);
        break;
      case BlockOp.WriteZeroes:
        this.#startZeroes(request);
        break;
    }
  }
  leave(): BlockRequest {
    const request = this.#current();
    this.#request = null;
    this.#piece?.release();
    this.#piece = null;
    return request;
  }
  #current(): BlockRequest {
    if (!this.#request) throw new Error('a file operation ended twice');
    return this.#request;
  }
  #fail(error: unknown): void {
    this.#device.finish(this, statusOfError(error));
  }

  #readNow(request: BlockRequest): void {
    const piece = this.#device.pool.take(request.length);
    this.#piece = piece;
    try {
      for (let filled = 0; filled < request.length; ) {
        const length = request.length - filled;
        const count = readSync(this.#device.fd, piece.buffer, filled, length, request.offset + filled);
        if (count === 0) throw new Error('the file ends before the disk');
        filled += count;
      }
    } catch (error) {
      this.#fail(error);
      return;
    }
    request.onData(piece.buffer.subarray(0, request.length), 0, piece);
    this.#device.finish(this, BlockStatus.Ok);
  }
  #readStep(request: BlockRequest): void {
    this.#piece = this.#device.pool.take(this.#stepLength(request));
    this.#filled = 0;
    this.#readMore(request, this.#piece);
  }
  #readMore(request: BlockRequest, piece: RefBuffer): void {
    const length = this.#stepLength(request) - this.#filled;
    read(this.#device.fd, piece.buffer, this.#filled, length, request.offset + this.#done + this.#filled, this.#onRead);
  }
  readonly #onRead = (error: Error | null, count: number): void => {
    const request = this.#current();
    const piece = this.#piece;
    if (error || count === 0 || !piece) {
      this.#fail(error);
      return;
    }
    this.#filled += count;
    const length = this.#stepLength(request);
    if (this.#filled < length) {
      this.#readMore(request, piece);
      return;
    }
    request.onData(piece.buffer.subarray(0, length), this.#done, piece);
    piece.release();
    this.#piece = null;
    this.#done += length;
    if (this.#done < request.length) this.#readStep(request);
    else this.#device.finish(this, BlockStatus.Ok);
  };

  #writeNow(request: BlockRequest): void {
    const bytes = request.payload ?? ZEROES;
    try {
      for (let done = 0; done < request.length; ) {
        const count = writeSync(this.#device.fd, bytes, done, request.length - done, request.offset + done);
        if (count === 0) throw new Error('the file takes no bytes');
        done += count;
      }
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#device.written(this, request.flags);
  }
  #writeStep(request: BlockRequest): void {
    const bytes = this.#zeroes ? ZEROES : (request.payload ?? ZEROES);
    const from = this.#zeroes ? 0 : this.#done;
    const { fd } = this.#device;
    write(fd, bytes, from, this.#stepLength(request), request.offset + this.#done, this.#onWritten);
  }
  readonly #onWritten = (error: Error | null, count: number): void => {
    if (error || count === 0) {
      this.#fail(error);
      return;
    }
    const request = this.#current();
    this.#done += count;
    if (this.#done < request.length) this.#writeStep(request);
    else this.#device.written(this, request.flags);
  };

  /** A hint: where no hole can be made the data simply stays. */
  readonly #onTrimmed = (status: BlockStatus): void => {
    if (status === BlockStatus.Ok) this.#device.written(this, this.#current().flags);
    else this.#device.finish(this, status === BlockStatus.Enotsup ? BlockStatus.Ok : status);
  };
  #startZeroes({ offset, length, flags }: BlockRequest): void {
    if ((flags & BlockFlag.NoHole) !== 0) this.#onPunched(BlockStatus.Enotsup);
    else this.#device.punch(offset, length, this.#onPunched);
  }
  readonly #onPunched = (status: BlockStatus): void => {
    const request = this.#current();
    if (status === BlockStatus.Ok) {
      this.#device.written(this, request.flags);
    } else if (status === BlockStatus.Enotsup && (request.flags & BlockFlag.FastZero) === 0) {
      this.#zeroes = true;
      this.#writeStep(request);
    } else {
      this.#device.finish(this, status);
    }
  };
  #stepLength(request: BlockRequest): number {
    return Math.min(STEP, request.length - this.#done);
  }
}
