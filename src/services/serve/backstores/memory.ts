// Ramdisks: memory whose content ends with the server, and nullio, which keeps nothing at all.
import { randomBytes } from 'node:crypto';
import { MemoryDevice } from '../../../block/memory-device.js';
import { NullDevice } from '../../../block/null-device.js';
import type { RamdiskObject } from '../../../saveconfig/model.js';
import { AppError } from '../../../util/errors.js';
import type { Backstore, OpenOptions } from './backstore.js';
import { blockSizeOf, checkSize } from './sizes.js';

export function openRamdisk(object: RamdiskObject, options: OpenOptions): Backstore {
  const { name, size } = object;
  const blockSize = blockSizeOf(object);
  checkSize(size, blockSize);
  const { readOnly = false, pool } = options;
  const common = { sizeBytes: size, blockSize, readOnly, ...(pool && { pool }) };
  const device = object.nullio === true ? new NullDevice(common) : new MemoryDevice(common);
  return {
    object,
    name,
    path: null,
    // Its content ends with the process, so without a number of its own the next one must not be taken for this one.
    serial: object.wwn ?? randomBytes(16).toString('hex'),
    device,
    created: true,
    refreshSize: async () => device.sizeBytes,
    grow: async (sizeBytes) => {
      checkSize(sizeBytes, blockSize);
      if (sizeBytes < device.sizeBytes)
        throw new AppError('ERR_USAGE', `a disk of ${device.sizeBytes} bytes never shrinks`);
      device.grow(sizeBytes);
      return device.sizeBytes;
    },
    close: () => device.close(),
  };
}
