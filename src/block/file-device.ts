// A regular file or a block device of this machine as a disk.
import type { BufferPool } from '../util/ref-buffer.js';
import type { BlockDevice } from './block-device.js';

export interface FileDeviceOptions {
  readonly readOnly?: boolean;
  /** Logical block size of a regular file: 512 (default) or 4096. A block device states its own. */
  readonly blockSize?: 512 | 4096;
  /** Every write is on stable storage before it is acknowledged; `writeCache` is then false. Default false. */
  readonly writeThrough?: boolean;
  /** Where the bytes of reads are lent from. */
  readonly pool?: BufferPool;
}

/** A disk backed by an open file. */
export interface FileDevice extends BlockDevice {
  readonly path: string;
  /** The open file, for locks; valid until `close`. */
  readonly fd: number;
  /** Looks whether the file has grown; returns the size in bytes now in force. A disk never shrinks. */
  refreshSize(): Promise<number>;
}

/**
 * Opens `path`. A block device that is written to is opened exclusively, so a mounted one is refused.
 * Rejects with AppError: ERR_NOT_FOUND, ERR_ACCESS, ERR_BUSY (mounted or held), ERR_USAGE (neither file nor block device).
 */
export function openFileDevice(_path: string, _options: FileDeviceOptions = {}): Promise<FileDevice> {
  throw new Error('under construction');
}
