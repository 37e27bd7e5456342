// Turns an NBD export of a session worker into a block device of this machine, and back.
// Two ways: the kernel's own NBD client, or nbdfuse with a loop device where the kernel has none.
import { AppError } from '../util/errors.js';
import type { AttachMode, DeviceInfo } from './session-info.js';

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

export interface AttachPlan {
  readonly mode: DeviceInfo['attach'];
  /** One line for a person: why it is not attached, or what to know about the way chosen. */
  readonly notice: string | null;
}

/**
 * Settles `choice` before a session is opened. Throws ERR_DRIVER_MISSING when the way asked for does not exist on this
 * machine and ERR_ACCESS when it needs root.
 */
export async function planAttach(choice: AttachMode): Promise<AttachPlan> {
  switch (choice) {
    case 'none':
      return { mode: 'none', notice: null };
    case 'nbd': {
      const { requireNbd } = await import('./attach-nbd.js');
      await requireNbd();
      return { mode: 'nbd', notice: null };
    }
    case 'fuse': {
      const { requireFuse, FUSE_NOTICE } = await import('./attach-fuse.js');
      requireFuse();
      return { mode: 'fuse', notice: FUSE_NOTICE };
    }
    case 'auto': {
      const { requireNbd } = await import('./attach-nbd.js');
      try {
        await requireNbd();
        return { mode: 'nbd', notice: null };
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        return {
          mode: 'none',
          notice: `not attached as a device: ${error.message}; --attach fuse works without the module, as root`,
        };
      }
    }
  }
}

/** Makes the device and returns once it is usable: size right, partitions scanned. Undoes everything when it fails. */
export async function attachDevice(request: AttachRequest): Promise<Attachment> {
  if (request.mode === 'nbd') {
    const { attachNbd } = await import('./attach-nbd.js');
    return attachNbd(request);
  }
  const { attachFuse } = await import('./attach-fuse.js');
  return attachFuse(request);
}

/**
 * Removes what a killed worker left of its devices: mounts, loop and nbd devices, nbdfuse processes below the session's
 * run folder. To be called only once the worker is known to be dead. Returns one line for each thing removed, and never
 * throws for what is already gone.
 */
export async function cleanLeftovers(sessionRunDir: string): Promise<string[]> {
  const { removeLeftovers } = await import('./attach-leftovers.js');
  return removeLeftovers(sessionRunDir);
}
