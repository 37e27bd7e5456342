// Files with secrets in them: read only where nobody but their owner could have read them.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { AppError, messageOf } from './errors.js';

/**
 * Up to `largest` bytes of a file that no other user may read. The check is made on the open file, so that it cannot be
 * changed in between. `what` names it in errors: `secret file`.
 * @throws AppError ERR_USAGE for a file that does not exist, ERR_ACCESS for one that others may read or we may not
 */
export async function readPrivateFile(what: string, file: string, largest: number): Promise<Buffer> {
  const handle = await openFile(what, file);
  try {
    const info = await handle.stat();
    if (info.isDirectory()) throw new AppError('ERR_USAGE', `${what} ${file} is a folder`);
    if ((info.mode & 0o077) !== 0) {
      throw new AppError('ERR_ACCESS', `${what} ${file} can be read by others (mode ${octal(info.mode)})`, {
        hint: `chmod 600 ${file}`,
      });
    }
    return await readUpTo(handle, largest);
  } finally {
    await handle.close();
  }
}

/** The same for a file that everybody may read, as a certificate. */
export async function readPublicFile(what: string, file: string, largest: number): Promise<Buffer> {
  const handle = await openFile(what, file);
  try {
    return await readUpTo(handle, largest);
  } catch (cause) {
    throw new AppError('ERR_ACCESS', `${what} ${file} cannot be read: ${messageOf(cause)}`, { cause });
  } finally {
    await handle.close();
  }
}

async function openFile(what: string, file: string): Promise<FileHandle> {
  try {
    return await open(file, constants.O_RDONLY | constants.O_NOCTTY);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const missing = code === 'ENOENT' || code === 'ENOTDIR';
    const reason = missing ? 'does not exist' : `cannot be read: ${messageOf(error)}`;
    throw new AppError(missing ? 'ERR_USAGE' : 'ERR_ACCESS', `${what} ${file} ${reason}`, { cause: error });
  }
}

/** A pipe, from a shell's <(…), gives its bytes in pieces. */
async function readUpTo(handle: FileHandle, largest: number): Promise<Buffer> {
  const bytes = Buffer.alloc(largest);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}
