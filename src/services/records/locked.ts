// The lock under which records are changed.
import { withDatabaseLock } from '../../records/lock.js';
import { isRoot } from '../../util/user.js';
import type { Paths } from '../paths.js';

export type DatabasePaths = Pick<Paths, 'configDir' | 'dbDir'>;

/** Where open-iscsi's own tools keep records, and the lock that they take. */
export const OPEN_ISCSI_ROOTS: readonly string[] = ['/etc/iscsi', '/var/lib/iscsi'];
const OPEN_ISCSI_LOCK = '/run/lock/iscsi';

/** Runs `work` as the only one that changes the database, see `withDatabaseLock`. */
export async function locked<T>(
  { dbDir }: Pick<Paths, 'dbDir'>,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  const shared = isRoot() && OPEN_ISCSI_ROOTS.includes(dbDir);
  return await withDatabaseLock(dbDir, { linkDir: shared ? OPEN_ISCSI_LOCK : null, signal }, work);
}

export interface EditOptions {
  /** Looks, checks and says what would come of it; takes no lock and changes nothing. */
  readonly dryRun?: boolean | undefined;
}

/** `locked`, but for a dry run. */
export async function editing<T>(
  paths: Pick<Paths, 'dbDir'>,
  signal: AbortSignal,
  { dryRun = false }: EditOptions,
  work: () => Promise<T>,
): Promise<T> {
  return dryRun ? await work() : await locked(paths, signal, work);
}
