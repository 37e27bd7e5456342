// Turns an NBD export of a session worker into a block device of this machine, and back.
// Two ways: the kernel's own NBD client, or nbdfuse with a loop device where the kernel has none.
import { AppError } from '../../util/errors.js';
import type { AttachMode, DeviceInfo } from '../session/info.js';
import type { Attachment, AttachRequest } from './attachment.js';

export interface AttachPlan {
  readonly mode: DeviceInfo['attach'];
  /** One line for a person: why it is not attached. */
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
      const { requireNbd } = await import('./nbd.js');
      await requireNbd();
      return { mode: 'nbd', notice: null };
    }
    case 'fuse': {
      const { requireFuse } = await import('./fuse.js');
      requireFuse();
      return { mode: 'fuse', notice: null };
    }
    case 'auto': {
      const { requireNbd } = await import('./nbd.js');
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
    const { attachNbd } = await import('./nbd.js');
    return attachNbd(request);
  }
  const { attachFuse } = await import('./fuse.js');
  return attachFuse(request);
}

/**
 * Removes what a killed worker left of its devices: mounts, loop and nbd devices, nbdfuse processes below the session's
 * run folder. To be called only once the worker is known to be dead. Returns one line for each thing removed, and never
 * throws for what is already gone.
 */
export async function cleanLeftovers(sessionRunDir: string): Promise<string[]> {
  const { removeLeftovers } = await import('./leftovers.js');
  return removeLeftovers(sessionRunDir);
}
