// Big-endian fields at fixed offsets, one byte at a time: several times faster than Buffer's checked methods, which
// matters because every PDU passes here. The framer has checked lengths, so offsets are always inside the buffer.

/** The unsigned 16-bit number at `b[at..at+2)`. */
export function getU16(b: Buffer, at: number): number {
  return ((b[at] as number) << 8) | (b[at + 1] as number);
}

/** The unsigned 24-bit number at `b[at..at+3)`. */
export function getU24(b: Buffer, at: number): number {
  return ((b[at] as number) << 16) | ((b[at + 1] as number) << 8) | (b[at + 2] as number);
}

/** The unsigned 32-bit number at `b[at..at+4)`. */
export function getU32(b: Buffer, at: number): number {
  return (
    (((b[at] as number) << 24) |
      ((b[at + 1] as number) << 16) |
      ((b[at + 2] as number) << 8) |
      (b[at + 3] as number)) >>>
    0
  );
}

/** Writes the low 16 bits of `value`. */
export function putU16(b: Buffer, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}

/** Writes the low 24 bits of `value`. */
export function putU24(b: Buffer, at: number, value: number): void {
  b[at] = value >>> 16;
  b[at + 1] = value >>> 8;
  b[at + 2] = value;
}

/** Writes the low 32 bits of `value`. */
export function putU32(b: Buffer, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

/** Copies the 8 bytes of a LUN, or of any field of that size. */
export function put8(b: Buffer, at: number, from: Buffer): void {
  for (let i = 0; i < 8; i++) b[at + i] = from[i] as number;
}
