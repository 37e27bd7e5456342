// Task Management Function Request and Response, RFC 7143 §11.5 and §11.6.
import { FINAL, IMMEDIATE, isImmediate, itt, lunOf, Opcode, startHeader } from './bhs.js';
import { getU32, put8, putU32 } from './bytes.js';

const at = {
  flags: 1,
  response: 2,
  lun: 8,
  itt: 16,
  referencedTaskTag: 20,
  cmdSn: 24,
  expStatSn: 28,
  refCmdSn: 32,
  expDataSn: 36,
  statSn: 24,
  expCmdSn: 28,
  maxCmdSn: 32,
} as const;

/** Functions, §11.5.1, the low seven bits of byte 1. */
export const TaskFunction = {
  AbortTask: 1,
  AbortTaskSet: 2,
  ClearAca: 3,
  ClearTaskSet: 4,
  LogicalUnitReset: 5,
  TargetWarmReset: 6,
  TargetColdReset: 7,
  TaskReassign: 8,
} as const;

/** Responses, §11.6.1. */
export const TaskResponse = {
  Complete: 0,
  TaskDoesNotExist: 1,
  LunDoesNotExist: 2,
  TaskStillAllegiant: 3,
  ReassignmentNotSupported: 4,
  FunctionNotSupported: 5,
  AuthorizationFailed: 6,
  Rejected: 255,
} as const;

export interface TaskManagementRequest {
  readonly immediate: boolean;
  /** A TaskFunction. */
  readonly function: number;
  /** 8 bytes, a view of the header. */
  readonly lun: Buffer;
  readonly itt: number;
  /** The task of AbortTask and TaskReassign, else NO_TAG. */
  readonly referencedTaskTag: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
  /** AbortTask: the CmdSN of the referenced task. */
  readonly refCmdSn: number;
  /** TaskReassign: the next DataSN or R2TSN wanted. */
  readonly expDataSn: number;
}

export function parseTaskManagementRequest(b: Buffer, offset = 0): TaskManagementRequest {
  return {
    immediate: isImmediate(b, offset),
    function: (b[offset + at.flags] as number) & 0x7f,
    lun: lunOf(b, offset),
    itt: itt(b, offset),
    referencedTaskTag: getU32(b, offset + at.referencedTaskTag),
    cmdSn: getU32(b, offset + at.cmdSn),
    expStatSn: getU32(b, offset + at.expStatSn),
    refCmdSn: getU32(b, offset + at.refCmdSn),
    expDataSn: getU32(b, offset + at.expDataSn),
  };
}

export function emitTaskManagementRequest(pdu: TaskManagementRequest, b: Buffer, offset = 0): void {
  const byte0 = Opcode.TaskManagementRequest | (pdu.immediate ? IMMEDIATE : 0);
  startHeader(b, offset, byte0, FINAL | (pdu.function & 0x7f));
  put8(b, offset + at.lun, pdu.lun);
  putU32(b, offset + at.itt, pdu.itt);
  putU32(b, offset + at.referencedTaskTag, pdu.referencedTaskTag);
  putU32(b, offset + at.cmdSn, pdu.cmdSn);
  putU32(b, offset + at.expStatSn, pdu.expStatSn);
  putU32(b, offset + at.refCmdSn, pdu.refCmdSn);
  putU32(b, offset + at.expDataSn, pdu.expDataSn);
}

export interface TaskManagementResponse {
  /** A TaskResponse. */
  readonly response: number;
  readonly itt: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
}

export function parseTaskManagementResponse(b: Buffer, offset = 0): TaskManagementResponse {
  return {
    response: b[offset + at.response] as number,
    itt: itt(b, offset),
    statSn: getU32(b, offset + at.statSn),
    expCmdSn: getU32(b, offset + at.expCmdSn),
    maxCmdSn: getU32(b, offset + at.maxCmdSn),
  };
}

export function emitTaskManagementResponse(pdu: TaskManagementResponse, b: Buffer, offset = 0): void {
  startHeader(b, offset, Opcode.TaskManagementResponse, FINAL);
  b[offset + at.response] = pdu.response;
  putU32(b, offset + at.itt, pdu.itt);
  putU32(b, offset + at.statSn, pdu.statSn);
  putU32(b, offset + at.expCmdSn, pdu.expCmdSn);
  putU32(b, offset + at.maxCmdSn, pdu.maxCmdSn);
}
