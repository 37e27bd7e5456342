// The master boot record and its chain of extended boot records, as PC systems write them: four primary entries, one of
// which may be a container of logical partitions. Everything read here may be hostile.
import type { Partition } from './table.js';

/** Bytes of a boot record, also on disks with larger blocks. */
export const BOOT_RECORD_LENGTH = 512;
/** Longest chain of extended boot records that is followed: the kernel numbers 255 partitions of a disk. */
export const MOST_LOGICAL = 252;

const at = { signature: 440, entries: 446, mark: 510 } as const;
const entryAt = { status: 0, type: 4, first: 8, blocks: 12, length: 16 } as const;

const PROTECTIVE = 0xee;
const EXTENDED: ReadonlySet<number> = new Set([0x05, 0x0f, 0x85]);

export interface MbrEntry {
  /** Place in the record, 0 to 3. */
  readonly index: number;
  readonly type: number;
  /** First block, relative to what the record is relative to, and number of blocks. */
  readonly first: number;
  readonly blocks: number;
}

/** Whether the record ends with its mark, 55h AAh. */
export function hasBootMark(record: Buffer): boolean {
  return record.readUInt16LE(at.mark) === 0xaa55;
}

/**
 * Whether the bytes may be a partition table at all: a boot sector of a file system carries the same mark, and what stands
 * in the place of the entries there is code. Only 00h and 80h are valid boot flags.
 */
export function looksLikeTable(record: Buffer): boolean {
  if (!hasBootMark(record)) return false;
  for (let i = 0; i < 4; i++) {
    const flag = record.readUInt8(at.entries + i * entryAt.length + entryAt.status);
    if (flag !== 0 && flag !== 0x80) return false;
  }
  return true;
}

/** The disk signature as 8 hex digits. */
export function diskSignature(record: Buffer): string {
  return record.readUInt32LE(at.signature).toString(16).padStart(8, '0');
}

/** The entries in use. */
export function parseEntries(record: Buffer): readonly MbrEntry[] {
  return [0, 1, 2, 3]
    .map((index) => {
      const base = at.entries + index * entryAt.length;
      return {
        index,
        type: record.readUInt8(base + entryAt.type),
        first: record.readUInt32LE(base + entryAt.first),
        blocks: record.readUInt32LE(base + entryAt.blocks),
      };
    })
    .filter((entry) => entry.type !== 0 && entry.blocks !== 0);
}

export function isExtended(entry: MbrEntry): boolean {
  return EXTENDED.has(entry.type);
}

/** Whether the record only guards a GPT. */
export function isProtective(entries: readonly MbrEntry[]): boolean {
  return entries.some((entry) => entry.type === PROTECTIVE);
}

/** A partition of `blocks` blocks from block `first` of the disk. */
export function mbrPartition(
  number: number,
  type: number,
  first: number,
  blocks: number,
  signature: string,
  blockSize: number,
): Partition {
  return {
    number,
    start: first * blockSize,
    length: blocks * blockSize,
    type: `0x${type.toString(16).padStart(2, '0')}`,
    uuid: `${signature}-${number.toString(16).padStart(2, '0')}`,
    name: '',
  };
}
