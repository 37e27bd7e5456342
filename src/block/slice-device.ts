// A window of another device: a partition as a disk of its own.
import { AppError } from '../util/errors.js';
import {
  type BlockDevice,
  BlockOp,
  type BlockRequest,
  BlockStatus,
  type ByteRange,
  type Extent,
} from './block-device.js';
import { checkRequest } from './check-request.js';
import { ForwardRequest } from './forward-request.js';
import { ForwardingDevice } from './forwarding-device.js';

/** `start` and `length` are bytes and multiples of the block size of the device behind. */
export interface SliceOptions {
  readonly start: number;
  readonly length: number;
  readonly readOnly?: boolean;
}

/** Serves `length` bytes from `start` of another device. Closing it leaves that device open: it belongs to others too. */
export class SliceDevice extends ForwardingDevice {
  /** Where the window begins on the device behind, in bytes. */
  readonly start: number;
  readonly #length: number;
  readonly #readOnly: boolean;
  readonly #free: SliceRequest[] = [];
  #inFlight = 0;
  #closed: (() => void) | null = null;
  #closing: Promise<void> | null = null;

  /** Throws AppError ERR_USAGE if the window is unaligned or not inside the device. */
  constructor(device: BlockDevice, { start, length, readOnly = false }: SliceOptions) {
    super(device);
    const aligned = start % device.blockSize === 0 && length % device.blockSize === 0;
    if (!aligned || start < 0 || length < 0 || !(start + length <= device.sizeBytes)) {
      throw new AppError(
        'ERR_USAGE',
        `${length} bytes at ${start} are no part of a disk of ${device.sizeBytes} bytes with blocks of ${device.blockSize}`,
      );
    }
    this.start = start;
    this.#readOnly = readOnly;
    this.#length = length;
  }
  /** The device behind. */
  get whole(): BlockDevice {
    return this.device;
  }
  override get sizeBytes(): number {
    return this.#length;
  }
  override get readOnly(): boolean {
    return this.#readOnly || this.device.readOnly;
  }

  submit(request: BlockRequest): void {
    const status = this.#closing ? BlockStatus.Eshutdown : checkRequest(this, request);
    if (status !== BlockStatus.Ok) {
      request.onDone(status);
      return;
    }
    const forward = this.#free.pop() ?? new SliceRequest((done) => this.#give(done));
    forward.stand(request, request.op === BlockOp.Flush ? 0 : this.start);
    this.#inFlight++;
    this.device.submit(forward);
  }
  override allocation({ offset, length }: ByteRange, most: number): Promise<readonly Extent[]> {
    return super.allocation({ offset: this.start + offset, length }, most);
  }
  override prefetch({ offset, length }: ByteRange): void {
    super.prefetch({ offset: this.start + offset, length });
  }
  override close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      if (this.#inFlight === 0) resolve();
      else this.#closed = resolve;
    });
    return this.#closing;
  }
  #give(request: SliceRequest): void {
    this.#free.push(request);
    if (--this.#inFlight === 0) this.#closed?.();
  }
}

class SliceRequest extends ForwardRequest {
  readonly #give: (request: SliceRequest) => void;
  constructor(give: (request: SliceRequest) => void) {
    super();
    this.#give = give;
  }
  override onDone(status: BlockStatus): void {
    const origin = this.leave();
    this.#give(this);
    origin.onDone(status);
  }
}
