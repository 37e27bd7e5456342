// SCSI Data-Out, RFC 7143 §11.7. A hot PDU: fields can be read and headers written without an object.
import { FINAL, isFinal, itt, lunOf, Opcode, startHeader } from './bhs.js';
import { getU32, put8, putU32 } from './bytes.js';

const at = { lun: 8, itt: 16, ttt: 20, expStatSn: 28, dataSn: 36, bufferOffset: 40 } as const;

export interface DataOut {
  /** The last PDU of the sequence: of the unsolicited data, or of the answer to one R2T. */
  readonly final: boolean;
  /** 8 bytes, meaningful with `ttt`: that of the R2T. A view of the header. */
  readonly lun: Buffer;
  readonly itt: number;
  /** The tag of the R2T, or NO_TAG for unsolicited data. */
  readonly ttt: number;
  readonly expStatSn: number;
  /** Counts from 0 in each sequence. */
  readonly dataSn: number;
  /** Where the data belongs in the command's buffer, in bytes. */
  readonly bufferOffset: number;
}

export function dataOutTtt(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.ttt);
}

export function dataOutExpStatSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.expStatSn);
}

export function dataOutDataSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.dataSn);
}

/** Buffer Offset in bytes. */
export function dataOutBufferOffset(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.bufferOffset);
}

/** Writes a header. `lun` is the 8 bytes of the command's or the R2T's LUN. */
export function putDataOut(
  b: Buffer,
  offset: number,
  final: boolean,
  lun: Buffer,
  tag: number,
  ttt: number,
  expStatSn: number,
  dataSn: number,
  bufferOffset: number,
): void {
  startHeader(b, offset, Opcode.DataOut, final ? FINAL : 0);
  put8(b, offset + at.lun, lun);
  putU32(b, offset + at.itt, tag);
  putU32(b, offset + at.ttt, ttt);
  putU32(b, offset + at.expStatSn, expStatSn);
  putU32(b, offset + at.dataSn, dataSn);
  putU32(b, offset + at.bufferOffset, bufferOffset);
}

export function parseDataOut(b: Buffer, offset = 0): DataOut {
  return {
    final: isFinal(b, offset),
    lun: lunOf(b, offset),
    itt: itt(b, offset),
    ttt: dataOutTtt(b, offset),
    expStatSn: dataOutExpStatSn(b, offset),
    dataSn: dataOutDataSn(b, offset),
    bufferOffset: dataOutBufferOffset(b, offset),
  };
}

export function emitDataOut(pdu: DataOut, b: Buffer, offset = 0): void {
  putDataOut(b, offset, pdu.final, pdu.lun, pdu.itt, pdu.ttt, pdu.expStatSn, pdu.dataSn, pdu.bufferOffset);
}
