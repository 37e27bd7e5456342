// NOP-Out, RFC 7143 §11.18: a ping of the initiator, or its answer to one of the target.
import { FINAL, IMMEDIATE, isImmediate, itt, lunOf, NO_TAG, Opcode, startHeader } from './bhs.js';
import { getU32, put8, putU32 } from './bytes.js';

const at = { lun: 8, itt: 16, ttt: 20, cmdSn: 24, expStatSn: 28 } as const;

export interface NopOut {
  readonly immediate: boolean;
  /** 8 bytes; meaningful in an answer only, where it repeats the LUN of the NOP-In. A view of the header. */
  readonly lun: Buffer;
  /** NO_TAG when no answer is wanted. */
  readonly itt: number;
  /** NO_TAG in a ping; in an answer the tag of the NOP-In. */
  readonly ttt: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
}

/** Whether the header asks for a NOP-In: it carries a task tag (§11.18.1). */
export function wantsNopIn(b: Buffer, offset = 0): boolean {
  return itt(b, offset) !== NO_TAG;
}

export function parseNopOut(b: Buffer, offset = 0): NopOut {
  return {
    immediate: isImmediate(b, offset),
    lun: lunOf(b, offset),
    itt: itt(b, offset),
    ttt: getU32(b, offset + at.ttt),
    cmdSn: getU32(b, offset + at.cmdSn),
    expStatSn: getU32(b, offset + at.expStatSn),
  };
}

export function emitNopOut(pdu: NopOut, b: Buffer, offset = 0): void {
  startHeader(b, offset, Opcode.NopOut | (pdu.immediate ? IMMEDIATE : 0), FINAL);
  put8(b, offset + at.lun, pdu.lun);
  putU32(b, offset + at.itt, pdu.itt);
  putU32(b, offset + at.ttt, pdu.ttt);
  putU32(b, offset + at.cmdSn, pdu.cmdSn);
  putU32(b, offset + at.expStatSn, pdu.expStatSn);
}
