// Asynchronous Message, RFC 7143 §11.9.
import { ProtocolError } from '../../util/errors.js';
import { FINAL, lunOf, NO_TAG, Opcode, startHeader } from './bhs.js';
import { getU16, getU32, put8, putU16, putU32 } from './bytes.js';

const at = {
  lun: 8,
  itt: 16,
  statSn: 24,
  expCmdSn: 28,
  maxCmdSn: 32,
  event: 36,
  vendorCode: 37,
  parameter1: 38,
  parameter2: 40,
  parameter3: 42,
} as const;

/** Events, §11.9.1. */
export const AsyncEvent = {
  ScsiAsync: 0,
  RequestLogout: 1,
  DropConnection: 2,
  DropAllConnections: 3,
  RequestNegotiation: 4,
  TasksTerminated: 5,
  Vendor: 255,
} as const;

export interface AsyncMessage {
  /** 8 bytes, meaningful for ScsiAsync and TasksTerminated. A view of the header. */
  readonly lun: Buffer;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  /** An AsyncEvent. */
  readonly event: number;
  readonly vendorCode: number;
  /** DropConnection: the CID. */
  readonly parameter1: number;
  /** DropConnection, DropAllConnections: Time2Wait in seconds. */
  readonly parameter2: number;
  /** RequestLogout: seconds until the target drops the connection. Drop…: Time2Retain. */
  readonly parameter3: number;
}

export function parseAsyncMessage(b: Buffer, offset = 0): AsyncMessage {
  return {
    lun: lunOf(b, offset),
    statSn: getU32(b, offset + at.statSn),
    expCmdSn: getU32(b, offset + at.expCmdSn),
    maxCmdSn: getU32(b, offset + at.maxCmdSn),
    event: b[offset + at.event] as number,
    vendorCode: b[offset + at.vendorCode] as number,
    parameter1: getU16(b, offset + at.parameter1),
    parameter2: getU16(b, offset + at.parameter2),
    parameter3: getU16(b, offset + at.parameter3),
  };
}

export function emitAsyncMessage(pdu: AsyncMessage, b: Buffer, offset = 0): void {
  startHeader(b, offset, Opcode.AsyncMessage, FINAL);
  put8(b, offset + at.lun, pdu.lun);
  putU32(b, offset + at.itt, NO_TAG);
  putU32(b, offset + at.statSn, pdu.statSn);
  putU32(b, offset + at.expCmdSn, pdu.expCmdSn);
  putU32(b, offset + at.maxCmdSn, pdu.maxCmdSn);
  b[offset + at.event] = pdu.event;
  b[offset + at.vendorCode] = pdu.vendorCode;
  putU16(b, offset + at.parameter1, pdu.parameter1);
  putU16(b, offset + at.parameter2, pdu.parameter2);
  putU16(b, offset + at.parameter3, pdu.parameter3);
}

export interface AsyncData {
  /** Sense data of a ScsiAsync event: a view of the data segment. */
  readonly sense: Buffer;
  /** iSCSI event data that follows. */
  readonly eventData: Buffer;
}

/** Splits the data segment of a ScsiAsync event (§11.9.4). Throws ProtocolError when SenseLength runs past its end. */
export function parseAsyncData(data: Buffer): AsyncData {
  if (data.length === 0) return { sense: data, eventData: data };
  const length = data.length < 2 ? 0xffff : getU16(data, 0);
  if (2 + length > data.length) {
    throw new ProtocolError('RFC 7143 §11.9.4', `sense of ${length} bytes in a data segment of ${data.length}`);
  }
  return { sense: data.subarray(2, 2 + length), eventData: data.subarray(2 + length) };
}
