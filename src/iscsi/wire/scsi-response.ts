// SCSI Response, RFC 7143 §11.4. A hot PDU: fields can be read and headers written without an object.
import { ProtocolError } from '../../util/errors.js';
import { FINAL, itt, Opcode, startHeader } from './bhs.js';
import { getU16, getU32, putU16, putU32 } from './bytes.js';

const at = {
  flags: 1,
  response: 2,
  status: 3,
  itt: 16,
  snackTag: 20,
  statSn: 24,
  expCmdSn: 28,
  maxCmdSn: 32,
  expDataSn: 36,
  bidiResidual: 40,
  residual: 44,
} as const;

/** Flag bits of byte 1, §11.4.1; Overflow and Underflow are also bits of Data-In (§11.7.2). */
export const ResidualFlag = { BidiOverflow: 0x10, BidiUnderflow: 0x08, Overflow: 0x04, Underflow: 0x02 } as const;

/** Response codes, §11.4.3; 0x80 to 0xff are vendor specific. Status is valid with Completed only. */
export const ScsiResponseCode = { Completed: 0, TargetFailure: 1 } as const;

export interface ScsiResponse {
  readonly bidiOverflow: boolean;
  readonly bidiUnderflow: boolean;
  readonly overflow: boolean;
  readonly underflow: boolean;
  /** A ScsiResponseCode. */
  readonly response: number;
  /** The SCSI status, as SAM numbers it. */
  readonly status: number;
  readonly itt: number;
  readonly snackTag: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  /** How many Data-In (read) or R2T (write) PDUs the target sent for the command. */
  readonly expDataSn: number;
  /** Bytes, valid with one of the bidi flags. */
  readonly bidiResidual: number;
  /** Bytes, valid with overflow or underflow. */
  readonly residual: number;
}

/** Byte 1: ResidualFlag bits; the top bit is always 1. */
export function responseFlags(b: Buffer, offset = 0): number {
  return b[offset + at.flags] as number;
}

export function responseCode(b: Buffer, offset = 0): number {
  return b[offset + at.response] as number;
}

export function responseStatus(b: Buffer, offset = 0): number {
  return b[offset + at.status] as number;
}

export function responseStatSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.statSn);
}

export function responseExpCmdSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.expCmdSn);
}

export function responseMaxCmdSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.maxCmdSn);
}

/** Number of Data-In or R2T PDUs that the command should have seen. */
export function responseExpDataSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.expDataSn);
}

/** Residual count in bytes. */
export function responseResidual(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.residual);
}

/** Writes a header without bidirectional residual and SNACK tag; `flags` is ResidualFlag bits, `residual` bytes. */
export function putScsiResponse(
  b: Buffer,
  offset: number,
  flags: number,
  response: number,
  status: number,
  tag: number,
  statSn: number,
  expCmdSn: number,
  maxCmdSn: number,
  expDataSn: number,
  residual: number,
): void {
  startHeader(b, offset, Opcode.ScsiResponse, FINAL | flags);
  b[offset + at.response] = response;
  b[offset + at.status] = status;
  putU32(b, offset + at.itt, tag);
  putU32(b, offset + at.statSn, statSn);
  putU32(b, offset + at.expCmdSn, expCmdSn);
  putU32(b, offset + at.maxCmdSn, maxCmdSn);
  putU32(b, offset + at.expDataSn, expDataSn);
  putU32(b, offset + at.residual, residual);
}

export function parseScsiResponse(b: Buffer, offset = 0): ScsiResponse {
  const flags = responseFlags(b, offset);
  return {
    bidiOverflow: (flags & ResidualFlag.BidiOverflow) !== 0,
    bidiUnderflow: (flags & ResidualFlag.BidiUnderflow) !== 0,
    overflow: (flags & ResidualFlag.Overflow) !== 0,
    underflow: (flags & ResidualFlag.Underflow) !== 0,
    response: responseCode(b, offset),
    status: responseStatus(b, offset),
    itt: itt(b, offset),
    snackTag: getU32(b, offset + at.snackTag),
    statSn: responseStatSn(b, offset),
    expCmdSn: responseExpCmdSn(b, offset),
    maxCmdSn: responseMaxCmdSn(b, offset),
    expDataSn: responseExpDataSn(b, offset),
    bidiResidual: getU32(b, offset + at.bidiResidual),
    residual: responseResidual(b, offset),
  };
}

export function emitScsiResponse(pdu: ScsiResponse, b: Buffer, offset = 0): void {
  const flags =
    (pdu.bidiOverflow ? ResidualFlag.BidiOverflow : 0) |
    (pdu.bidiUnderflow ? ResidualFlag.BidiUnderflow : 0) |
    (pdu.overflow ? ResidualFlag.Overflow : 0) |
    (pdu.underflow ? ResidualFlag.Underflow : 0);
  putScsiResponse(
    b,
    offset,
    flags,
    pdu.response,
    pdu.status,
    pdu.itt,
    pdu.statSn,
    pdu.expCmdSn,
    pdu.maxCmdSn,
    pdu.expDataSn,
    pdu.residual,
  );
  putU32(b, offset + at.snackTag, pdu.snackTag);
  putU32(b, offset + at.bidiResidual, pdu.bidiResidual);
}

export interface ResponseData {
  /** Sense data, maybe empty: a view of the data segment. */
  readonly sense: Buffer;
  /** What follows the sense data. */
  readonly responseData: Buffer;
}

/** Splits the data segment of a SCSI Response (§11.4.7). Throws ProtocolError when SenseLength runs past its end. */
export function parseResponseData(data: Buffer): ResponseData {
  if (data.length === 0) return { sense: data, responseData: data };
  const length = data.length < 2 ? 0xffff : getU16(data, 0);
  if (2 + length > data.length) {
    throw new ProtocolError('RFC 7143 §11.4.7', `sense of ${length} bytes in a data segment of ${data.length}`);
  }
  return { sense: data.subarray(2, 2 + length), responseData: data.subarray(2 + length) };
}

/** The data segment that carries `sense` (at most 65,535 bytes). */
export function buildResponseData(sense: Buffer): Buffer {
  const data = Buffer.alloc(2 + sense.length);
  putU16(data, 0, sense.length);
  sense.copy(data, 2);
  return data;
}
