// Opens the file or block device behind a disk and finds out what it is.
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, stat, statfs } from 'node:fs/promises';
import { AppError, type ErrorCode, messageOf } from '../util/errors.js';
import { type BlockGeometry, blockGeometry } from './block-geometry.js';

/** Magic numbers of statfs(2) for file systems that are memory. */
const TMPFS = 0x0102_1994;
const RAMFS = 0x8584_58f6;

export interface BackingFile extends BlockGeometry {
  readonly handle: FileHandle;
  /** A block device, not a regular file. */
  readonly isBlockDevice: boolean;
  /** In memory: reading and writing never waits for a disk. */
  readonly inMemory: boolean;
}

export interface OpenHow {
  readonly readOnly?: boolean;
  /** Logical block size of a regular file, bytes. */
  readonly blockSize?: number;
  /** A block device is opened exclusively even to be read. */
  readonly exclusive?: boolean;
}

/**
 * A block device that the kernel calls read-only is opened for reading. One to be written is opened exclusively: the kernel
 * refuses it while it is mounted or held. Rejects with AppError ERR_NOT_FOUND, ERR_ACCESS, ERR_BUSY, ERR_USAGE or ERR_UNKNOWN.
 */
export async function openBackingFile(path: string, how: OpenHow): Promise<BackingFile> {
  const { blockSize = 512 } = how;
  let handle: FileHandle | null = null;
  try {
    // Looked at first: opening a pipe would wait for its other end.
    const before = await stat(path);
    refuseOthers(path, before);
    const isBlockDevice = before.isBlockDevice();
    const readOnly = (how.readOnly ?? false) || (isBlockDevice && (await blockGeometry(before.rdev)).readOnly);
    const exclusive = isBlockDevice && (!readOnly || how.exclusive === true) ? constants.O_EXCL : 0;
    handle = await open(path, (readOnly ? constants.O_RDONLY : constants.O_RDWR) | exclusive);
    const now = await handle.stat();
    refuseOthers(path, now);
    if (now.isBlockDevice()) {
      const geometry = await blockGeometry(now.rdev);
      return { ...geometry, readOnly: readOnly || geometry.readOnly, handle, isBlockDevice: true, inMemory: false };
    }
    const { type } = await statfs(path);
    return {
      handle,
      isBlockDevice: false,
      inMemory: type === TMPFS || type === RAMFS,
      sizeBytes: now.size - (now.size % blockSize),
      blockSize,
      physicalBlockSize: 4096,
      optimalIoSize: 0,
      canDiscard: true,
      readOnly,
    };
  } catch (error) {
    await handle?.close();
    throw error instanceof AppError ? error : openError(path, error);
  }
}

function refuseOthers(path: string, stats: Stats): void {
  if (stats.isFile() || stats.isBlockDevice()) return;
  throw new AppError('ERR_USAGE', `${path} is neither a regular file nor a block device`);
}

const REASONS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOENT: ['ERR_NOT_FOUND', 'no such file'],
  ENOTDIR: ['ERR_NOT_FOUND', 'no such file'],
  EACCES: ['ERR_ACCESS', 'permission denied'],
  EPERM: ['ERR_ACCESS', 'permission denied'],
  EROFS: ['ERR_ACCESS', 'it is on a read-only file system'],
  EBUSY: ['ERR_BUSY', 'it is mounted or held by another program'],
  ENXIO: ['ERR_NOT_FOUND', 'no such device'],
};

function openError(path: string, error: unknown): AppError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const [errorCode, reason] = REASONS[code] ?? ['ERR_UNKNOWN', messageOf(error)];
  return new AppError(errorCode, `cannot open ${path}: ${reason}`, { cause: error });
}
