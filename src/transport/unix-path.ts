// Paths of unix sockets: a length that Node does not check, and folders that nobody else may enter.
import { lstatSync, unlinkSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError, messageOf } from '../util/errors.js';
import { userId } from '../util/user.js';

/** sun_path of unix(7) holds 108 bytes with the final zero. Node 20 silently cuts what is longer. */
export const LONGEST_SOCKET_PATH = 107;

/** Throws ERR_USAGE for a path that the kernel would cut. */
export function checkSocketPath(path: string): void {
  const length = Buffer.byteLength(path);
  if (length > LONGEST_SOCKET_PATH || path.includes('\0')) {
    throw new AppError('ERR_USAGE', `socket path has ${length} bytes, ${LONGEST_SOCKET_PATH} are possible: ${path}`, {
      hint: 'choose a shorter run folder with --run-dir or LUNCTL_RUN_DIR',
    });
  }
}

/**
 * Throws ERR_ACCESS unless the folder of `path` belongs to this user (or root) and is closed to everybody else. Node
 * cannot ask a unix socket who is at its other end, so the folder is what keeps others out; both ends look.
 */
export async function checkPrivateFolder(path: string): Promise<void> {
  const folder = dirname(path);
  const refuse = (why: string, cause?: unknown) =>
    new AppError('ERR_ACCESS', `will not use a control socket in ${folder}: ${why}`, { cause });
  const found = await lstat(folder).catch((error: unknown) => {
    const missing = (error as { code?: unknown }).code === 'ENOENT';
    throw missing
      ? new AppError('ERR_NOT_FOUND', `no folder ${folder}`, { cause: error })
      : refuse(messageOf(error), error);
  });
  if (!found.isDirectory()) throw refuse('it is no folder');
  const us = userId();
  if (found.uid !== us && found.uid !== 0) throw refuse(`it belongs to user ${found.uid}`);
  if ((found.mode & 0o077) !== 0) throw refuse('others may enter it');
}

/** Runs `bind` while new sockets come out as 0600, after removing a socket that a dead process left at `path`. */
export function bindPrivately<T>(path: string, bind: () => T): T {
  checkSocketPath(path);
  removeSocket(path);
  const before = process.umask(0o177);
  try {
    // Node binds a unix socket within listen(), so that the mask is in force for that and for nothing else.
    return bind();
  } finally {
    process.umask(before);
  }
}

function removeSocket(path: string): void {
  try {
    if (lstatSync(path).isSocket()) unlinkSync(path);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
  }
}
