// READ CAPACITY(10) and (16) parameter data, SBC-3 §5.15 and §5.16, both ways.
import { ProtocolError } from '../util/errors.js';
import { readU64, writeU64 } from './u64.js';

export interface Capacity {
  /** Number of logical blocks. */
  readonly blocks: number;
  /** Bytes of a logical block. */
  readonly blockSize: number;
  /** Bytes of a physical block: `blockSize` times a power of two. Just `blockSize` after READ CAPACITY(10). */
  readonly physicalBlockSize: number;
  /** LOWEST ALIGNED LOGICAL BLOCK ADDRESS. */
  readonly lowestAlignedLba: number;
  /** Protection type 1 … 3, or 0 for none. */
  readonly protectionType: number;
  /** LBPME: the unit is thin or deallocates. */
  readonly thin: boolean;
  /** LBPRZ: unmapped blocks read as zeros. */
  readonly unmappedReadsZero: boolean;
}

const PLAIN = { lowestAlignedLba: 0, protectionType: 0, thin: false, unmappedReadsZero: false } as const;

function checked(clause: string, lastLba: number, blockSize: number): { blocks: number; blockSize: number } {
  if (blockSize === 0) throw new ProtocolError(clause, 'a logical block length of 0');
  const blocks = lastLba + 1;
  // Offsets in bytes are Numbers everywhere above: a unit of 8 PiB or more cannot be addressed.
  if (!Number.isSafeInteger(blocks * blockSize)) {
    throw new ProtocolError(clause, `a unit of more than 2^53 bytes (block length ${blockSize})`);
  }
  return { blocks, blockSize };
}

/**
 * READ CAPACITY(10) data; null if the unit has more than 2^32 − 1 blocks, so that READ CAPACITY(16) must be asked.
 * @throws ProtocolError below 8 bytes or with a block length of 0
 */
export function parseReadCapacity10(data: Buffer): Capacity | null {
  const clause = 'SBC-3 §5.15.2';
  if (data.length < 8) throw new ProtocolError(clause, `READ CAPACITY(10) data of ${data.length} bytes`);
  const lastLba = data.readUInt32BE(0);
  if (lastLba === 0xffff_ffff) return null;
  const size = checked(clause, lastLba, data.readUInt32BE(4));
  return { ...PLAIN, ...size, physicalBlockSize: size.blockSize };
}

/**
 * READ CAPACITY(16) data; what follows byte 12 may be missing.
 * @throws ProtocolError below 12 bytes, with a block length of 0, or for a unit that exceeds 2^53 bytes
 */
export function parseReadCapacity16(data: Buffer): Capacity {
  const clause = 'SBC-3 §5.16.2';
  if (data.length < 12) throw new ProtocolError(clause, `READ CAPACITY(16) data of ${data.length} bytes`);
  const size = checked(clause, readU64(data, 0), data.readUInt32BE(8));
  if (data.length < 16) return { ...PLAIN, ...size, physicalBlockSize: size.blockSize };
  const byte12 = data.readUInt8(12);
  const alignment = data.readUInt16BE(14);
  return {
    ...size,
    physicalBlockSize: size.blockSize * 2 ** (data.readUInt8(13) & 0x0f),
    lowestAlignedLba: alignment & 0x3fff,
    protectionType: (byte12 & 1) === 0 ? 0 : 1 + ((byte12 >> 1) & 7),
    thin: (alignment & 0x8000) !== 0,
    unmappedReadsZero: (alignment & 0x4000) !== 0,
  };
}

/** 8 bytes of READ CAPACITY(10) data; FFFFFFFFh as the last LBA where the real one does not fit. */
export function buildReadCapacity10(capacity: Pick<Capacity, 'blocks' | 'blockSize'>): Buffer {
  const b = Buffer.alloc(8);
  b.writeUInt32BE(Math.min(capacity.blocks - 1, 0xffff_ffff), 0);
  b.writeUInt32BE(capacity.blockSize, 4);
  return b;
}

/** 32 bytes of READ CAPACITY(16) data; the caller cuts them to the allocation length. */
export function buildReadCapacity16(capacity: Capacity): Buffer {
  const b = Buffer.alloc(32);
  writeU64(b, 0, capacity.blocks - 1);
  b.writeUInt32BE(capacity.blockSize, 8);
  b[12] = capacity.protectionType === 0 ? 0 : 1 | ((capacity.protectionType - 1) << 1);
  b[13] = Math.round(Math.log2(capacity.physicalBlockSize / capacity.blockSize)) & 0x0f;
  const flags = (capacity.thin ? 0x8000 : 0) | (capacity.unmappedReadsZero ? 0x4000 : 0);
  b.writeUInt16BE(flags | (capacity.lowestAlignedLba & 0x3fff), 14);
  return b;
}
