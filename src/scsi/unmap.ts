// The UNMAP parameter list, SBC-3 §5.28.2, both ways.
import { invalidFieldInParameterList, parameterListLengthError } from './check-condition.js';
import { readU64, writeU64 } from './u64.js';

export interface BlockRange {
  /** OUT_OF_RANGE (u64.ts) above 2^53 − 1 when read from the wire. */
  readonly lba: number;
  readonly blocks: number;
}

const HEADER = 8;
const DESCRIPTOR = 16;

/** Bytes of a list of `ranges` block descriptors. */
export function unmapListLength(ranges: number): number {
  return HEADER + DESCRIPTOR * ranges;
}

/** Writes the list of one range to b[at..at+24), without allocation. */
export function putUnmapRange(b: Buffer, at: number, lba: number, blocks: number): void {
  b.writeUInt16BE(HEADER - 2 + DESCRIPTOR, at);
  b.writeUInt16BE(DESCRIPTOR, at + 2);
  b.writeUInt32BE(0, at + 4);
  writeU64(b, at + 8, lba);
  b.writeUInt32BE(blocks, at + 16);
  b.writeUInt32BE(0, at + 20);
}

/** The list of several ranges; at most 4,095 fit its length field. */
export function buildUnmapList(ranges: readonly BlockRange[]): Buffer {
  const b = Buffer.alloc(unmapListLength(ranges.length));
  b.writeUInt16BE(b.length - 2, 0);
  b.writeUInt16BE(b.length - HEADER, 2);
  for (const [index, range] of ranges.entries()) {
    const at = HEADER + DESCRIPTOR * index;
    writeU64(b, at, range.lba);
    b.writeUInt32BE(range.blocks, at + 8);
  }
  return b;
}

/**
 * The ranges of a list as received. A descriptor that the length field or the end of the data cuts off is ignored, as
 * SBC-3 says; no bytes at all are an empty list. The unit checks ranges, their number and their sum.
 * @throws CheckCondition 05/1A/00 if the header is incomplete, 05/26/00 for more than `largest` descriptors
 */
export function parseUnmapList(data: Buffer, largest: number): BlockRange[] {
  if (data.length === 0) return [];
  if (data.length < HEADER) throw parameterListLengthError('SBC-3 §5.28.1');
  const bytes = Math.min(data.readUInt16BE(2), data.length - HEADER);
  const count = Math.floor(bytes / DESCRIPTOR);
  if (count > largest) throw invalidFieldInParameterList('SBC-3 §5.28.2', 2);
  const ranges: BlockRange[] = [];
  for (let index = 0; index < count; index++) {
    const at = HEADER + DESCRIPTOR * index;
    ranges.push({ lba: readU64(data, at), blocks: data.readUInt32BE(at + 8) });
  }
  return ranges;
}
