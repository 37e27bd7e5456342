// CRC32C (Castagnoli), slicing by 8 in plain JavaScript: for short runs, and where WebAssembly is missing.

/** The generator polynomial of RFC 7143 §13.1 (0x11edc6f41) with its bits reversed. */
const POLYNOMIAL = 0x82f6_3b78;

/**
 * `count` tables of 256 entries, one behind the other: entry [k][n] is what byte n does to the register when k more
 * bytes follow it.
 */
export function crc32cTables(count: number): Int32Array<ArrayBuffer> {
  const tables = new Int32Array(count * 256);
  for (let n = 0; n < 256; n++) {
    let value = n;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
    tables[n] = value;
  }
  for (let i = 256; i < tables.length; i++) {
    const shorter = tables[i - 256] as number;
    tables[i] = (shorter >>> 8) ^ (tables[shorter & 0xff] as number);
  }
  return tables;
}

const T = crc32cTables(8);

/** Runs `buf[start..end)` through the bare register `crc` (no inversion before or after). */
export function crc32cRegisterJs(buf: Uint8Array, start: number, end: number, crc: number): number {
  let c = crc;
  let i = start;
  for (const last = end - 8; i <= last; i += 8) {
    c ^=
      (buf[i] as number) |
      ((buf[i + 1] as number) << 8) |
      ((buf[i + 2] as number) << 16) |
      ((buf[i + 3] as number) << 24);
    c =
      (T[1792 + (c & 0xff)] as number) ^
      (T[1536 + ((c >>> 8) & 0xff)] as number) ^
      (T[1280 + ((c >>> 16) & 0xff)] as number) ^
      (T[1024 + (c >>> 24)] as number) ^
      (T[768 + (buf[i + 4] as number)] as number) ^
      (T[512 + (buf[i + 5] as number)] as number) ^
      (T[256 + (buf[i + 6] as number)] as number) ^
      (T[buf[i + 7] as number] as number);
  }
  for (; i < end; i++) c = (c >>> 8) ^ (T[(c ^ (buf[i] as number)) & 0xff] as number);
  return c;
}
