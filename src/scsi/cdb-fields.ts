// Single fields of the CDBs that move blocks, SBC-3 §5, read in place: for the data path, nothing is allocated.
// `b` must hold the whole 16-byte CDB field at `at`; in an iSCSI header it always does. The opcode must be one of the
// commands of cdb-parse.ts's isBlockCommand: for others the result means nothing.
import { ScsiOp } from './opcodes.js';
import { readU64 } from './u64.js';

/** LOGICAL BLOCK ADDRESS; OUT_OF_RANGE (u64.ts) above 2^53 − 1, which fails every range check. */
export function cdbLba(b: Buffer, at: number): number {
  switch (b.readUInt8(at) >> 5) {
    case 0:
      return b.readUInt32BE(at) & 0x1f_ffff;
    case 4:
      return readU64(b, at + 2);
    default:
      return b.readUInt32BE(at + 2);
  }
}

/** Number of blocks. 0 in a 6-byte CDB reads as 256; what 0 means elsewhere is the command's own rule. */
export function cdbBlocks(b: Buffer, at: number): number {
  const opcode = b.readUInt8(at);
  switch (opcode >> 5) {
    case 0:
      return b.readUInt8(at + 4) || 256;
    case 1:
    case 2:
      return b.readUInt16BE(at + 7);
    case 5:
      return b.readUInt32BE(at + 6);
    default:
      if (opcode === ScsiOp.CompareAndWrite) return b.readUInt8(at + 13);
      if (opcode === ScsiOp.WriteAtomic16) return b.readUInt16BE(at + 12);
      return b.readUInt32BE(at + 10);
  }
}

/** RDPROTECT, WRPROTECT, VRPROTECT or ORPROTECT: 0 unless protection information is asked for. */
export function cdbProtect(b: Buffer, at: number): number {
  return b.readUInt8(at) >> 5 === 0 ? 0 : b.readUInt8(at + 1) >> 5;
}

/** FUA, for the commands that have it; false for the others, whose bit 3 means something else. */
export function cdbFua(b: Buffer, at: number): boolean {
  if ((b.readUInt8(at + 1) & 0x08) === 0) return false;
  switch (b.readUInt8(at)) {
    case ScsiOp.Read10:
    case ScsiOp.Read12:
    case ScsiOp.Read16:
    case ScsiOp.Write10:
    case ScsiOp.Write12:
    case ScsiOp.Write16:
    case ScsiOp.CompareAndWrite:
    case ScsiOp.OrWrite16:
    case ScsiOp.WriteAtomic16:
      return true;
    default:
      return false;
  }
}

/** DPO, for the commands that have it. */
export function cdbDpo(b: Buffer, at: number): boolean {
  if ((b.readUInt8(at + 1) & 0x10) === 0) return false;
  switch (b.readUInt8(at)) {
    case ScsiOp.WriteSame10:
    case ScsiOp.WriteSame16:
    case ScsiOp.SynchronizeCache10:
    case ScsiOp.SynchronizeCache16:
    case ScsiOp.PreFetch10:
    case ScsiOp.PreFetch16:
      return false;
    default:
      return b.readUInt8(at) >> 5 !== 0;
  }
}

/** Whether the opcode is a READ of any size. */
export function isRead(opcode: number): boolean {
  return opcode === ScsiOp.Read10 || opcode === ScsiOp.Read16 || opcode === ScsiOp.Read12 || opcode === ScsiOp.Read6;
}

/** Whether the opcode is a plain WRITE of any size. */
export function isWrite(opcode: number): boolean {
  return (
    opcode === ScsiOp.Write10 || opcode === ScsiOp.Write16 || opcode === ScsiOp.Write12 || opcode === ScsiOp.Write6
  );
}
