// What the system says about a file, in the words of BlockStatus.
import { constants } from 'node:os';
import { BlockStatus } from './block-device.js';

const { errno } = constants;

const STATUS = new Map<number, BlockStatus>([
  [errno.ENOSPC, BlockStatus.Enospc],
  [errno.EDQUOT, BlockStatus.Enospc],
  [errno.EFBIG, BlockStatus.Enospc],
  [errno.EPERM, BlockStatus.Eperm],
  [errno.EACCES, BlockStatus.Eperm],
  [errno.EROFS, BlockStatus.Eperm],
  [errno.EINVAL, BlockStatus.Einval],
  [errno.ENOMEM, BlockStatus.Enomem],
  [errno.EOVERFLOW, BlockStatus.Eoverflow],
  [errno.EOPNOTSUPP, BlockStatus.Enotsup],
  [errno.ENOSYS, BlockStatus.Enotsup],
  [errno.ENODEV, BlockStatus.Enotsup],
]);

/** The status for a system error number (positive); Eio for one without a place in BlockStatus. */
export function statusOfErrno(number: number): BlockStatus {
  return STATUS.get(number) ?? BlockStatus.Eio;
}

/** The status for what a function of node:fs threw or passed to its callback. */
export function statusOfError(error: unknown): BlockStatus {
  const number = error instanceof Error && 'errno' in error ? error.errno : undefined;
  return typeof number === 'number' ? statusOfErrno(Math.abs(number)) : BlockStatus.Eio;
}
