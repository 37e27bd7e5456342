// Finds the partitions of a disk: a GUID partition table, else a master boot record.
import type { BlockDevice } from '../block-device.js';

export interface Partition {
  /** As the kernel numbers it: the entry's place in the table, from 1; logical partitions of an MBR from 5. */
  readonly number: number;
  /** Bytes from the start of the disk. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** GPT: the type GUID in lower case. MBR: `0x83` and the like. */
  readonly type: string;
  /** GPT: the unique GUID in lower case. MBR: disk signature and number, `1a2b3c4d-01`. */
  readonly uuid: string;
  /** GPT: the partition's name. MBR: empty. */
  readonly name: string;
}

export interface PartitionTable {
  readonly kind: 'gpt' | 'mbr' | 'none';
  /** GPT: the disk GUID. MBR: the disk signature as 8 hex digits. None: empty. */
  readonly uuid: string;
  readonly partitions: readonly Partition[];
  /** Why the list is empty or shorter than the table says, or which copy of the table was used; null if all is well. */
  readonly reason: string | null;
}

/** The partition table of `device`. Rejects only with BlockError, when the device cannot be read. */
export function readPartitionTable(_device: BlockDevice): Promise<PartitionTable> {
  throw new Error('under construction');
}

/** The partitions of `device`, in the order of their numbers; empty where there is no usable table. */
export async function readPartitions(device: BlockDevice): Promise<readonly Partition[]> {
  return (await readPartitionTable(device)).partitions;
}
