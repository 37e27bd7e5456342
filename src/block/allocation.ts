// Which parts of a disk are allocated, for disks that tell it and for those that do not.
import { AppError } from '../util/errors.js';
import type { BlockDevice, ByteRange, Extent } from './block-device.js';

/**
 * Extents of `range` from its start, at least one and at most `most`, none beyond its end, neighbours of one kind joined; they
 * may end before the range does. A device that cannot tell has one extent of data. `range` is not empty. Rejects with AppError.
 */
export async function allocationOf(device: BlockDevice, range: ByteRange, most: number): Promise<readonly Extent[]> {
  if (device.allocation === undefined) return [data(range.length)];
  try {
    return clip(await device.allocation(range, most), 0, range.length).slice(0, most);
  } catch (error) {
    if (error instanceof AppError && error.code === 'ERR_NOT_SUPPORTED') return [data(range.length)];
    throw error;
  }
}

/**
 * The extents without their first `skip` bytes and what comes after `length` further ones; neighbours of one kind joined. Data
 * if nothing is left: one that asks must get on.
 */
export function clip(extents: readonly Extent[], skip: number, length: number): Extent[] {
  const clipped: Extent[] = [];
  let at = -skip;
  for (const { length: size, hole, zero } of extents) {
    const from = Math.max(0, at);
    at += size;
    const left = Math.min(at, length) - from;
    if (left <= 0) continue;
    const last = clipped.at(-1);
    if (last?.hole === hole && last.zero === zero)
      clipped[clipped.length - 1] = { ...last, length: last.length + left };
    else clipped.push({ length: left, hole, zero });
  }
  return clipped.length > 0 ? clipped : [data(length)];
}

function data(length: number): Extent {
  return { length, hole: false, zero: false };
}
