// Opens the storage object behind a LUN: the one way for `serve FILE=SIZE` and for a configuration.
import type { StorageObject } from '../../../saveconfig/model.js';
import { AppError } from '../../../util/errors.js';
import type { Backstore, OpenOptions } from './backstore.js';
import { openFileBackstore } from './file.js';
import { openRamdisk } from './memory.js';
import { openNbd } from './nbd.js';
import { openPscsi } from './pscsi.js';

/**
 * Opens `object` for this process alone. @throws AppError that names the object and the reason, ERR_BUSY for what the
 * kernel's target, a mount or another server has; nothing is left open or behind then
 */
export async function openBackstore(object: StorageObject, options: OpenOptions = {}): Promise<Backstore> {
  try {
    return await openPlugin(object, options);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { code, message, cause, hint, retriable } = error;
    const rest = { cause, retriable, ...(hint !== undefined && { hint }) };
    throw new AppError(code, `/backstores/${object.plugin}/${object.name}: ${message}`, rest);
  }
}

/** As `openBackstore`, for one who names the object himself. */
export async function openPlugin(object: StorageObject, options: OpenOptions): Promise<Backstore> {
  switch (object.plugin) {
    case 'fileio':
    case 'block':
      return await openFileBackstore(object, options);
    case 'ramdisk':
      return openRamdisk(object, options);
    case 'pscsi':
      return await openPscsi(object, options);
    case 'user':
      return await openNbd(object, options);
  }
}
