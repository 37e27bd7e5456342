// Promises over a completion-based device, for probing, partition tables and tests; never for a hot path.
import { AppError, type ErrorCode } from '../util/errors.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import { type BlockDevice, BlockOp, type BlockRequest, BlockStatus } from './block-device.js';

/** A request that a device ended with another status than Ok. */
export class BlockError extends AppError {
  readonly status: BlockStatus;
  constructor(status: BlockStatus, message: string) {
    super(ERROR_CODE[status] ?? 'ERR_UNKNOWN', message);
    this.status = status;
  }
}
const ERROR_CODE: Partial<Record<BlockStatus, ErrorCode>> = {
  [BlockStatus.Eperm]: 'ERR_ACCESS',
  [BlockStatus.Einval]: 'ERR_USAGE',
  [BlockStatus.Enotsup]: 'ERR_NOT_SUPPORTED',
  [BlockStatus.Eshutdown]: 'ERR_NOT_CONNECTED',
};

/** The `length` bytes from `offset`, in memory of their own. Both are multiples of the block size. Rejects with BlockError. */
export async function readBytes(device: BlockDevice, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const copy: BlockRequest['onData'] = (piece, at) => piece.copy(bytes, at);
  await perform(device, { op: BlockOp.Read, offset, length }, copy, () => true);
  return bytes;
}

/** Writes all of `bytes` at `offset`. The caller leaves `bytes` alone until then. Rejects with BlockError. */
export async function writeBytes(device: BlockDevice, offset: number, bytes: Buffer, flags = 0): Promise<void> {
  await perform(device, { op: BlockOp.Write, offset, length: bytes.length, flags, payload: bytes });
}

/** Resolves once every write acknowledged before is on stable storage. Rejects with BlockError. */
export async function flush(device: BlockDevice): Promise<void> {
  await perform(device, { op: BlockOp.Flush, offset: 0, length: 0 });
}

/** Gives the range back to the device; what it reads as afterwards is not defined. Rejects with BlockError. */
export async function trim(device: BlockDevice, offset: number, length: number, flags = 0): Promise<void> {
  await perform(device, { op: BlockOp.Trim, offset, length, flags });
}

/** Makes the range read as zeroes. Rejects with BlockError. */
export async function writeZeroes(device: BlockDevice, offset: number, length: number, flags = 0): Promise<void> {
  await perform(device, { op: BlockOp.WriteZeroes, offset, length, flags });
}

/** What a request asks for. */
export type BlockOperation = Pick<BlockRequest, 'op' | 'offset' | 'length'> & { flags?: number; payload?: Buffer };

/** Runs one operation, for callers that want the pieces of a READ as they come. Rejects with BlockError. */
export function perform(
  device: Pick<BlockDevice, 'submit'>,
  operation: BlockOperation,
  onData: BlockRequest['onData'] = () => {},
  onRewind: (at: number) => boolean = () => false,
): Promise<void> {
  return new Promise((resolve, reject) => {
    device.submit({
      flags: 0,
      payload: null,
      payloadOwner: null,
      ...operation,
      onData: (piece: Buffer, at: number, owner: RefBuffer | null) => onData(piece, at, owner),
      onRewind,
      onDone: (status) => (status === BlockStatus.Ok ? resolve() : reject(failure(operation, status))),
    });
  });
}

function failure({ op, offset, length }: BlockOperation, status: BlockStatus): BlockError {
  const [verb] = Object.entries(BlockOp).find(([, value]) => value === op) ?? [op];
  const [name] = Object.entries(BlockStatus).find(([, value]) => value === status) ?? [status];
  const range = op === BlockOp.Flush ? '' : ` of ${length} bytes at ${offset}`;
  return new BlockError(status, `${verb}${range} failed with ${String(name).toUpperCase()}`);
}
