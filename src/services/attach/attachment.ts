// What is asked of a way of attaching, and the device that comes of it.
import type { AppError } from '../../util/errors.js';

export interface AttachRequest {
  readonly mode: 'nbd' | 'fuse';
  /** The worker's NBD socket; it must accept connections already. */
  readonly socketPath: string;
  /** The export's name, `lunN`. */
  readonly exportName: string;
  /** Bytes: the device is handed out only with exactly this size. */
  readonly sizeBytes: number;
  /** Logical block size in bytes, 512 or 4096. */
  readonly blockSize: number;
  readonly readOnly: boolean;
  /** The session's run folder, `s/<sid>`: what is needed to clean up after a killed worker is kept there. */
  readonly runDir: string;
  /** `nbd`: connections of the kernel, 1 to 4. Default 1. */
  readonly connections?: number;
  /** Aborting undoes what has been done and throws ERR_INTERRUPTED. */
  readonly signal?: AbortSignal;
}

export interface Attachment {
  readonly mode: 'nbd' | 'fuse';
  /** `/dev/nbd0` or `/dev/loop0`. */
  readonly path: string;
  /** The device nodes of the partitions the kernel knows now, in ascending order of their numbers. */
  partitions(): Promise<string[]>;
  /** Makes the kernel read the partition table again; resolves with `partitions()` once every node works. */
  rescan(): Promise<string[]>;
  /**
   * Makes the device at least `sizeBytes` long while it is in use, never shorter; resolves like `rescan`. Throws
   * ERR_NOT_SUPPORTED where it keeps its size until it is attached again.
   */
  grow(sizeBytes: number): Promise<string[]>;
  /** Who uses the device or one of its partitions ("/dev/nbd0p1 is mounted on /mnt"), or null. */
  inUse(): Promise<string | null>;
  /**
   * Takes the device away. Throws ERR_BUSY, and changes nothing, while it is mounted or held; `force` is for a worker
   * that ends in any case: then users of the device get I/O errors. Idempotent.
   */
  detach(options?: { readonly force?: boolean }): Promise<void>;
  /** Resolves with the reason once the device was lost by itself (nbdfuse died) and is removed. Pending after a detach. */
  readonly lost: Promise<AppError>;
}
