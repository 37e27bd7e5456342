// Files of the record database: read with limits, replaced as a whole, private from the moment they exist.
import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { mkdir, open, readdir, readlink, rename, rmdir, symlink, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError, messageOf } from '../util/errors.js';
import { FILE_LARGEST } from './format.js';

/** Temporary files stand directly below the database root: open-iscsi takes every entry of a record folder for a record. */
const TEMPORARY = '.lunctl-';

/**
 * The text of a regular file of at most 256 KiB, or undefined when there is none. Never blocks on a FIFO.
 * @throws AppError ERR_DATABASE, ERR_ACCESS when permission is missing
 */
export async function readTextFile(path: string, options: { followLinks?: boolean } = {}): Promise<string | undefined> {
  return readTextFileNow(path, options);
}

/** The same at once: for small files that is faster than the threads that Node would start, and listings do nothing else. */
export function readTextFileNow(path: string, { followLinks = false } = {}): string | undefined {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (followLinks ? 0 : constants.O_NOFOLLOW);
  try {
    const fd = openSync(path, flags);
    try {
      const info = fstatSync(fd);
      if (!info.isFile()) throw new AppError('ERR_DATABASE', `${path} is not a regular file`);
      if (info.size > FILE_LARGEST) throw new AppError('ERR_DATABASE', `${path} is larger than ${FILE_LARGEST} bytes`);
      return readFileSync(fd, 'utf8');
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw fileError(`cannot read ${path}`, error);
  }
}

/** Replaces `path` below `root`: whoever reads sees the old text or the new one, also after a crash. Mode 0600. */
export async function writeTextFile(root: string, path: string, text: string | Uint8Array): Promise<void> {
  const temporary = temporaryName(root);
  try {
    await makeFolder(dirname(path));
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw fileError(`cannot write ${path}`, error);
  }
}

/** Makes `path` a symbolic link to `to`, replacing another one. */
export async function writeLink(root: string, path: string, to: string): Promise<void> {
  if ((await readlink(path).catch(() => undefined)) === to) return;
  const temporary = temporaryName(root);
  try {
    await makeFolder(dirname(path));
    await symlink(to, temporary);
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw fileError(`cannot link ${path}`, error);
  }
}

/** Removes a file or link; one that is not there is no error. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
    await syncFolder(dirname(path));
  } catch (error) {
    if (!isMissing(error)) throw fileError(`cannot remove ${path}`, error);
  }
}

/** Removes a folder if nothing is in it. Whether it did. */
export async function removeFolder(path: string): Promise<boolean> {
  try {
    await rmdir(path);
    return true;
  } catch {
    return false;
  }
}

/** Makes a folder and what leads to it, for the owner alone. Existing ones stay as they are. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw fileError(`cannot make folder ${path}`, error);
  }
}

/** So that a rename or a removal survives a crash. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The names in a folder, sorted; none where there is no folder. @throws AppError ERR_ACCESS, ERR_DATABASE */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw fileError(`cannot list ${folder}`, error);
  }
}

/** What a failing call says, as an AppError that names the object. */
export function fileError(what: string, error: unknown): AppError {
  if (error instanceof AppError) return error;
  const code = codeOf(error);
  const denied = code === 'EACCES' || code === 'EPERM';
  const reason = REASONS[code ?? ''] ?? messageOf(error);
  return new AppError(denied ? 'ERR_ACCESS' : 'ERR_DATABASE', `${what}: ${reason}`, {
    cause: error,
    ...(denied ? { hint: 'run as root, or name folders of your own with --config-dir and --db-dir' } : {}),
  });
}

export function isMissing(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  ELOOP: 'it is a symbolic link',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is no folder',
};

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Removes what writers that were killed have begun below `root`. To be called with the lock of the database held. */
export async function removeAbandonedFiles(root: string): Promise<void> {
  for (const name of await namesIn(root)) {
    const pid = name.startsWith(TEMPORARY) ? /^\d+(?=-)/.exec(name.slice(TEMPORARY.length))?.[0] : undefined;
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    await unlink(join(root, name)).catch(() => undefined);
  }
}

/** By the global `crypto`: whoever only reads does not load node:crypto, which takes as long as a whole listing. */
function temporaryName(root: string): string {
  return join(root, `${TEMPORARY}${process.pid}-${crypto.randomUUID()}`);
}
