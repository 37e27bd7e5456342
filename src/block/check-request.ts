// What every device checks before it starts a request: range, alignment, access.
import { type BlockDevice, BlockOp, type BlockRequest, BlockStatus } from './block-device.js';

/**
 * Ok, or why `request` cannot be started on `device`: Eperm for a change of a read-only device; Einval for a range that is
 * unaligned or not wholly inside, a transfer above `maxTransfer`, or a payload of another length. FLUSH has no range.
 */
export function checkRequest(device: BlockDevice, request: BlockRequest): BlockStatus {
  const { op, offset, length } = request;
  if (op === BlockOp.Flush) return BlockStatus.Ok;
  if (op !== BlockOp.Read && device.readOnly) return BlockStatus.Eperm;
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
    return BlockStatus.Einval;
  }
  // Both are safe integers, so the sum is exact enough to compare with a size that is one.
  if (offset + length > device.sizeBytes) return BlockStatus.Einval;
  if (offset % device.blockSize !== 0 || length % device.blockSize !== 0) return BlockStatus.Einval;
  if ((op === BlockOp.Read || op === BlockOp.Write) && length > device.maxTransfer) return BlockStatus.Einval;
  if (op === BlockOp.Write && request.payload?.length !== length) return BlockStatus.Einval;
  return BlockStatus.Ok;
}
