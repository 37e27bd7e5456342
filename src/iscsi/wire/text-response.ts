// Text Response, RFC 7143 §11.11.
import { FINAL, isFinal, itt, lunOf, Opcode, startHeader } from './bhs.js';
import { getU32, put8, putU32 } from './bytes.js';
import { TEXT_CONTINUE } from './text-request.js';

const at = { flags: 1, lun: 8, itt: 16, ttt: 20, statSn: 24, expCmdSn: 28, maxCmdSn: 32 } as const;

export interface TextResponse {
  /** F: the exchange is over. */
  readonly final: boolean;
  /** C: the text goes on; the initiator answers with an empty Text Request. Never together with F. */
  readonly continues: boolean;
  /** 8 bytes, meaningful with `ttt`. A view of the header. */
  readonly lun: Buffer;
  readonly itt: number;
  /** NO_TAG with F, else the tag that the next Text Request repeats. */
  readonly ttt: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
}

export function parseTextResponse(b: Buffer, offset = 0): TextResponse {
  return {
    final: isFinal(b, offset),
    continues: ((b[offset + at.flags] as number) & TEXT_CONTINUE) !== 0,
    lun: lunOf(b, offset),
    itt: itt(b, offset),
    ttt: getU32(b, offset + at.ttt),
    statSn: getU32(b, offset + at.statSn),
    expCmdSn: getU32(b, offset + at.expCmdSn),
    maxCmdSn: getU32(b, offset + at.maxCmdSn),
  };
}

export function emitTextResponse(pdu: TextResponse, b: Buffer, offset = 0): void {
  startHeader(b, offset, Opcode.TextResponse, (pdu.final ? FINAL : 0) | (pdu.continues ? TEXT_CONTINUE : 0));
  put8(b, offset + at.lun, pdu.lun);
  putU32(b, offset + at.itt, pdu.itt);
  putU32(b, offset + at.ttt, pdu.ttt);
  putU32(b, offset + at.statSn, pdu.statSn);
  putU32(b, offset + at.expCmdSn, pdu.expCmdSn);
  putU32(b, offset + at.maxCmdSn, pdu.maxCmdSn);
}
