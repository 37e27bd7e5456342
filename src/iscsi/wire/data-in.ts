// SCSI Data-In, RFC 7143 §11.7. A hot PDU: fields can be read and headers written without an object.
import { FINAL, itt, lunOf, NO_TAG, Opcode, startHeader } from './bhs.js';
import { getU32, put8, putU32 } from './bytes.js';
import { ResidualFlag } from './scsi-response.js';

const at = {
  flags: 1,
  status: 3,
  lun: 8,
  itt: 16,
  ttt: 20,
  statSn: 24,
  expCmdSn: 28,
  maxCmdSn: 32,
  dataSn: 36,
  bufferOffset: 40,
  residual: 44,
} as const;

/** Flag bits of byte 1, §11.7.2. Status, StatSN and the residual are valid with Status only, which needs Final. */
export const DataInFlag = {
  Final: FINAL,
  Acknowledge: 0x40,
  Overflow: ResidualFlag.Overflow,
  Underflow: ResidualFlag.Underflow,
  Status: 0x01,
} as const;

export interface DataIn {
  readonly final: boolean;
  /** The target wants a DataACK SNACK (error recovery level 1 and above). */
  readonly acknowledge: boolean;
  readonly overflow: boolean;
  readonly underflow: boolean;
  /** The PDU ends the command: `status`, `statSn` and `residual` count. */
  readonly hasStatus: boolean;
  readonly status: number;
  /** 8 bytes, meaningful with `ttt`. A view of the header. */
  readonly lun: Buffer;
  readonly itt: number;
  /** NO_TAG unless `acknowledge`. */
  readonly ttt: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  readonly dataSn: number;
  /** Where the data belongs in the command's buffer, in bytes. */
  readonly bufferOffset: number;
  /** Bytes. */
  readonly residual: number;
}

/** Byte 1: DataInFlag bits. */
export function dataInFlags(b: Buffer, offset = 0): number {
  return b[offset + at.flags] as number;
}

export function dataInStatus(b: Buffer, offset = 0): number {
  return b[offset + at.status] as number;
}

export function dataInTtt(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.ttt);
}

/** Valid with DataInFlag.Status only. */
export function dataInStatSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.statSn);
}

export function dataInExpCmdSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.expCmdSn);
}

export function dataInMaxCmdSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.maxCmdSn);
}

export function dataInDataSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.dataSn);
}

/** Buffer Offset in bytes. */
export function dataInBufferOffset(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.bufferOffset);
}

/** Residual count in bytes. */
export function dataInResidual(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.residual);
}

/** Writes a header without Target Transfer Tag; `flags` is DataInFlag bits. Without Status, `statSn` must be 0. */
export function putDataIn(
  b: Buffer,
  offset: number,
  flags: number,
  status: number,
  tag: number,
  statSn: number,
  expCmdSn: number,
  maxCmdSn: number,
  dataSn: number,
  bufferOffset: number,
  residual: number,
): void {
  startHeader(b, offset, Opcode.DataIn, flags);
  b[offset + at.status] = status;
  putU32(b, offset + at.itt, tag);
  putU32(b, offset + at.ttt, NO_TAG);
  putU32(b, offset + at.statSn, statSn);
  putU32(b, offset + at.expCmdSn, expCmdSn);
  putU32(b, offset + at.maxCmdSn, maxCmdSn);
  putU32(b, offset + at.dataSn, dataSn);
  putU32(b, offset + at.bufferOffset, bufferOffset);
  putU32(b, offset + at.residual, residual);
}

export function parseDataIn(b: Buffer, offset = 0): DataIn {
  const flags = dataInFlags(b, offset);
  return {
    final: (flags & DataInFlag.Final) !== 0,
    acknowledge: (flags & DataInFlag.Acknowledge) !== 0,
    overflow: (flags & DataInFlag.Overflow) !== 0,
    underflow: (flags & DataInFlag.Underflow) !== 0,
    hasStatus: (flags & DataInFlag.Status) !== 0,
    status: dataInStatus(b, offset),
    lun: lunOf(b, offset),
    itt: itt(b, offset),
    ttt: dataInTtt(b, offset),
    statSn: dataInStatSn(b, offset),
    expCmdSn: dataInExpCmdSn(b, offset),
    maxCmdSn: dataInMaxCmdSn(b, offset),
    dataSn: dataInDataSn(b, offset),
    bufferOffset: dataInBufferOffset(b, offset),
    residual: dataInResidual(b, offset),
  };
}

export function emitDataIn(pdu: DataIn, b: Buffer, offset = 0): void {
  const flags =
    (pdu.final ? DataInFlag.Final : 0) |
    (pdu.acknowledge ? DataInFlag.Acknowledge : 0) |
    (pdu.overflow ? DataInFlag.Overflow : 0) |
    (pdu.underflow ? DataInFlag.Underflow : 0) |
    (pdu.hasStatus ? DataInFlag.Status : 0);
  putDataIn(
    b,
    offset,
    flags,
    pdu.status,
    pdu.itt,
    pdu.statSn,
    pdu.expCmdSn,
    pdu.maxCmdSn,
    pdu.dataSn,
    pdu.bufferOffset,
    pdu.residual,
  );
  put8(b, offset + at.lun, pdu.lun);
  putU32(b, offset + at.ttt, pdu.ttt);
}
