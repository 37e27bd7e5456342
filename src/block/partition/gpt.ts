// The GUID partition table (UEFI Specification, chapter 5.3). Everything read here may be hostile: sizes have bounds and
// are checked before memory is taken for them.
import { crc32 } from 'node:zlib';
import { guidToText, isZeroGuid } from './guid.js';
import type { Partition } from './table.js';

const SIGNATURE = 'EFI PART';
const at = {
  headerSize: 12,
  headerCrc: 16,
  myLba: 24,
  firstUsable: 40,
  lastUsable: 48,
  diskGuid: 56,
  entriesLba: 72,
  entryCount: 80,
  entrySize: 84,
  entriesCrc: 88,
} as const;
const entryAt = { type: 0, unique: 16, firstLba: 32, lastLba: 40, name: 56, nameEnd: 128 } as const;

/** Usual tables have 128 entries of 128 bytes; the kernel numbers at most 255 partitions of a disk. */
const MOST_ENTRIES = 1024;
const LARGEST_ENTRY = 4096;
const LARGEST_ARRAY = 2 ** 20;

export interface GptHeader {
  readonly diskGuid: string;
  readonly firstUsable: bigint;
  readonly lastUsable: bigint;
  /** Block of the entry array. */
  readonly entriesLba: bigint;
  readonly entryCount: number;
  readonly entrySize: number;
  readonly entriesCrc: number;
}

/** Whether a block starts like a GPT header, be it valid or not. */
export function hasGptSignature(block: Buffer): boolean {
  return block.toString('latin1', 0, 8) === SIGNATURE;
}

/** The header in `block`, which was read from block `lba` of a disk of `blocks` blocks; a string says what is wrong with it. */
export function parseGptHeader(block: Buffer, lba: bigint, blocks: bigint): GptHeader | string {
  if (!hasGptSignature(block)) return 'no signature';
  const size = block.readUInt32LE(at.headerSize);
  if (size < 92 || size > block.length) return `a header of ${size} bytes`;
  const copy = Buffer.from(block.subarray(0, size));
  copy.writeUInt32LE(0, at.headerCrc);
  if (crc32(copy) !== block.readUInt32LE(at.headerCrc)) return 'its checksum is wrong';
  if (block.readBigUInt64LE(at.myLba) !== lba) return 'it belongs to another place on the disk';
  const header: GptHeader = {
    diskGuid: guidToText(block, at.diskGuid),
    firstUsable: block.readBigUInt64LE(at.firstUsable),
    lastUsable: block.readBigUInt64LE(at.lastUsable),
    entriesLba: block.readBigUInt64LE(at.entriesLba),
    entryCount: block.readUInt32LE(at.entryCount),
    entrySize: block.readUInt32LE(at.entrySize),
    entriesCrc: block.readUInt32LE(at.entriesCrc),
  };
  return faultOf(header, blocks, BigInt(block.length)) ?? header;
}

function faultOf(header: GptHeader, blocks: bigint, blockSize: bigint): string | null {
  const { entryCount, entrySize, entriesLba, firstUsable, lastUsable } = header;
  if (entrySize < 128 || entrySize > LARGEST_ENTRY || entrySize % 8 !== 0) return `entries of ${entrySize} bytes`;
  if (entryCount > MOST_ENTRIES || entryCount * entrySize > LARGEST_ARRAY) return `${entryCount} entries`;
  const arrayBlocks = (BigInt(entryCount * entrySize) + blockSize - 1n) / blockSize;
  if (entriesLba < 2n || entriesLba + arrayBlocks > blocks) return 'its entries are not on the disk';
  if (firstUsable > lastUsable + 1n || lastUsable >= blocks) return 'its usable blocks are not on the disk';
  return null;
}

/** Bytes of the entry array. */
export function entryArrayLength(header: GptHeader): number {
  return header.entryCount * header.entrySize;
}

export interface GptEntries {
  readonly partitions: readonly Partition[];
  /** Entries in use that lie outside of the usable blocks. */
  readonly outside: number;
}

/** The partitions in `array`, which is exactly the entry array; a string says what is wrong with it. */
export function parseGptEntries(array: Buffer, header: GptHeader, blockSize: number): GptEntries | string {
  if (crc32(array) !== header.entriesCrc) return 'the checksum of its entries is wrong';
  const partitions: Partition[] = [];
  let outside = 0;
  for (let i = 0; i < header.entryCount; i++) {
    const entry = array.subarray(i * header.entrySize, (i + 1) * header.entrySize);
    if (isZeroGuid(entry, entryAt.type)) continue;
    const first = entry.readBigUInt64LE(entryAt.firstLba);
    const last = entry.readBigUInt64LE(entryAt.lastLba);
    if (first < header.firstUsable || last > header.lastUsable || first > last) {
      outside++;
      continue;
    }
    partitions.push({
      number: i + 1,
      start: Number(first) * blockSize,
      length: Number(last - first + 1n) * blockSize,
      type: guidToText(entry, entryAt.type),
      uuid: guidToText(entry, entryAt.unique),
      name: nameIn(entry),
    });
  }
  return { partitions, outside };
}

const utf16 = new TextDecoder('utf-16le', { ignoreBOM: true });

/** 36 UTF-16 units, ended by the first zero; half characters are replaced. */
function nameIn(entry: Buffer): string {
  const text = utf16.decode(entry.subarray(entryAt.name, entryAt.nameEnd));
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}
