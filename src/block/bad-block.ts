// Which block a failed read stumbled over: INFORMATION names it (SBC-3 §4.18), and a repair overwrites that one.
import { type BlockDevice, BlockOp, BlockStatus, type ByteRange } from './block-device.js';
import { BlockError, perform } from './promise.js';

/**
 * The offset in bytes of the first block of the range that cannot be read, found by halves; the start of the range where all
 * can be by now.
 */
export async function findBadBlock(device: BlockDevice, { offset, length }: ByteRange): Promise<number> {
  const { blockSize } = device;
  let at = offset;
  for (let blocks = length / blockSize; blocks > 1; ) {
    const half = Math.floor(blocks / 2);
    if (await readable(device, at, half * blockSize)) {
      at += half * blockSize;
      blocks -= half;
    } else {
      blocks = half;
    }
  }
  return at > offset && (await readable(device, at, blockSize)) ? offset : at;
}

async function readable(device: BlockDevice, offset: number, length: number): Promise<boolean> {
  const status = await perform(device, { op: BlockOp.Read, offset, length }).then(
    () => BlockStatus.Ok,
    (error: unknown) => (error instanceof BlockError ? error.status : BlockStatus.Eio),
  );
  return status === BlockStatus.Ok;
}
