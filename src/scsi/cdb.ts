// CDB builders for block devices, SBC-3 §5. Every builder writes all 16 bytes of the field at b[at..at+16), reserved
// and unused ones as zero, because the field may come from a pool. The READ and WRITE ones allocate nothing.
// LBAs are integers of 0 … 2^53 − 1; a number that does not fit its field is the caller's bug and a RangeError.
// Operation codes are in opcodes.ts, the other direction is in cdb-fields.ts and cdb-parse.ts.
import { ScsiOp, ServiceActionIn } from './opcodes.js';

/** Bits of byte 1 that builders take as `flags`; which of them a command knows is in its clause. */
export const CdbFlag = {
  /** READ, WRITE, VERIFY …: Disable Page Out. */
  Dpo: 0x10,
  /** READ, WRITE, COMPARE AND WRITE, ORWRITE: Force Unit Access. */
  Fua: 0x08,
  /** VERIFY, WRITE AND VERIFY: compare with the Data-Out, byte by byte (BYTCHK 01b). */
  ByteCheck: 0x02,
  /** VERIFY: compare every block with the one of the Data-Out (BYTCHK 11b). */
  ByteCheckOne: 0x06,
  /** SYNCHRONIZE CACHE, PRE-FETCH: status before the operation has ended. */
  Immediate: 0x02,
  /** WRITE SAME: may deallocate. */
  Unmap: 0x08,
  /** WRITE SAME: anchor instead of deallocating. */
  Anchor: 0x10,
  /** WRITE SAME(16): no Data-Out, zeros are meant. */
  NoDataOut: 0x01,
} as const;

const WORD = 2 ** 32;

function put6(b: Buffer, at: number, op: number, lba: number, blocks: number): void {
  if (lba > 0x1f_ffff || blocks < 1 || blocks > 256) throw new RangeError('LBA or length does not fit a 6-byte CDB');
  b.writeUInt32BE(((op << 24) | lba) >>> 0, at);
  b[at + 4] = blocks;
  b[at + 5] = 0;
  b.fill(0, at + 6, at + 16);
}

function put10(b: Buffer, at: number, op: number, lba: number, blocks: number, flags: number): void {
  b[at] = op;
  b[at + 1] = flags;
  b.writeUInt32BE(lba, at + 2);
  b[at + 6] = 0;
  b.writeUInt16BE(blocks, at + 7);
  b[at + 9] = 0;
  b.writeUInt32BE(0, at + 10);
  b[at + 14] = 0;
  b[at + 15] = 0;
}

function put12(b: Buffer, at: number, op: number, lba: number, blocks: number, flags: number): void {
  b[at] = op;
  b[at + 1] = flags;
  b.writeUInt32BE(lba, at + 2);
  b.writeUInt32BE(blocks, at + 6);
  b[at + 10] = 0;
  b[at + 11] = 0;
  b.writeUInt32BE(0, at + 12);
}

function put16(b: Buffer, at: number, op: number, lba: number, blocks: number, flags: number): void {
  b[at] = op;
  b[at + 1] = flags;
  b.writeUInt32BE(Math.floor(lba / WORD), at + 2);
  b.writeUInt32BE(lba >>> 0, at + 6);
  b.writeUInt32BE(blocks, at + 10);
  b[at + 14] = 0;
  b[at + 15] = 0;
}

/** READ(6), SBC-3 §5.7: LBA below 2^21, 1 to 256 blocks. */
export function putRead6(b: Buffer, at: number, lba: number, blocks: number): void {
  put6(b, at, ScsiOp.Read6, lba, blocks);
}

/** READ(10), SBC-3 §5.8: LBA below 2^32, up to 65,535 blocks. */
export function putRead10(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put10(b, at, ScsiOp.Read10, lba, blocks, flags);
}

/** READ(12), SBC-3 §5.9. */
export function putRead12(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put12(b, at, ScsiOp.Read12, lba, blocks, flags);
}

/** READ(16), SBC-3 §5.10. */
export function putRead16(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put16(b, at, ScsiOp.Read16, lba, blocks, flags);
}

/** WRITE(6), SBC-3: LBA below 2^21, 1 to 256 blocks. */
export function putWrite6(b: Buffer, at: number, lba: number, blocks: number): void {
  put6(b, at, ScsiOp.Write6, lba, blocks);
}

/** WRITE(10), SBC-3: LBA below 2^32, up to 65,535 blocks. */
export function putWrite10(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put10(b, at, ScsiOp.Write10, lba, blocks, flags);
}

