// Reject, RFC 7143 §11.17. Its data segment is the header of the PDU that was refused.
import { FINAL, NO_TAG, Opcode, startHeader } from './bhs.js';
import { getU32, putU32 } from './bytes.js';

const at = { reason: 2, itt: 16, statSn: 24, expCmdSn: 28, maxCmdSn: 32, dataSn: 36 } as const;

/** Reason codes, §11.17.1; 1 is reserved, NegotiationReset deprecated. */
export const RejectReason = {
  DataDigestError: 0x02,
  SnackReject: 0x03,
  ProtocolError: 0x04,
  CommandNotSupported: 0x05,
  ImmediateCommandReject: 0x06,
  TaskInProgress: 0x07,
  InvalidDataAck: 0x08,
  InvalidPduField: 0x09,
  LongOperationReject: 0x0a,
  NegotiationReset: 0x0b,
  WaitingForLogout: 0x0c,
} as const;

const TEXTS: Record<number, string> = {
  [RejectReason.DataDigestError]: 'data digest error',
  [RejectReason.SnackReject]: 'SNACK reject',
  [RejectReason.ProtocolError]: 'protocol error',
  [RejectReason.CommandNotSupported]: 'command not supported',
  [RejectReason.ImmediateCommandReject]: 'too many immediate commands',
  [RejectReason.TaskInProgress]: 'task in progress',
  [RejectReason.InvalidDataAck]: 'invalid data acknowledgement',
  [RejectReason.InvalidPduField]: 'invalid PDU field',
  [RejectReason.LongOperationReject]: 'long operation reject',
  [RejectReason.NegotiationReset]: 'negotiation reset',
  [RejectReason.WaitingForLogout]: 'waiting for logout',
};

/** What a reason means, for messages; an unknown one as its number in hex. */
export function rejectReasonText(reason: number): string {
  return TEXTS[reason] ?? `reason 0x${reason.toString(16).padStart(2, '0')}`;
}

export interface Reject {
  /** A RejectReason. */
  readonly reason: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  /** DataSN or R2TSN: counts in the answer to a SNACK only. */
  readonly dataSn: number;
}

export function parseReject(b: Buffer, offset = 0): Reject {
  return {
    reason: b[offset + at.reason] as number,
    statSn: getU32(b, offset + at.statSn),
    expCmdSn: getU32(b, offset + at.expCmdSn),
    maxCmdSn: getU32(b, offset + at.maxCmdSn),
    dataSn: getU32(b, offset + at.dataSn),
  };
}

export function emitReject(pdu: Reject, b: Buffer, offset = 0): void {
  startHeader(b, offset, Opcode.Reject, FINAL);
  b[offset + at.reason] = pdu.reason;
  putU32(b, offset + at.itt, NO_TAG);
  putU32(b, offset + at.statSn, pdu.statSn);
  putU32(b, offset + at.expCmdSn, pdu.expCmdSn);
  putU32(b, offset + at.maxCmdSn, pdu.maxCmdSn);
  putU32(b, offset + at.dataSn, pdu.dataSn);
}
