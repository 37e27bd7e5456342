// NOP-In, RFC 7143 §11.19: a ping of the target, or its answer to one of the initiator.
import { FINAL, itt, lunOf, Opcode, startHeader } from './bhs.js';
import { getU32, put8, putU32 } from './bytes.js';

const at = { lun: 8, itt: 16, ttt: 20, statSn: 24, expCmdSn: 28, maxCmdSn: 32 } as const;

export interface NopIn {
  /** 8 bytes; meaningful when `ttt` is not NO_TAG. A view of the header. */
  readonly lun: Buffer;
  /** The tag of the NOP-Out that is answered, or NO_TAG: then the PDU does not advance StatSN. */
  readonly itt: number;
  /** NO_TAG when no answer is wanted. */
  readonly ttt: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
}

export function parseNopIn(b: Buffer, offset = 0): NopIn {
  return {
    lun: lunOf(b, offset),
    itt: itt(b, offset),
    ttt: getU32(b, offset + at.ttt),
    statSn: getU32(b, offset + at.statSn),
    expCmdSn: getU32(b, offset + at.expCmdSn),
    maxCmdSn: getU32(b, offset + at.maxCmdSn),
  };
}

export function emitNopIn(pdu: NopIn, b: Buffer, offset = 0): void {
  startHeader(b, offset, Opcode.NopIn, FINAL);
  put8(b, offset + at.lun, pdu.lun);
  putU32(b, offset + at.itt, pdu.itt);
  putU32(b, offset + at.ttt, pdu.ttt);
  putU32(b, offset + at.statSn, pdu.statSn);
  putU32(b, offset + at.expCmdSn, pdu.expCmdSn);
  putU32(b, offset + at.maxCmdSn, pdu.maxCmdSn);
}
