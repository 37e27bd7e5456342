// One backstore, one server: an flock on the open file, which ends with the descriptor however this process ends.
import { spawn } from 'node:child_process';
import { AppError, messageOf } from '../../util/errors.js';

/** What flock(1) ends with when somebody else has the lock; no other failure of it uses this status. */
const CONFLICT = 73;

/**
 * Locks the open file `fd` for as long as it stays open; `shared` for servers that only read. Node has no flock, but
 * flock(1) on an inherited descriptor locks the open file that both processes share.
 * @throws AppError ERR_BUSY if another server has it, ERR_DRIVER_MISSING without flock(1)
 */
export async function lockFile(path: string, fd: number, shared: boolean): Promise<void> {
  const how = shared ? '--shared' : '--exclusive';
  const status = await runFlock([how, '--nonblock', '--conflict-exit-code', String(CONFLICT), '3'], fd).catch(
    (error: unknown) => {
      throw new AppError('ERR_DRIVER_MISSING', `${path} cannot be locked: ${messageOf(error)}`, {
        cause: error,
        hint: 'flock comes with the package util-linux',
      });
    },
  );
  if (status === 0) return;
  if (status === CONFLICT) {
    throw new AppError('ERR_BUSY', `${path} is served by another process`, { hint: `fuser -v ${path} names it` });
  }
  throw new AppError('ERR_UNKNOWN', `${path} cannot be locked: flock ended with ${status}`);
}

function runFlock(args: readonly string[], fd: number): Promise<number | null> {
  return new Promise((resolve, reject) => {
    // execa types no bare descriptor as a fourth stream, so this is the one helper started without it.
    const child = spawn('flock', args, {
      stdio: ['ignore', 'ignore', 'ignore', fd],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });
    child.once('error', reject);
    child.once('close', resolve);
  });
}
