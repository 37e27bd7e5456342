// Ready To Transfer, RFC 7143 §11.8: the target asks for one Data-Out sequence. A hot PDU.
import { ProtocolError } from '../../util/errors.js';
import { FINAL, itt, lunOf, Opcode, startHeader } from './bhs.js';
import { getU32, put8, putU32 } from './bytes.js';

const at = {
  lun: 8,
  itt: 16,
  ttt: 20,
  statSn: 24,
  expCmdSn: 28,
  maxCmdSn: 32,
  r2tSn: 36,
  bufferOffset: 40,
  length: 44,
} as const;

export interface R2T {
  /** 8 bytes, a view of the header. */
  readonly lun: Buffer;
  readonly itt: number;
  /** Never NO_TAG. */
  readonly ttt: number;
  /** The next StatSN; an R2T does not advance it. */
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  readonly r2tSn: number;
  /** First byte asked for. */
  readonly bufferOffset: number;
  /** How many bytes are asked for, at least 1. */
  readonly desiredDataTransferLength: number;
}

export function r2tTtt(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.ttt);
}

export function r2tExpCmdSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.expCmdSn);
}

export function r2tMaxCmdSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.maxCmdSn);
}

export function r2tSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.r2tSn);
}

/** Buffer Offset in bytes. */
export function r2tBufferOffset(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.bufferOffset);
}

/** Desired Data Transfer Length in bytes, at least 1: an R2T for nothing throws ProtocolError (§11.8.4). */
export function r2tLength(b: Buffer, offset = 0): number {
  const length = getU32(b, offset + at.length);
  // The upper bound, MaxBurstLength, is session state and is checked there, not here.
  if (length === 0) throw new ProtocolError('RFC 7143 §11.8.4', 'R2T asks for zero bytes');
  return length;
}

/** Writes a header; `lun` 8 bytes, `bufferOffset` and `length` bytes. */
export function putR2T(
  b: Buffer,
  offset: number,
  lun: Buffer,
  tag: number,
  ttt: number,
  statSn: number,
  expCmdSn: number,
  maxCmdSn: number,
  sn: number,
  bufferOffset: number,
  length: number,
): void {
  startHeader(b, offset, Opcode.R2T, FINAL);
  put8(b, offset + at.lun, lun);
  putU32(b, offset + at.itt, tag);
  putU32(b, offset + at.ttt, ttt);
  putU32(b, offset + at.statSn, statSn);
  putU32(b, offset + at.expCmdSn, expCmdSn);
  putU32(b, offset + at.maxCmdSn, maxCmdSn);
  putU32(b, offset + at.r2tSn, sn);
  putU32(b, offset + at.bufferOffset, bufferOffset);
  putU32(b, offset + at.length, length);
}

/** Throws ProtocolError when the R2T asks for zero bytes. */
export function parseR2T(b: Buffer, offset = 0): R2T {
  return {
    lun: lunOf(b, offset),
    itt: itt(b, offset),
    ttt: r2tTtt(b, offset),
    statSn: getU32(b, offset + at.statSn),
    expCmdSn: r2tExpCmdSn(b, offset),
    maxCmdSn: r2tMaxCmdSn(b, offset),
    r2tSn: r2tSn(b, offset),
    bufferOffset: r2tBufferOffset(b, offset),
    desiredDataTransferLength: r2tLength(b, offset),
  };
}

export function emitR2T(pdu: R2T, b: Buffer, offset = 0): void {
  putR2T(
    b,
    offset,
    pdu.lun,
    pdu.itt,
    pdu.ttt,
    pdu.statSn,
    pdu.expCmdSn,
    pdu.maxCmdSn,
    pdu.r2tSn,
    pdu.bufferOffset,
    pdu.desiredDataTransferLength,
  );
}
