// 64-bit big-endian fields of SCSI data as Numbers: exact up to 2^53 − 1, and never rounded above it.

const WORD = 2 ** 32;

/** What a 64-bit field above 2^53 − 1 reads as. Any range check (`lba + n > capacity`) then fails by itself. */
export const OUT_OF_RANGE = Number.POSITIVE_INFINITY;

/** The unsigned 64-bit number at b[at..at+8), or OUT_OF_RANGE above 2^53 − 1. */
export function readU64(b: Buffer, at: number): number {
  const high = b.readUInt32BE(at);
  return high < 0x20_0000 ? high * WORD + b.readUInt32BE(at + 4) : OUT_OF_RANGE;
}

/** Writes an integer of 0 … 2^53 − 1 to b[at..at+8). */
export function writeU64(b: Buffer, at: number, value: number): void {
  b.writeUInt32BE(Math.floor(value / WORD), at);
  b.writeUInt32BE(value >>> 0, at + 4);
}
