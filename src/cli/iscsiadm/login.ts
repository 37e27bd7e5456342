// Logins of the iscsiadm face.
import { AppError } from '../../util/errors.js';
import type { Call } from './call.js';
import type { Pattern } from './pattern.js';

/** `-l`: a session for each record of a pattern. */
export async function runLogin(_call: Call, _pattern: Pattern): Promise<void> {
  throw new AppError('ERR_NOT_SUPPORTED', 'login is not built yet');
}

/** `-L all|manual|automatic|onboot`. */
export async function runLoginAll(_call: Call): Promise<void> {
  throw new AppError('ERR_NOT_SUPPORTED', 'login is not built yet');
}
