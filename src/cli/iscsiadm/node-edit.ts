// Mode node of the iscsiadm face: records made, changed and deleted.
import { AppError } from '../../util/errors.js';
import type { Call } from './call.js';
import type { Pattern } from './pattern.js';

export async function newNodes(_call: Call, _pattern: Pattern): Promise<void> {
  throw new AppError('ERR_NOT_SUPPORTED', '-o new is not built yet');
}
export async function updateNodes(_call: Call, _pattern: Pattern): Promise<void> {
  throw new AppError('ERR_NOT_SUPPORTED', '-o update is not built yet');
}
export async function deleteNodes(_call: Call, _pattern: Pattern): Promise<void> {
  throw new AppError('ERR_NOT_SUPPORTED', '-o delete is not built yet');
}
