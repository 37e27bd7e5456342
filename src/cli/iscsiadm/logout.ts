// Logouts of the iscsiadm face.
import { AppError } from '../../util/errors.js';
import type { Call } from './call.js';
import type { Pattern } from './pattern.js';

/** `-u`: ends the sessions of a pattern. */
export async function runLogout(_call: Call, _pattern: Pattern): Promise<void> {
  throw new AppError('ERR_NOT_SUPPORTED', 'logout is not built yet');
}

/** `-U all|manual|automatic|onboot`. */
export async function runLogoutAll(_call: Call): Promise<void> {
  throw new AppError('ERR_NOT_SUPPORTED', 'logout is not built yet');
}
