// Sizes of backstores: whole blocks of a size that our devices have.
import type { StorageObject } from '../../../saveconfig/model.js';
import { AppError } from '../../../util/errors.js';

/** LIO's attribute `block_size`, 512 where it says nothing. @throws AppError ERR_NOT_SUPPORTED for another than 512 and 4096 */
export function blockSizeOf(object: StorageObject): 512 | 4096 {
  const said = Number(object.attributes.block_size ?? 512);
  if (said === 512 || said === 4096) return said;
  throw new AppError('ERR_NOT_SUPPORTED', `block_size ${said} is not served: only 512 and 4096 are`);
}

/** @throws AppError ERR_USAGE */
export function checkSize(sizeBytes: number, blockSize: number): void {
  if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0 && sizeBytes % blockSize === 0) return;
  throw new AppError('ERR_USAGE', `${sizeBytes} bytes is no whole number of ${blockSize}-byte blocks`);
}
