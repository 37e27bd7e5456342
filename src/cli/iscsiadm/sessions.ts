// What is done to running sessions: rescan and statistics.
import { AppError } from '../../util/errors.js';
import type { Call } from './call.js';
import type { Pattern } from './pattern.js';

/** `-R`. */
export async function runRescan(_call: Call, _pattern: Pattern): Promise<void> {
  throw new AppError('ERR_NOT_SUPPORTED', 'rescan is not built yet');
}

/** `-s`. */
export async function runStats(_call: Call, _pattern: Pattern): Promise<void> {
  throw new AppError('ERR_NOT_SUPPORTED', 'statistics are not built yet');
}
