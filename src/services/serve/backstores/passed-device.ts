// What the target itself needs of a disk whose commands it passes on: its size, and that it can be flushed at the end.
import { type BlockDevice, BlockOp, type BlockRequest, BlockStatus } from '../../../block/block-device.js';
import { ScsiStatus } from '../../../scsi/status.js';
import type { PassThrough } from '../../../target/pass-through.js';
import { AppError } from '../../../util/errors.js';

interface Capacity {
  readonly blocks: number;
  readonly blockSize: number;
}

/** Takes FLUSH and nothing else: data goes by commands. */
export class PassedDevice implements BlockDevice {
  readonly blockSize: number;
  readonly physicalBlockSize: number;
  readonly optimalIoSize = 0;
  readonly maxTransfer = 2 ** 20;
  readonly readOnly: boolean;
  readonly writeCache = true;
  readonly writeLosses = 0;
  readonly canTrim = false;
  readonly canWriteZeroes = false;
  readonly #device: PassThrough;
  readonly #end: () => Promise<void>;
  #sizeBytes: number;
  #closing: Promise<void> | null = null;

  /** @throws AppError ERR_NOT_SUPPORTED for blocks that no disk of ours has */
  constructor(device: PassThrough, { blocks, blockSize }: Capacity, readOnly: boolean, end: () => Promise<void>) {
    if (blockSize !== 512 && blockSize !== 4096) {
      throw new AppError('ERR_NOT_SUPPORTED', `blocks of ${blockSize} bytes are not served: only 512 and 4096 are`);
    }
    this.#device = device;
    this.#end = end;
    this.readOnly = readOnly;
    this.blockSize = this.physicalBlockSize = blockSize;
    this.#sizeBytes = blocks * blockSize;
  }
  get sizeBytes(): number {
    return this.#sizeBytes;
  }
  /** Takes a larger size; returns the one in force, bytes. */
  grow({ blocks }: Capacity): number {
    this.#sizeBytes = Math.max(this.#sizeBytes, blocks * this.blockSize);
    return this.#sizeBytes;
  }

  submit(request: BlockRequest): void {
    if (this.#closing !== null) request.onDone(BlockStatus.Eshutdown);
    else if (request.op !== BlockOp.Flush) request.onDone(BlockStatus.Enotsup);
    else this.#flush().then((status) => request.onDone(status));
  }
  async #flush(): Promise<BlockStatus> {
    const cdb = Buffer.from('35000000000000000000', 'hex');
    const answer = await this.#device.execute({ cdb, dataOut: null, dataInLength: 0 }).catch(() => null);
    return answer?.status === ScsiStatus.Good ? BlockStatus.Ok : BlockStatus.Eio;
  }
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }
}
