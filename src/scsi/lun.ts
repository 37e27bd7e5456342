// Logical unit numbers, SAM-5 §4.7: 8 bytes on the wire, a Number for people. REPORT LUNS data, SPC-4 §6.33.
import { ProtocolError } from '../util/errors.js';

/** What decodeLun gives for an address that is no single-level LUN: well known units, hierarchies, unknown methods. */
export const NOT_A_LUN = -1;

/** The largest number that extended flat space addressing holds. */
export const LUN_LARGEST = 0xff_ffff;

/** The 8 bytes of the REPORT LUNS well known logical unit, SPC-4 §9.2. */
export const REPORT_LUNS_WLUN = Buffer.from('c101000000000000', 'hex');

/**
 * Writes LUN `n` to b[at..at+8): peripheral device addressing (bus 0) up to 255, flat space up to 16,383, extended
 * flat space above. This is also what LIO and tgt send. Use the bytes that REPORT LUNS gave wherever there are some.
 */
export function putLun(b: Buffer, at: number, n: number): void {
  if (!Number.isInteger(n) || n < 0 || n > LUN_LARGEST) throw new RangeError(`no such LUN: ${n}`);
  b.fill(0, at, at + 8);
  if (n < 0x100) b.writeUInt16BE(n, at);
  else if (n < 0x4000) b.writeUInt16BE(0x4000 | n, at);
  else b.writeUInt32BE(0xd200_0000 + n, at);
}

/** LUN `n` as 8 bytes. */
export function encodeLun(n: number): Buffer {
  const b = Buffer.allocUnsafe(8);
  putLun(b, 0, n);
  return b;
}

/** The number of the LUN at b[at..at+8), or NOT_A_LUN. One number may have several encodings: compare numbers. */
export function decodeLun(b: Buffer, at = 0): number {
  if (b.length < at + 8) throw new ProtocolError('SAM-5 §4.7', 'a LUN of less than 8 bytes');
  const first = b.readUInt32BE(at);
  if (b.readUInt32BE(at + 4) !== 0) return NOT_A_LUN;
  switch (first >>> 30) {
    case 0: // peripheral: bus 0 and a single level only
      return (first & 0x3f00_ffff) === 0 ? (first >>> 16) & 0xff : NOT_A_LUN;
    case 1: // flat space
      return (first & 0xffff) === 0 ? (first >>> 16) & 0x3fff : NOT_A_LUN;
    case 3: // extended flat space: length 01b, method 2h
      return first >>> 24 === 0xd2 ? first & 0xff_ffff : NOT_A_LUN;
    default:
      return NOT_A_LUN;
  }
}

/** Whether both address one unit, each in its encoding. */
export function isSameLun(a: Buffer, b: Buffer): boolean {
  return a.equals(b) || (decodeLun(a) === decodeLun(b) && decodeLun(a) !== NOT_A_LUN);
}

/** A LUN for logs: its number, or the 8 bytes in hex. */
export function lunToText(b: Buffer, at = 0): string {
  const n = decodeLun(b, at);
  return n === NOT_A_LUN ? `0x${b.toString('hex', at, at + 8)}` : String(n);
}

export interface ReportedLun {
  readonly lun: number;
  /** The 8 bytes as the target wrote them, to be sent back as they are; a copy. */
  readonly address: Buffer;
}

export interface ReportedLuns {
  /** Single-level LUNs in the target's order; other addresses are left out. */
  readonly luns: readonly ReportedLun[];
  /** Bytes that a complete answer takes; more than were given means: ask again. The target's word: bound it. */
  readonly completeLength: number;
}

/** REPORT LUNS parameter data: as many whole entries as the length field and the bytes at hand both hold. */
export function parseReportLuns(data: Buffer): ReportedLuns {
  if (data.length < 8) throw new ProtocolError('SPC-4 §6.33', `REPORT LUNS data of ${data.length} bytes`);
  const listLength = data.readUInt32BE(0);
  const end = Math.min(data.length, 8 + listLength);
  const luns: ReportedLun[] = [];
  for (let at = 8; at + 8 <= end; at += 8) {
    const lun = decodeLun(data, at);
    if (lun !== NOT_A_LUN) luns.push({ lun, address: Buffer.from(data.subarray(at, at + 8)) });
  }
  return { luns, completeLength: 8 + listLength };
}

/** REPORT LUNS parameter data, whole: the caller cuts it to the allocation length. */
export function buildReportLuns(luns: readonly number[]): Buffer {
  const b = Buffer.alloc(8 + 8 * luns.length);
  b.writeUInt32BE(8 * luns.length, 0);
  for (const [index, lun] of luns.entries()) putLun(b, 8 + 8 * index, lun);
  return b;
}
