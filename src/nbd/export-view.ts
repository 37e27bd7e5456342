// How an export presents itself to a client: transmission flags and block sizes.
import type { BlockDevice } from '../block/block-device.js';
import type { NbdExport } from './exports.js';
import { TransmissionFlag as Flag } from './wire/constants.js';

/** Whether clients may change the export. */
export function isReadOnly(entry: NbdExport): boolean {
  return entry.readOnly || entry.device.readOnly;
}

/** The transmission flags of NBD_INFO_EXPORT. DF exists only together with structured replies. */
export function transmissionFlags(entry: NbdExport, structuredReplies: boolean): number {
  const readOnly = isReadOnly(entry);
  // FLUSH and FUA always: a client that sees no SEND_FLUSH takes the disk for one without a volatile cache and never
  // flushes, and a device's word about its cache may change while it is in use.
  let flags = Flag.HasFlags | Flag.SendFlush | Flag.SendFua | Flag.SendCache;
  if (readOnly) flags |= Flag.ReadOnly;
  if (entry.multiConn ?? true) flags |= Flag.CanMultiConn;
  if (structuredReplies) flags |= Flag.SendDf;
  if (!readOnly && entry.device.canTrim) flags |= Flag.SendTrim;
  if (!readOnly && entry.device.canWriteZeroes) flags |= Flag.SendWriteZeroes | Flag.SendFastZero;
  return flags;
}

export interface BlockSizes {
  readonly minimum: number;
  readonly preferred: number;
  readonly maximum: number;
}

/** What the block sizes of an export follow from. */
export type Geometry = Pick<BlockDevice, 'blockSize' | 'physicalBlockSize' | 'optimalIoSize' | 'maxTransfer'>;

/** NBD_INFO_BLOCK_SIZE, proto.md "Size constraints". `largest` is the limit of the server in bytes. */
export function blockSizes(device: Geometry, largest: number): BlockSizes {
  const minimum = device.blockSize;
  // A power of two, at least as large as the minimum. An optimal size that is none (RAID widths) says too little here.
  const wished = Math.max(4096, minimum, device.physicalBlockSize);
  const optimal = device.optimalIoSize;
  const preferred = isPowerOfTwo(optimal) && optimal > wished && optimal <= 2 ** 20 ? optimal : wished;
  // Requests above the device's own limit are split, but a client that knows the limit need not wait for its parts in turn.
  const maximum = Math.max(preferred, Math.min(largest, device.maxTransfer));
  return { minimum, preferred, maximum: maximum - (maximum % minimum) };
}

function isPowerOfTwo(n: number): boolean {
  return n > 0 && Number.isInteger(Math.log2(n));
}
