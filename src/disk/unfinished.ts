// A file system whose mkfs was killed: there is a signature, and nothing to lose behind it.
import { open } from 'node:fs/promises';

/** sb_inprogress in the first superblock, set by mkfs.xfs until its very last write. */
const XFS_IN_PROGRESS = 126;

/**
 * Whether mkfs has not come to its end. mkfs.ext4 writes its superblock last and mkfs.btrfs its magic number, so that
 * nothing is found there when they were killed; mkfs.xfs says so in its superblock; a vfat cannot tell.
 */
export async function isUnfinished(path: string, type: string | null): Promise<boolean> {
  if (type !== 'xfs') return false;
  const handle = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(512), 0, 512, 0);
    return bytesRead === 512 && buffer[XFS_IN_PROGRESS] === 1;
  } finally {
    await handle.close();
  }
}
