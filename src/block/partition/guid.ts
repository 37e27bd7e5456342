// GUIDs as GPT stores them: the first three fields little-endian (UEFI Specification, appendix A).

/** The 16 bytes at `b[at]` in their usual text form, lower case. */
export function guidToText(b: Buffer, at: number): string {
  const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, '0');
  const rest = b.toString('hex', at + 8, at + 16);
  const fields = [hex(b.readUInt32LE(at), 8), hex(b.readUInt16LE(at + 4), 4), hex(b.readUInt16LE(at + 6), 4)];
  return [...fields, rest.slice(0, 4), rest.slice(4)].join('-');
}

/** Whether all 16 bytes are zero: an unused partition entry. */
export function isZeroGuid(b: Buffer, at: number): boolean {
  return b.readBigUInt64LE(at) === 0n && b.readBigUInt64LE(at + 8) === 0n;
}