/** WRITE(12), SBC-3. */
export function putWrite12(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put12(b, at, ScsiOp.Write12, lba, blocks, flags);
}

/** WRITE(16), SBC-3. */
export function putWrite16(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put16(b, at, ScsiOp.Write16, lba, blocks, flags);
}

/** WRITE AND VERIFY(10). */
export function putWriteAndVerify10(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put10(b, at, ScsiOp.WriteAndVerify10, lba, blocks, flags);
}

/** WRITE AND VERIFY(12). */
export function putWriteAndVerify12(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put12(b, at, ScsiOp.WriteAndVerify12, lba, blocks, flags);
}

/** WRITE AND VERIFY(16). */
export function putWriteAndVerify16(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put16(b, at, ScsiOp.WriteAndVerify16, lba, blocks, flags);
}

/** VERIFY(10); with no ByteCheck flag the medium is read and nothing compared. */
export function putVerify10(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put10(b, at, ScsiOp.Verify10, lba, blocks, flags);
}

/** VERIFY(12). */
export function putVerify12(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put12(b, at, ScsiOp.Verify12, lba, blocks, flags);
}

/** VERIFY(16). */
export function putVerify16(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put16(b, at, ScsiOp.Verify16, lba, blocks, flags);
}

/** PRE-FETCH(10); 0 blocks means to the end of the medium. */
export function putPreFetch10(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put10(b, at, ScsiOp.PreFetch10, lba, blocks, flags);
}

/** PRE-FETCH(16); 0 blocks means to the end of the medium. */
export function putPreFetch16(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put16(b, at, ScsiOp.PreFetch16, lba, blocks, flags);
}

/** SYNCHRONIZE CACHE(10); 0 blocks means to the end of the medium, so (0, 0) is the whole disk. */
export function putSynchronizeCache10(b: Buffer, at: number, lba = 0, blocks = 0, flags = 0): void {
  put10(b, at, ScsiOp.SynchronizeCache10, lba, blocks, flags);
}

/** SYNCHRONIZE CACHE(16); 0 blocks means to the end of the medium, so (0, 0) is the whole disk. */
export function putSynchronizeCache16(b: Buffer, at: number, lba = 0, blocks = 0, flags = 0): void {
  put16(b, at, ScsiOp.SynchronizeCache16, lba, blocks, flags);
}

/** WRITE SAME(10); the Data-Out is one block. 0 blocks means to the end unless VPD B0h says WSNZ. */
export function putWriteSame10(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put10(b, at, ScsiOp.WriteSame10, lba, blocks, flags);
}

/** WRITE SAME(16); the Data-Out is one block, or nothing with NoDataOut. */
export function putWriteSame16(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put16(b, at, ScsiOp.WriteSame16, lba, blocks, flags);
}

/** ORWRITE(16). */
export function putOrWrite16(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  put16(b, at, ScsiOp.OrWrite16, lba, blocks, flags);
}

/** COMPARE AND WRITE: up to 255 blocks; the Data-Out is twice that, first what to compare, then what to write. */
export function putCompareAndWrite(b: Buffer, at: number, lba: number, blocks: number, flags: number): void {
  if (blocks > 255) throw new RangeError('COMPARE AND WRITE takes at most 255 blocks');
  put16(b, at, ScsiOp.CompareAndWrite, lba, blocks, flags);
}

/** UNMAP; `parameterListLength` in bytes is that of the list of unmap.ts. */
export function putUnmap(b: Buffer, at: number, parameterListLength: number, anchor = false): void {
  put10(b, at, ScsiOp.Unmap, 0, parameterListLength, anchor ? 1 : 0);
}

/** READ CAPACITY(10): 8 bytes come back. */
export function putReadCapacity10(b: Buffer, at: number): void {
  put10(b, at, ScsiOp.ReadCapacity10, 0, 0, 0);
}

/** READ CAPACITY(16): 32 bytes come back. */
export function putReadCapacity16(b: Buffer, at: number, allocationLength = 32): void {
  put16(b, at, ScsiOp.ServiceActionIn16, 0, allocationLength, ServiceActionIn.ReadCapacity16);
}

/** GET LBA STATUS from `lba` on. */
export function putGetLbaStatus(b: Buffer, at: number, lba: number, allocationLength: number): void {
  put16(b, at, ScsiOp.ServiceActionIn16, lba, allocationLength, ServiceActionIn.GetLbaStatus);
}
