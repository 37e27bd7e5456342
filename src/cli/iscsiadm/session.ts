// Mode session of the iscsiadm face.
import { AppError } from '../../util/errors.js';
import type { Call } from './call.js';

export async function runSession({ mode }: Call): Promise<void> {
  throw new AppError('ERR_NOT_SUPPORTED', `mode ${mode} is not built yet`);
}
