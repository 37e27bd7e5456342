// The Basic Header Segment, RFC 7143 §11.2: what every PDU has in common, read straight from the header.
import { getU24, getU32, putU24 } from './bytes.js';

/** Size of the Basic Header Segment in bytes. */
export const BHS_LENGTH = 48;
/** Size of a header or data digest in bytes. */
export const DIGEST_LENGTH = 4;
/** The reserved value of Initiator Task Tag, Target Transfer Tag and Referenced Task Tag. */
export const NO_TAG = 0xffff_ffff;
/** The bit of byte 0 that marks immediate delivery (§11.2.1.1). */
export const IMMEDIATE = 0x40;
/** The bit of byte 1 that marks the last PDU of a sequence (§11.2.1.3). */
export const FINAL = 0x80;

/** Operation codes, §11.2.1.2: below 0x20 from the initiator, from 0x20 on from the target. */
export const Opcode = {
  NopOut: 0x00,
  ScsiCommand: 0x01,
  TaskManagementRequest: 0x02,
  LoginRequest: 0x03,
  TextRequest: 0x04,
  DataOut: 0x05,
  LogoutRequest: 0x06,
  SnackRequest: 0x10,
  NopIn: 0x20,
  ScsiResponse: 0x21,
  TaskManagementResponse: 0x22,
  LoginResponse: 0x23,
  TextResponse: 0x24,
  DataIn: 0x25,
  LogoutResponse: 0x26,
  R2T: 0x31,
  AsyncMessage: 0x32,
  Reject: 0x3f,
} as const;
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

const NAMES = new Map<number, string>(Object.entries(Opcode).map(([name, code]) => [code, name]));

/** The name of an operation code for logs; an unknown one in hex. */
export function opcodeName(opcode: number): string {
  return NAMES.get(opcode) ?? `opcode 0x${opcode.toString(16).padStart(2, '0')}`;
}

/** Offsets of the fields that most headers share. */
export const At = { flags: 1, totalAhsLength: 4, dataSegmentLength: 5, lun: 8, itt: 16 } as const;

/** The operation code of the header at `b[at..at+48)`, without the immediate bit. */
export function opcodeOf(b: Buffer, at = 0): number {
  return (b[at] as number) & 0x3f;
}

/** Whether the I bit is set. Its meaning is defined for requests only. */
export function isImmediate(b: Buffer, at = 0): boolean {
  return ((b[at] as number) & IMMEDIATE) !== 0;
}

/** Whether the F bit is set (in Login PDUs the same bit is T). */
export function isFinal(b: Buffer, at = 0): boolean {
  return ((b[at + At.flags] as number) & FINAL) !== 0;
}

/** The Initiator Task Tag. In Async Message and Reject these four bytes are NO_TAG. */
export function itt(b: Buffer, at = 0): number {
  return getU32(b, at + At.itt);
}

/** Length of all Additional Header Segments together, in bytes: 0 to 1020, a multiple of 4 (§11.2.1.5). */
export function ahsLength(b: Buffer, at = 0): number {
  return (b[at + At.totalAhsLength] as number) * 4;
}

/** DataSegmentLength in bytes without padding: 0 to 2^24−1 (§11.2.1.6). */
export function dataSegmentLength(b: Buffer, at = 0): number {
  return getU24(b, at + At.dataSegmentLength);
}

/** Writes both length fields; `ahs` and `data` in bytes, `ahs` a multiple of 4. */
export function putLengths(b: Buffer, at: number, ahs: number, data: number): void {
  b[at + At.totalAhsLength] = ahs >>> 2;
  putU24(b, at + At.dataSegmentLength, data);
}

/** `length` rounded up to a multiple of four, as segments are padded (§11.1). */
export function pad4(length: number): number {
  return (length + 3) & ~3;
}

/** Clears the 48 bytes and writes operation code and flags: headers come from reused memory. */
export function startHeader(b: Buffer, at: number, byte0: number, flags: number): void {
  b.fill(0, at, at + BHS_LENGTH);
  b[at] = byte0;
  b[at + At.flags] = flags;
}

/** The 8 bytes of the LUN field: a view, valid as long as the header is. */
export function lunOf(b: Buffer, at = 0): Buffer {
  return b.subarray(at + At.lun, at + At.lun + 8);
}
