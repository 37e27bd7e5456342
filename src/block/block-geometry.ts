// What the kernel says in sysfs about a block device.
import { readFile } from 'node:fs/promises';

export interface BlockGeometry {
  readonly sizeBytes: number;
  readonly blockSize: number;
  readonly physicalBlockSize: number;
  readonly optimalIoSize: number;
  readonly canDiscard: boolean;
  readonly readOnly: boolean;
}

/** `rdev` is the device number of stat(2). Rejects if there is no such device any more. */
export async function blockGeometry(rdev: number): Promise<BlockGeometry> {
  const major = Math.floor(rdev / 2 ** 8) & 0xfff;
  const minor = (rdev & 0xff) | (Math.floor(rdev / 2 ** 12) & 0xfff00);
  const folder = `/sys/dev/block/${major}:${minor}`;
  const number = async (path: string): Promise<number> => Number(await readFile(path, 'utf8'));
  // A partition has no queue of its own.
  const queue = async (name: string): Promise<number> =>
    number(`${folder}/queue/${name}`).catch(() => number(`${folder}/../queue/${name}`));
  return {
    // Always in units of 512, whatever the block size.
    sizeBytes: (await number(`${folder}/size`)) * 512,
    blockSize: await queue('logical_block_size'),
    physicalBlockSize: await queue('physical_block_size'),
    optimalIoSize: await queue('optimal_io_size'),
    canDiscard: (await queue('discard_max_bytes')) > 0,
    readOnly: (await number(`${folder}/ro`)) !== 0,
  };
}
