// SNACK Request, RFC 7143 §11.16: asks for PDUs again, or acknowledges Data-In. Error recovery level 1 and above.
import { FINAL, itt, lunOf, Opcode, startHeader } from './bhs.js';
import { getU32, put8, putU32 } from './bytes.js';

const at = { type: 1, lun: 8, itt: 16, ttt: 20, expStatSn: 28, begRun: 40, runLength: 44 } as const;

/** Types, §11.16.1, the low four bits of byte 1. */
export const SnackType = { DataOrR2T: 0, Status: 1, DataAck: 2, RData: 3 } as const;

export interface SnackRequest {
  /** A SnackType. */
  readonly type: number;
  /** 8 bytes, meaningful for DataAck. A view of the header. */
  readonly lun: Buffer;
  /** NO_TAG for Status and DataAck. */
  readonly itt: number;
  /** DataAck: the tag of the Data-In. RData: the SNACK Tag. Status: NO_TAG. */
  readonly ttt: number;
  readonly expStatSn: number;
  /** First DataSN, R2TSN or StatSN wanted, or the next DataSN expected. */
  readonly begRun: number;
  /** How many are wanted; 0 means all from `begRun` on. */
  readonly runLength: number;
}

export function parseSnackRequest(b: Buffer, offset = 0): SnackRequest {
  return {
    type: (b[offset + at.type] as number) & 0x0f,
    lun: lunOf(b, offset),
    itt: itt(b, offset),
    ttt: getU32(b, offset + at.ttt),
    expStatSn: getU32(b, offset + at.expStatSn),
    begRun: getU32(b, offset + at.begRun),
    runLength: getU32(b, offset + at.runLength),
  };
}

export function emitSnackRequest(pdu: SnackRequest, b: Buffer, offset = 0): void {
  startHeader(b, offset, Opcode.SnackRequest, FINAL | (pdu.type & 0x0f));
  put8(b, offset + at.lun, pdu.lun);
  putU32(b, offset + at.itt, pdu.itt);
  putU32(b, offset + at.ttt, pdu.ttt);
  putU32(b, offset + at.expStatSn, pdu.expStatSn);
  putU32(b, offset + at.begRun, pdu.begRun);
  putU32(b, offset + at.runLength, pdu.runLength);
}
