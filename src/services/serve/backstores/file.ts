// Files and block devices behind LUNs: made, opened, locked, and undone if that fails.
import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { open, realpath, stat, truncate, unlink } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type FileDevice, openFileDevice } from '../../../block/file-device.js';
import type { BlockObject, FileioObject } from '../../../saveconfig/model.js';
import { AppError, messageOf } from '../../../util/errors.js';
import { lockFile } from '../lock.js';
import type { Backstore, OpenOptions } from './backstore.js';
import { refuseKernelTarget, refuseLoop } from './in-use.js';
import { blockSizeOf, checkSize } from './sizes.js';

type FileObject = FileioObject | BlockObject;

/**
 * Opens a `fileio` or a `block` object. The file's own size counts, which must not be below the one of the object.
 * @throws AppError; a file made by this call is removed again then
 */
export async function openFileBackstore(object: FileObject, options: OpenOptions): Promise<Backstore> {
  const path = resolve(object.dev);
  const created = object.plugin === 'fileio' && (await makeMissing(object, path, options));
  try {
    return await openPath(object, path, created, options);
  } catch (error) {
    if (created) await unlink(path).catch(() => undefined);
    throw error;
  }
}

async function openPath(object: FileObject, path: string, created: boolean, options: OpenOptions): Promise<Backstore> {
  const real = await realpath(path).catch((error: unknown) => {
    throw fileError(path, error);
  });
  await refuseKind(object, real);
  await refuseKernelTarget(real, options.kernelTarget);
  const readOnly = (options.readOnly ?? false) || (object.plugin === 'block' && object.readonly);
  if (!readOnly) await refuseLoop(real);
  const device = await openFileDevice(real, {
    readOnly,
    exclusive: true,
    blockSize: blockSizeOf(object),
    // LIO takes the write cache of a `block` object from its device, whatever the object says. Here the page cache is one.
    writeThrough: object.plugin === 'fileio' && !object.write_back,
    ...(options.pool && { pool: options.pool }),
  });
  try {
    await lockFile(real, device.fd, device.readOnly);
    if (device.sizeBytes === 0) throw new AppError('ERR_USAGE', `${path} is empty`);
    checkNotCut(object, device);
  } catch (error) {
    await device.close();
    throw error;
  }
  return {
    object,
    name: object.name,
    path: real,
    serial: object.wwn ?? pathSerial(`${object.plugin}/${object.name}`, real),
    device,
    created,
    refreshSize: () => device.refreshSize(),
    grow: (sizeBytes) => grow(object, device, sizeBytes),
    close: (undo) => closeFile(device, created && undo ? path : null),
  };
}

/** The same file under the same owner is the same disk, after every restart. */
export function pathSerial(owner: string, path: string): string {
  return createHash('sha256').update(`${owner}\n${path}`).digest('hex').slice(0, 32);
}

async function refuseKind(object: FileObject, path: string): Promise<void> {
  if (object.plugin !== 'block' || (await stat(path)).isBlockDevice()) return;
  throw new AppError('ERR_USAGE', `${path} is no block device`, { hint: 'a file is served as fileio' });
}

/** A file that has lost its end would read as zeros there, and a file system on it would believe them. */
function checkNotCut(object: FileObject, device: FileDevice): void {
  if (object.plugin !== 'fileio' || device.onBlockDevice || device.sizeBytes >= object.size) return;
  throw new AppError(
    'ERR_USAGE',
    `${device.path} has ${device.sizeBytes} bytes, not ${object.size}; it is left as it is`,
    { hint: `truncate -s ${object.size} ${device.path} makes it longer, if it is the right file` },
  );
}

/** What is at `path`; null: nothing. @throws AppError where that cannot be seen */
export async function presentFile(path: string): Promise<Stats | null> {
  return await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw fileError(path, error);
  });
}

/** Makes a missing file. True: made. */
async function makeMissing(object: FileioObject, path: string, options: OpenOptions): Promise<boolean> {
  if ((await presentFile(path)) !== null) return false;
  if (options.create !== true) throw new AppError('ERR_NOT_FOUND', `${path} does not exist`);
  if (options.readOnly === true) {
    throw new AppError('ERR_NOT_FOUND', `${path} does not exist, and an empty read-only disk is of no use`);
  }
  checkSize(object.size, blockSizeOf(object));
  await createSparse(path, object.size);
  return true;
}

async function createSparse(path: string, sizeBytes: number): Promise<void> {
  let made = false;
  try {
    const handle = await open(path, 'wx', 0o600);
    made = true;
    try {
      await handle.truncate(sizeBytes);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (made) await unlink(path).catch(() => undefined);
    throw fileError(path, error);
  }
}

async function grow(object: FileObject, device: FileDevice, sizeBytes: number): Promise<number> {
  checkSize(sizeBytes, device.blockSize);
  const present = await device.refreshSize();
  if (sizeBytes < present) throw new AppError('ERR_USAGE', `a disk of ${present} bytes never shrinks`);
  if (sizeBytes === present) return present;
  if (object.plugin === 'block' || device.onBlockDevice) {
    throw new AppError('ERR_NOT_SUPPORTED', `${device.path} has ${present} bytes: make it larger first (lvextend …)`);
  }
  if (device.readOnly) throw new AppError('ERR_ACCESS', `${device.path} is served read-only`);
  await truncate(device.path, sizeBytes).catch((error: unknown) => {
    throw fileError(device.path, error);
  });
  return await device.refreshSize();
}

async function closeFile(device: FileDevice, remove: string | null): Promise<void> {
  await device.close();
  if (remove !== null) await unlink(remove).catch(() => undefined);
}

function fileError(path: string, error: unknown): AppError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'ENOENT':
      return new AppError('ERR_NOT_FOUND', `cannot use ${path}: no such file, or no folder ${dirname(path)}`, {
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new AppError('ERR_ACCESS', `no access to ${path}: ${messageOf(error)}`, { cause: error });
    case 'EFBIG':
      return new AppError('ERR_USAGE', `${path}: the file system has no files of that size`, { cause: error });
    case 'ENOSPC':
    case 'EDQUOT':
      return new AppError('ERR_UNKNOWN', `cannot make ${path}: the file system is full`, { cause: error });
    default:
      return new AppError('ERR_UNKNOWN', `cannot use ${path}: ${messageOf(error)}`, { cause: error });
  }
}
