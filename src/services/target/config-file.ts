// The file of a saved configuration: read with care, for it holds secrets and decides who may write to disks; replaced as a whole.
import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolder, writeTextFile } from '../../records/files.js';
import { withDatabaseLock } from '../../records/lock.js';
import type { SaveConfig } from '../../saveconfig/model.js';
import { CONFIG_LARGEST, parseSaveConfig } from '../../saveconfig/parse.js';
import { AppError, messageOf } from '../../util/errors.js';
import { userId } from '../../util/user.js';
import { addBackup, backupFolder, newestBackup } from './backups.js';

const LOCK_WAIT_MS = 10_000;
const READABLE_BY_OTHERS = 0o077;

/** The text of the file, or null where there is none. @throws AppError ERR_ACCESS, ERR_DATABASE */
export async function readConfigText(path: string): Promise<string | null> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new AppError(code === 'EACCES' ? 'ERR_ACCESS' : 'ERR_DATABASE', `cannot read ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  });
  if (handle === null) return null;
  try {
    const info = await handle.stat();
    if (!info.isFile()) throw new AppError('ERR_DATABASE', `${path} is not a regular file`);
    if (info.uid !== userId() && info.uid !== 0) {
      throw new AppError('ERR_ACCESS', `${path} belongs to user ${info.uid}: it decides who may write to disks`);
    }
    if (info.size > CONFIG_LARGEST)
      throw new AppError('ERR_DATABASE', `${path} is larger than ${CONFIG_LARGEST} bytes`);
    const text = await handle.readFile('utf8');
    if ((info.mode & READABLE_BY_OTHERS) !== 0 && /_?password"\s*:\s*"[^"]/.test(text)) {
      throw new AppError('ERR_ACCESS', `${path} has secrets in it and can be read by others`, {
        hint: `chmod 600 ${path}`,
      });
    }
    return text;
  } finally {
    await handle.close();
  }
}

/** @throws AppError with a hint at the newest backup where the file is damaged; ERR_NOT_FOUND where there is none */
export async function readConfig(path: string): Promise<SaveConfig> {
  const text = await readConfigText(path);
  if (text === null) throw new AppError('ERR_NOT_FOUND', `${path} does not exist`);
  return await parseConfig(text, path);
}

export async function parseConfig(text: string, path: string): Promise<SaveConfig> {
  try {
    return parseSaveConfig(text, path);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const backup = await newestBackup(path);
    if (backup === null) throw error;
    throw new AppError(error.code, error.message, { cause: error, hint: `the last backup: zcat '${backup}' >${path}` });
  }
}

/** Runs `work` while no other lunctl writes beside `path`. */
export async function withConfigLock<T>(path: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const folder = dirname(path);
  await makeFolder(folder);
  return await withDatabaseLock(folder, { linkDir: null, signal, waitMs: LOCK_WAIT_MS }, work);
}

/** Replaces the file; whoever reads sees the old text or the new one, also after a power cut. Mode 0600. Under the lock. */
export async function writeConfigText(path: string, text: string): Promise<void> {
  // A link stays what it is: its file is replaced.
  const real = await realpath(path).catch(() => join(dirname(path), basename(path)));
  await writeTextFile(dirname(real), real, text);
}

/** Keeps `text` as a backup unless the newest one is the same. Whether it did. Under the lock. */
export async function backUp(path: string, text: string): Promise<boolean> {
  await makeFolder(backupFolder(path));
  return await addBackup(path, text);
}
