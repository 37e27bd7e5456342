// Sense data, SPC-4 §4.5: fixed (70h, 71h) and descriptor (72h, 73h) format, both ways.
import { OUT_OF_RANGE, readU64, writeU64 } from './u64.js';

/** Sense keys, SPC-4 §4.5.6. */
export const SenseKey = {
  NoSense: 0x0,
  RecoveredError: 0x1,
  NotReady: 0x2,
  MediumError: 0x3,
  HardwareError: 0x4,
  IllegalRequest: 0x5,
  UnitAttention: 0x6,
  DataProtect: 0x7,
  BlankCheck: 0x8,
  VendorSpecific: 0x9,
  CopyAborted: 0xa,
  AbortedCommand: 0xb,
  VolumeOverflow: 0xd,
  Miscompare: 0xe,
  Completed: 0xf,
} as const;

/** Which field of an ILLEGAL REQUEST was wrong, SPC-4 §4.5.2.4.2. */
export interface FieldPointer {
  /** In the CDB, or else in the parameter list of the Data-Out. */
  readonly inCdb: boolean;
  /** Offset of the byte, the first one of a longer field. */
  readonly byte: number;
  /** The most significant bit of the field; absent when the whole byte is meant. */
  readonly bit?: number;
}

export interface Sense {
  readonly key: number;
  /** ADDITIONAL SENSE CODE and its qualifier; 0 where the data was too short to hold them. */
  readonly asc: number;
  readonly ascq: number;
  /** The error belongs to an earlier command (71h, 73h). */
  readonly deferred?: boolean;
  /** INFORMATION where it is valid: mostly the LBA; OUT_OF_RANGE above 2^53 − 1. */
  readonly information?: number;
  /** COMMAND-SPECIFIC INFORMATION unless 0. */
  readonly commandSpecific?: number;
  /** With ILLEGAL REQUEST and SKSV. */
  readonly field?: FieldPointer;
  /** With NOT READY or NO SENSE and SKSV: how far an operation is, in 65,536ths. */
  readonly progress?: number;
}

/** The longest sense data of SPC-4 §4.5.1, in bytes. */
export const SENSE_LARGEST = 252;

const FIXED_LENGTH = 18;
const Descriptor = { Information: 0, CommandSpecific: 1, KeySpecific: 2 } as const;

/** The 3 bytes of SENSE KEY SPECIFIC, or all zeros (SKSV = 0). */
function putKeySpecific(sense: Sense, b: Buffer, at: number): void {
  const { field, progress } = sense;
  if (field) {
    b[at] = 0x80 | (field.inCdb ? 0x40 : 0) | (field.bit === undefined ? 0 : 0x08 | (field.bit & 7));
    b.writeUInt16BE(field.byte, at + 1);
  } else if (progress !== undefined) {
    b[at] = 0x80;
    b.writeUInt16BE(progress, at + 1);
  }
}

/** 18 bytes of fixed format. INFORMATION that does not fit 32 bits is left out, as SPC-4 §4.5.3 demands. */
export function buildFixedSense(sense: Sense): Buffer {
  const b = Buffer.alloc(FIXED_LENGTH);
  b[0] = sense.deferred ? 0x71 : 0x70;
  b[2] = sense.key & 0x0f;
  if (sense.information !== undefined && sense.information <= 0xffff_ffff) {
    b[0] |= 0x80;
    b.writeUInt32BE(sense.information, 3);
  }
  b[7] = FIXED_LENGTH - 8;
  if (sense.commandSpecific !== undefined && sense.commandSpecific <= 0xffff_ffff) {
    b.writeUInt32BE(sense.commandSpecific, 8);
  }
  b[12] = sense.asc;
  b[13] = sense.ascq;
  putKeySpecific(sense, b, 15);
  return b;
}

