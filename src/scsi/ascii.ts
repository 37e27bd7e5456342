// ASCII fields of INQUIRY and VPD data, SPC-4 §4.3.1: left-aligned, padded with blanks, 20h to 7Eh only.

/**
 * The text of b[start..end): without the padding, and without whatever a peer put in it that is not printable ASCII,
 * since it is shown to people and becomes part of names.
 */
export function readAscii(b: Buffer, start: number, end: number): string {
  let text = '';
  for (const byte of b.subarray(start, end)) {
    if (byte >= 0x20 && byte <= 0x7e) text += String.fromCharCode(byte);
  }
  return text.trim();
}

/** Writes `text` to b[start..end), cut or padded with blanks to fit; what is not printable ASCII becomes a blank. */
export function writeAscii(b: Buffer, start: number, end: number, text: string): void {
  b.fill(0x20, start, end);
  b.write(text.replace(/[^\x20-\x7e]/g, ' ').slice(0, end - start), start, 'latin1');
}
