// Files with secrets in them: read only where nobody but their owner could have read them.
import { constants, fstat, read, type Stats } from 'node:fs';
import { type FileHandle, open, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import { AppError, messageOf } from './errors.js';

/**
 * Up to `largest` bytes of a file that no other user may read. The check is made on the open file, so that it cannot be
 * changed in between. `what` names it in errors: `secret file`. `othersMask`: the bits of its mode that must not be set.
 * @throws AppError ERR_USAGE for a file that does not exist, ERR_ACCESS for one that others may read or we may not
 */
export async function readPrivateFile(
  what: string,
  file: string,
  largest: number,
  { othersMask = OTHERS } = {},
): Promise<Buffer> {
  const handle = await openFile(what, file);
  try {
    const info = await handle.stat();
    checkPrivate(`${what} ${file}`, info, { othersMask, hint: `chmod 600 ${file}` });
    return await readUpTo(handle, largest);
  } finally {
    await handle.close();
  }
}

/**
 * The same for a descriptor that this process was started with, as a shell's `5<FILE` makes it; a pipe is nobody else's.
 * @throws AppError ERR_USAGE for one that is not open, ERR_ACCESS as `readPrivateFile`
 */
export async function readPrivateDescriptor(what: string, descriptor: number, largest: number): Promise<Buffer> {
  const name = `${what} at descriptor ${descriptor}`;
  const link = await readlink(`/proc/self/fd/${descriptor}`).catch(() => 'anon_inode:none');
  // Node keeps some of its own open.
  if (link.startsWith('anon_inode:')) throw new AppError('ERR_USAGE', `${name}: nothing is open there`);
  checkPrivate(name, await promisify(fstat)(descriptor), {
    othersMask: OTHERS,
    hint: 'give a file of mode 0600, or a pipe',
  });
  const readable = {
    read: (bytes: Buffer, at: number, length: number) => readAsync(descriptor, bytes, at, length, null),
  };
  return await readUpTo(readable, largest).catch((cause: unknown) => {
    throw new AppError('ERR_ACCESS', `${name} cannot be read: ${messageOf(cause)}`, { cause });
  });
}
const readAsync = promisify(read);

const OTHERS = 0o077;

function checkPrivate(name: string, info: Stats, { othersMask, hint }: { othersMask: number; hint: string }): void {
  if (info.isDirectory()) throw new AppError('ERR_USAGE', `${name} is a folder`);
  if ((info.mode & othersMask) === 0) return;
  throw new AppError('ERR_ACCESS', `${name} can be read by others (mode ${octal(info.mode)})`, { hint });
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
async function readUpTo(handle: Readable, largest: number): Promise<Buffer> {
  const bytes = Buffer.alloc(largest);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return bytes.subarray(0, length);
}

/** An open file. */
interface Readable {
  read(bytes: Buffer, at: number, length: number, position: null): Promise<{ readonly bytesRead: number }>;
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}
