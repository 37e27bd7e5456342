// What a failed device request is in SCSI terms (SPC-4 §4.5.6).
import { BlockStatus } from '../block/block-device.js';
import { Senses } from '../scsi/check-condition.js';
import type { Sense } from '../scsi/sense.js';

/** The sense for `status`, which is not Ok; `lba` is the first block of the failed request. */
export function deviceSense(status: BlockStatus, write: boolean, lba: number): Sense {
  switch (status) {
    case BlockStatus.Enospc:
      return Senses.SpaceAllocationFailed;
    case BlockStatus.Eperm:
      return Senses.WriteProtected;
    case BlockStatus.Einval:
    case BlockStatus.Eoverflow:
      return Senses.LbaOutOfRange;
    case BlockStatus.Eshutdown:
      return Senses.StartRequired;
    default:
      return { ...(write ? Senses.WriteError : Senses.ReadError), information: lba };
  }
}
