// What a partition table says, whichever kind it is.

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
  /** GPT: the partition's name. MBR: empty. From the disk as it is: strip control characters before showing it. */
  readonly name: string;
}

export interface PartitionTable {
  readonly kind: 'gpt' | 'mbr' | 'none';
  /** GPT: the disk GUID. MBR: the disk signature as 8 hex digits. None: empty. */
  readonly uuid: string;
  /** In the order of their numbers. */
  readonly partitions: readonly Partition[];
  /** Why the list is empty or shorter than the table says, or which copy of the table was used; null if all is well. */
  readonly reason: string | null;
}

export const NO_TABLE: PartitionTable = { kind: 'none', uuid: '', partitions: [], reason: null };
