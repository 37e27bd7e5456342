// Text Request, RFC 7143 §11.10.
import { FINAL, IMMEDIATE, isFinal, isImmediate, itt, lunOf, Opcode, startHeader } from './bhs.js';
import { getU32, put8, putU32 } from './bytes.js';

const at = { flags: 1, lun: 8, itt: 16, ttt: 20, cmdSn: 24, expStatSn: 28 } as const;

/** The C bit of byte 1 in Text Request and Response. */
export const TEXT_CONTINUE = 0x40;

export interface TextRequest {
  readonly immediate: boolean;
  /** F: the initiator has no more to say in this exchange. */
  readonly final: boolean;
  /** C: the text goes on in the next PDU. Never together with F. */
  readonly continues: boolean;
  /** 8 bytes, meaningful with `ttt`. A view of the header. */
  readonly lun: Buffer;
  readonly itt: number;
  /** The tag of the target's last Text Response, or NO_TAG to begin (or begin again). */
  readonly ttt: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
}

export function parseTextRequest(b: Buffer, offset = 0): TextRequest {
  return {
    immediate: isImmediate(b, offset),
    final: isFinal(b, offset),
    continues: ((b[offset + at.flags] as number) & TEXT_CONTINUE) !== 0,
    lun: lunOf(b, offset),
    itt: itt(b, offset),
    ttt: getU32(b, offset + at.ttt),
    cmdSn: getU32(b, offset + at.cmdSn),
    expStatSn: getU32(b, offset + at.expStatSn),
  };
}

export function emitTextRequest(pdu: TextRequest, b: Buffer, offset = 0): void {
  const flags = (pdu.final ? FINAL : 0) | (pdu.continues ? TEXT_CONTINUE : 0);
  startHeader(b, offset, Opcode.TextRequest | (pdu.immediate ? IMMEDIATE : 0), flags);
  put8(b, offset + at.lun, pdu.lun);
  putU32(b, offset + at.itt, pdu.itt);
  putU32(b, offset + at.ttt, pdu.ttt);
  putU32(b, offset + at.cmdSn, pdu.cmdSn);
  putU32(b, offset + at.expStatSn, pdu.expStatSn);
}
