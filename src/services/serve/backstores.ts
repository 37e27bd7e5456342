// The files, devices and memory behind the LUNs of `serve`: made, opened, locked, and undone if the start fails.
import { createHash, randomBytes } from 'node:crypto';
import { open, readdir, readFile, realpath, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { BlockDevice } from '../../block/block-device.js';
import { type FileDevice, openFileDevice } from '../../block/file-device.js';
import { MemoryDevice } from '../../block/memory-device.js';
import { AppError, messageOf } from '../../util/errors.js';
import type { BufferPool } from '../../util/ref-buffer.js';
import { lockFile } from './lock.js';
import type { ServeDisk } from './options.js';

const BLOCK_SIZE = 512;
/** Where the kernel's own target lists what it serves. */
const LIO_CORE = '/sys/kernel/config/target/core';

export interface Backstore {
  readonly disk: ServeDisk;
  /** PRODUCT IDENTIFICATION. */
  readonly name: string;
  /** Absolute, without symbolic links; null for memory. */
  readonly path: string | null;
  readonly serial: string;
  readonly device: BlockDevice;
  readonly created: boolean;
  /** Closes the device; `undo` also removes a file that this start has made. */
  close(undo: boolean): Promise<void>;
}

export interface BackstoreOptions {
  readonly targetName: string;
  readonly readOnly: boolean;
  readonly pool: BufferPool;
}

/** Opens one disk. @throws AppError that names it; nothing is left behind then */
export async function openBackstore(disk: ServeDisk, options: BackstoreOptions): Promise<Backstore> {
  if (disk.kind === 'ramdisk') return openRamdisk(disk, options);
  const created = disk.kind === 'fileio' && (await prepareFile(disk.path, disk.sizeBytes, options.readOnly));
  const path = resolve(disk.path);
  try {
    return await openPath(disk, path, created, options);
  } catch (error) {
    if (created) await unlink(path).catch(() => undefined);
    throw error;
  }
}

function openRamdisk(disk: Extract<ServeDisk, { kind: 'ramdisk' }>, options: BackstoreOptions): Backstore {
  checkSize(disk.name, disk.sizeBytes);
  const device = new MemoryDevice({ sizeBytes: disk.sizeBytes, readOnly: options.readOnly, pool: options.pool });
  // Its content ends with the process, so the next one is another disk and must not be taken for this one.
  const serial = randomBytes(16).toString('hex');
  return { disk, name: disk.name, path: null, serial, device, created: true, close: () => device.close() };
}

async function openPath(
  disk: Exclude<ServeDisk, { kind: 'ramdisk' }>,
  path: string,
  created: boolean,
  options: BackstoreOptions,
): Promise<Backstore> {
  const real = await realpath(path).catch((error: unknown) => {
    throw fileError(disk.path, error);
  });
  await refuseKernelTarget(disk.path, real);
  const device = await openFileDevice(real, { readOnly: options.readOnly, pool: options.pool });
  try {
    await lockFile(disk.path, device.fd, device.readOnly);
    if (device.sizeBytes === 0) throw new AppError('ERR_USAGE', `${disk.path} is empty`, { hint: sizeHint(disk.path) });
  } catch (error) {
    await device.close();
    throw error;
  }
  return {
    disk,
    name: basename(path).replace(/\.(img|raw)$/, ''),
    path: real,
    serial: serialOf(options.targetName, real),
    device,
    created,
    close: (undo) => closeFile(device, created && undo ? path : null),
  };
}

async function closeFile(device: FileDevice, remove: string | null): Promise<void> {
  await device.close();
  if (remove !== null) await unlink(remove).catch(() => undefined);
}

/** The same file under the same target is the same disk, after every restart. */
function serialOf(targetName: string, path: string): string {
  return createHash('sha256').update(`${targetName}\n${path}`).digest('hex').slice(0, 32);
}

/** Makes a missing file, sparse and for its owner alone; checks the size of an existing one. True: made. */
async function prepareFile(path: string, sizeBytes: number | null, readOnly: boolean): Promise<boolean> {
  const present = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw fileError(path, error);
  });
  if (present !== null) {
    if (present.isFile() && sizeBytes !== null && present.size !== sizeBytes) {
      throw new AppError('ERR_USAGE', `${path} has ${present.size} bytes, not ${sizeBytes}; it is left as it is`, {
        hint: `give ${path} without a size, or grow it with truncate -s`,
      });
    }
    return false;
  }
  if (sizeBytes === null) {
    throw new AppError('ERR_NOT_FOUND', `${path} does not exist`, { hint: sizeHint(path) });
  }
  if (readOnly) throw new AppError('ERR_NOT_FOUND', `${path} does not exist, and an empty read-only disk is of no use`);
  checkSize(path, sizeBytes);
  await createSparse(path, sizeBytes);
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

function checkSize(name: string, sizeBytes: number): void {
  if (sizeBytes > 0 && sizeBytes % BLOCK_SIZE === 0) return;
  throw new AppError('ERR_USAGE', `${name}: ${sizeBytes} bytes is no whole number of ${BLOCK_SIZE}-byte blocks`);
}

function sizeHint(path: string): string {
  return `${path}=10G makes it`;
}

/** A path that the kernel's target serves already must not be written by a second one. */
async function refuseKernelTarget(shown: string, real: string): Promise<void> {
  for (const adapter of await readdir(LIO_CORE).catch(() => [])) {
    for (const name of await readdir(join(LIO_CORE, adapter)).catch(() => [])) {
      const used = (await readFile(join(LIO_CORE, adapter, name, 'udev_path'), 'utf8').catch(() => '')).trim();
      if (used === '' || (await realpath(used).catch(() => used)) !== real) continue;
      throw new AppError('ERR_BUSY', `${shown} is backstore ${name} of the kernel's target`, {
        hint: 'remove it there with targetcli first',
      });
    }
  }
}

function fileError(path: string, error: unknown): AppError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'ENOENT':
      return new AppError('ERR_NOT_FOUND', `cannot make ${path}: there is no folder ${dirname(path)}`, {
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