/** 8 bytes of header and the descriptors that `sense` needs; for initiators that set D_SENSE. */
export function buildDescriptorSense(sense: Sense): Buffer {
  const b = Buffer.alloc(8 + 12 + 12 + 8);
  b[0] = sense.deferred ? 0x73 : 0x72;
  b[1] = sense.key & 0x0f;
  b[2] = sense.asc;
  b[3] = sense.ascq;
  let end = 8;
  if (sense.information !== undefined && sense.information !== OUT_OF_RANGE) {
    b.set([Descriptor.Information, 0x0a, 0x80, 0], end);
    writeU64(b, end + 4, sense.information);
    end += 12;
  }
  if (sense.commandSpecific !== undefined && sense.commandSpecific !== OUT_OF_RANGE) {
    b.set([Descriptor.CommandSpecific, 0x0a, 0, 0], end);
    writeU64(b, end + 4, sense.commandSpecific);
    end += 12;
  }
  if (sense.field || sense.progress !== undefined) {
    b.set([Descriptor.KeySpecific, 0x06], end);
    putKeySpecific(sense, b, end + 4);
    end += 8;
  }
  b[7] = end - 8;
  return b.subarray(0, end);
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function readKeySpecific(b: Buffer, at: number, sense: Mutable<Sense>): void {
  const first = b.readUInt8(at);
  if ((first & 0x80) === 0) return;
  const value = b.readUInt16BE(at + 1);
  if (sense.key === SenseKey.IllegalRequest) {
    const inCdb = (first & 0x40) !== 0;
    sense.field = (first & 0x08) === 0 ? { inCdb, byte: value } : { inCdb, byte: value, bit: first & 7 };
  } else if (sense.key === SenseKey.NotReady || sense.key === SenseKey.NoSense) {
    sense.progress = value;
  }
}

function parseFixed(b: Buffer): Sense | null {
  const first = b[0] ?? 0;
  const flags = b[2];
  if (flags === undefined) return null;
  const end = b.length < 8 ? b.length : Math.min(b.length, 8 + b.readUInt8(7));
  const sense: Mutable<Sense> = {
    key: flags & 0x0f,
    asc: end > 12 ? b.readUInt8(12) : 0,
    ascq: end > 13 ? b.readUInt8(13) : 0,
  };
  if ((first & 0x7f) === 0x71) sense.deferred = true;
  if ((first & 0x80) !== 0 && b.length >= 7) sense.information = b.readUInt32BE(3);
  if (end >= 12 && b.readUInt32BE(8) !== 0) sense.commandSpecific = b.readUInt32BE(8);
  if (end >= 18) readKeySpecific(b, 15, sense);
  return sense;
}

function parseDescriptors(b: Buffer, sense: Mutable<Sense>): void {
  const end = Math.min(b.length, 8 + b.readUInt8(7));
  let at = 8;
  while (at + 2 <= end) {
    const length = 2 + b.readUInt8(at + 1);
    if (at + length > end) return;
    const type = b.readUInt8(at);
    if (type === Descriptor.Information && length >= 12) {
      if ((b.readUInt8(at + 2) & 0x80) !== 0) sense.information = readU64(b, at + 4);
    } else if (type === Descriptor.CommandSpecific && length >= 12) {
      sense.commandSpecific = readU64(b, at + 4);
    } else if (type === Descriptor.KeySpecific && length >= 7) {
      readKeySpecific(b, at + 4, sense);
    }
    at += length;
  }
}

/**
 * Sense data of either format. Never throws: what a short or lying length cuts off reads as absent, and data that
 * holds no sense key, or a response code other than 70h–73h, gives null.
 */
export function parseSense(b: Buffer): Sense | null {
  const code = (b[0] ?? 0) & 0x7f;
  if (code === 0x70 || code === 0x71) return parseFixed(b);
  if (code !== 0x72 && code !== 0x73) return null;
  const key = b[1];
  if (key === undefined) return null;
  const sense: Mutable<Sense> = { key: key & 0x0f, asc: b[2] ?? 0, ascq: b[3] ?? 0 };
  if (code === 0x73) sense.deferred = true;
  if (b.length >= 8) parseDescriptors(b, sense);
  return sense;
}
