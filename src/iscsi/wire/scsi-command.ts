// SCSI Command, RFC 7143 §11.3. A hot PDU: fields can be read and headers written without an object.
import { FINAL, IMMEDIATE, isImmediate, itt, lunOf, Opcode, startHeader } from './bhs.js';
import { getU32, put8, putU32 } from './bytes.js';

const at = { flags: 1, lun: 8, itt: 16, edtl: 20, cmdSn: 24, expStatSn: 28, cdb: 32 } as const;

/** Offset of the 16 bytes of the CDB in the header. A longer CDB goes on in an Extended CDB AHS. */
export const CDB_AT = at.cdb;

/** Flag bits of byte 1, §11.3.1. */
export const CommandFlag = { Final: FINAL, Read: 0x40, Write: 0x20 } as const;

/** Task attributes, §11.3.1.1, the low three bits of byte 1. */
export const TaskAttribute = { Untagged: 0, Simple: 1, Ordered: 2, HeadOfQueue: 3, Aca: 4 } as const;
export type TaskAttribute = (typeof TaskAttribute)[keyof typeof TaskAttribute];

export interface ScsiCommand {
  readonly immediate: boolean;
  /** No unsolicited Data-Out PDUs follow. */
  readonly final: boolean;
  readonly read: boolean;
  readonly write: boolean;
  /** A TaskAttribute; 5 to 7 are reserved. */
  readonly attribute: number;
  /** 8 bytes, a view of the header. */
  readonly lun: Buffer;
  readonly itt: number;
  /** Bytes to be read or written; with both, the bytes to be written. */
  readonly expectedDataTransferLength: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
  /** 16 bytes, a view of the header. */
  readonly cdb: Buffer;
}

/** Byte 1: CommandFlag bits and the task attribute. */
export function commandFlags(b: Buffer, offset = 0): number {
  return b[offset + at.flags] as number;
}

/** Expected Data Transfer Length in bytes. */
export function commandEdtl(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.edtl);
}

export function commandCmdSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.cmdSn);
}

export function commandExpStatSn(b: Buffer, offset = 0): number {
  return getU32(b, offset + at.expStatSn);
}

/**
 * Writes a header with an all-zero CDB, which the caller fills at `offset + CDB_AT`.
 * `flags` is CommandFlag bits with the task attribute, `lun` 8 bytes, `edtl` bytes.
 */
export function putScsiCommand(
  b: Buffer,
  offset: number,
  flags: number,
  lun: Buffer,
  tag: number,
  edtl: number,
  cmdSn: number,
  expStatSn: number,
): void {
  startHeader(b, offset, Opcode.ScsiCommand, flags);
  put8(b, offset + at.lun, lun);
  putU32(b, offset + at.itt, tag);
  putU32(b, offset + at.edtl, edtl);
  putU32(b, offset + at.cmdSn, cmdSn);
  putU32(b, offset + at.expStatSn, expStatSn);
}

export function parseScsiCommand(b: Buffer, offset = 0): ScsiCommand {
  const flags = commandFlags(b, offset);
  return {
    immediate: isImmediate(b, offset),
    final: (flags & CommandFlag.Final) !== 0,
    read: (flags & CommandFlag.Read) !== 0,
    write: (flags & CommandFlag.Write) !== 0,
    attribute: flags & 7,
    lun: lunOf(b, offset),
    itt: itt(b, offset),
    expectedDataTransferLength: commandEdtl(b, offset),
    cmdSn: commandCmdSn(b, offset),
    expStatSn: commandExpStatSn(b, offset),
    cdb: b.subarray(offset + at.cdb, offset + at.cdb + 16),
  };
}

export function emitScsiCommand(pdu: ScsiCommand, b: Buffer, offset = 0): void {
  const flags =
    (pdu.final ? CommandFlag.Final : 0) |
    (pdu.read ? CommandFlag.Read : 0) |
    (pdu.write ? CommandFlag.Write : 0) |
    (pdu.attribute & 7);
  putScsiCommand(b, offset, flags, pdu.lun, pdu.itt, pdu.expectedDataTransferLength, pdu.cmdSn, pdu.expStatSn);
  if (pdu.immediate) b[offset] = Opcode.ScsiCommand | IMMEDIATE;
  pdu.cdb.copy(b, offset + at.cdb, 0, 16);
}
