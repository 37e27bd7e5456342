// What an NBD server's error means for a request (NBD proto.md "Error values").
import { BlockStatus } from '../../block/block-device.js';

/**
 * Errors of access, space and support keep their meaning. The server's EINVAL and EOVERFLOW are not about the range, which
 * was inside the export, and its ESHUTDOWN is not this device's end: to the user of the disk they are failed requests.
 */
export function statusOfNbd(error: number): BlockStatus {
  switch (error) {
    case BlockStatus.Eperm:
    case BlockStatus.Enomem:
    case BlockStatus.Enospc:
    case BlockStatus.Enotsup:
      return error;
    default:
      return BlockStatus.Eio;
  }
}
