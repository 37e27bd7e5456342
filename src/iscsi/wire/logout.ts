// Logout Request and Response, RFC 7143 §11.14 and §11.15.
import { FINAL, IMMEDIATE, isImmediate, itt, Opcode, startHeader } from './bhs.js';
import { getU16, getU32, putU16, putU32 } from './bytes.js';

const at = {
  reason: 1,
  response: 2,
  itt: 16,
  cid: 20,
  cmdSn: 24,
  expStatSn: 28,
  statSn: 24,
  expCmdSn: 28,
  maxCmdSn: 32,
  time2Wait: 40,
  time2Retain: 42,
} as const;

/** Reason codes, §11.14.1, the low seven bits of byte 1. */
export const LogoutReason = { CloseSession: 0, CloseConnection: 1, RemoveForRecovery: 2 } as const;

/** Response codes, §11.15.1. */
export const LogoutResponseCode = { Closed: 0, CidNotFound: 1, RecoveryNotSupported: 2, CleanupFailed: 3 } as const;

export interface LogoutRequest {
  readonly immediate: boolean;
  /** A LogoutReason. */
  readonly reason: number;
  readonly itt: number;
  /** Counts unless the reason is CloseSession. */
  readonly cid: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
}

export function parseLogoutRequest(b: Buffer, offset = 0): LogoutRequest {
  return {
    immediate: isImmediate(b, offset),
    reason: (b[offset + at.reason] as number) & 0x7f,
    itt: itt(b, offset),
    cid: getU16(b, offset + at.cid),
    cmdSn: getU32(b, offset + at.cmdSn),
    expStatSn: getU32(b, offset + at.expStatSn),
  };
}

export function emitLogoutRequest(pdu: LogoutRequest, b: Buffer, offset = 0): void {
  const byte0 = Opcode.LogoutRequest | (pdu.immediate ? IMMEDIATE : 0);
  startHeader(b, offset, byte0, FINAL | (pdu.reason & 0x7f));
  putU32(b, offset + at.itt, pdu.itt);
  putU16(b, offset + at.cid, pdu.cid);
  putU32(b, offset + at.cmdSn, pdu.cmdSn);
  putU32(b, offset + at.expStatSn, pdu.expStatSn);
}

export interface LogoutResponse {
  /** A LogoutResponseCode. */
  readonly response: number;
  readonly itt: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  /** Seconds to wait before a reinstatement. */
  readonly time2Wait: number;
  /** Seconds after Time2Wait for which task state is kept. */
  readonly time2Retain: number;
}

export function parseLogoutResponse(b: Buffer, offset = 0): LogoutResponse {
  return {
    response: b[offset + at.response] as number,
    itt: itt(b, offset),
    statSn: getU32(b, offset + at.statSn),
    expCmdSn: getU32(b, offset + at.expCmdSn),
    maxCmdSn: getU32(b, offset + at.maxCmdSn),
    time2Wait: getU16(b, offset + at.time2Wait),
    time2Retain: getU16(b, offset + at.time2Retain),
  };
}

export function emitLogoutResponse(pdu: LogoutResponse, b: Buffer, offset = 0): void {
  startHeader(b, offset, Opcode.LogoutResponse, FINAL);
  b[offset + at.response] = pdu.response;
  putU32(b, offset + at.itt, pdu.itt);
  putU32(b, offset + at.statSn, pdu.statSn);
  putU32(b, offset + at.expCmdSn, pdu.expCmdSn);
  putU32(b, offset + at.maxCmdSn, pdu.maxCmdSn);
  putU16(b, offset + at.time2Wait, pdu.time2Wait);
  putU16(b, offset + at.time2Retain, pdu.time2Retain);
}
