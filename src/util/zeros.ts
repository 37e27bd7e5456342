// Whether bytes are all zero, told soon where they are not.

const ZEROS = Buffer.alloc(65_536);

/** Looks at little more than the bytes up to the first that is not zero. Allocates nothing. */
export function isZeros(bytes: Buffer): boolean {
  // Most data shows itself here, without the call.
  if (bytes[0] !== 0 || bytes[bytes.length - 1] !== 0) return bytes.length === 0;
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const end = Math.min(bytes.length, at + ZEROS.length);
    if (bytes.compare(ZEROS, 0, end - at, at, end) !== 0) return false;
  }
  return true;
}
