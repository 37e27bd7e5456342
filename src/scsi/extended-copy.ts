// The EXTENDED COPY (LID1) parameter list and the RECEIVE COPY RESULTS parameter data, SPC-4 §6.4 and §6.18 to §6.24.
import { CheckCondition, invalidFieldInParameterList, parameterListLengthError, Senses } from './check-condition.js';
import { buildFixedSense, type Sense } from './sense.js';
import { readU64 } from './u64.js';

const CLAUSE = 'SPC-4 §6.4';
const HEADER = 16;
/** Identification descriptor CSCD descriptor, SPC-4 §6.4.5.2, and the block to block segment descriptor, §6.4.6.4. */
const CSCD = { type: 0xe4, length: 32 } as const;
const SEGMENT = { type: 0x02, length: 28 } as const;

/** What one list may hold, as OPERATING PARAMETERS state it. */
export const COPY_LIMITS = { targets: 16, segments: 64 } as const;
const LIST_LARGEST = COPY_LIMITS.targets * CSCD.length + COPY_LIMITS.segments * SEGMENT.length;
/** The longest parameter list that can be right, in bytes; there is no inline data. */
export const COPY_LIST_LARGEST = HEADER + LIST_LARGEST;

/** A copy source or destination by a designator of its page 83h. */
export interface CopyTarget {
  readonly codeSet: number;
  readonly association: number;
  readonly designatorType: number;
  readonly designator: Buffer;
  readonly deviceType: number;
  /** DISK BLOCK LENGTH, in bytes. */
  readonly blockSize: number;
}

/** A block to block segment. LBAs: OUT_OF_RANGE (u64.ts) above 2^53 − 1. */
export interface CopySegment {
  /** Indices into the targets; they may point at none. */
  readonly source: number;
  readonly destination: number;
  /** In blocks of the source, or of the destination with `inDestinationBlocks` (DC). */
  readonly blocks: number;
  readonly inDestinationBlocks: boolean;
  readonly sourceLba: number;
  readonly destinationLba: number;
}

export interface CopyList {
  readonly listId: number;
  /** Whether RECEIVE COPY RESULTS may ask for the outcome by `listId`: LIST ID USAGE 00b. */
  readonly hold: boolean;
  readonly targets: readonly CopyTarget[];
  readonly segments: readonly CopySegment[];
}

/**
 * A whole parameter list, not empty.
 * @throws CheckCondition 05/1A/00 if the lengths do not fit or are too long, 05/26/06 to 09 for too many descriptors or others
 * than those above, 05/26/00 for inline data or a list identifier where none may be
 */
export function parseCopyList(list: Buffer): CopyList {
  if (list.length < HEADER) throw parameterListLengthError(CLAUSE);
  const [targetBytes, segmentBytes] = [list.readUInt16BE(2), list.readUInt32BE(8)];
  if (targetBytes + segmentBytes > LIST_LARGEST) throw parameterListLengthError(CLAUSE);
  if (list.readUInt32BE(12) !== 0) throw invalidFieldInParameterList(CLAUSE, 12);
  if (list.length !== HEADER + targetBytes + segmentBytes) throw parameterListLengthError(CLAUSE);
  const usage = (list.readUInt8(1) >> 3) & 3;
  const listId = list.readUInt8(0);
  if (usage === 1) throw invalidFieldInParameterList(CLAUSE, 1, 4);
  if (usage === 3 && listId !== 0) throw invalidFieldInParameterList(CLAUSE, 0);
  return {
    listId,
    hold: usage === 0,
    targets: parseTargets(list, HEADER, HEADER + targetBytes),
    segments: parseSegments(list, HEADER + targetBytes, list.length),
  };
}

function parseTargets(list: Buffer, from: number, end: number): CopyTarget[] {
  if (end - from > COPY_LIMITS.targets * CSCD.length) throw new CheckCondition(CLAUSE, Senses.TooManyTargetDescriptors);
  const targets: CopyTarget[] = [];
  for (let at = from; at < end; at += CSCD.length) {
    if (list.readUInt8(at) !== CSCD.type) throw new CheckCondition(CLAUSE, Senses.UnsupportedTargetDescriptor);
    if (at + CSCD.length > end) throw parameterListLengthError(CLAUSE);
    // LU ID TYPE is ignored, as is the relative initiator port: there is one copy manager, and it sees all units.
    const length = list.readUInt8(at + 7);
    if (length > 20) throw invalidFieldInParameterList(CLAUSE, at + 7);
    targets.push({
      codeSet: list.readUInt8(at + 4) & 0x0f,
      association: (list.readUInt8(at + 5) >> 4) & 3,
      designatorType: list.readUInt8(at + 5) & 0x0f,
      designator: Buffer.from(list.subarray(at + 8, at + 8 + length)),
      deviceType: list.readUInt8(at + 1) & 0x1f,
      blockSize: list.readUIntBE(at + 29, 3),
    });
  }
  return targets;
}

function parseSegments(list: Buffer, from: number, end: number): CopySegment[] {
  const segments: CopySegment[] = [];
  for (let at = from; at < end; at += SEGMENT.length) {
    if (list.readUInt8(at) !== SEGMENT.type) throw new CheckCondition(CLAUSE, Senses.UnsupportedSegmentDescriptor);
    if (segments.length === COPY_LIMITS.segments) throw new CheckCondition(CLAUSE, Senses.TooManySegmentDescriptors);
    if (at + SEGMENT.length > end) throw parameterListLengthError(CLAUSE);
    if (list.readUInt16BE(at + 2) !== SEGMENT.length - 4) throw invalidFieldInParameterList(CLAUSE, at + 2);
    segments.push({
      source: list.readUInt16BE(at + 4),
      destination: list.readUInt16BE(at + 6),
      blocks: list.readUInt16BE(at + 10),
      inDestinationBlocks: (list.readUInt8(at + 1) & 2) !== 0,
      sourceLba: readU64(list, at + 12),
      destinationLba: readU64(list, at + 20),
    });
  }
  return segments;
}

/** What became of a copy. */
export interface CopyOutcome {
  readonly state: 'in-progress' | 'done' | 'failed';
  readonly segments: number;
  readonly bytes: number;
  /** Of a failed one. */
  readonly sense: Sense | null;
}

const STATES = { 'in-progress': 0, done: 1, failed: 2 } as const;

/** COPY STATUS data, SPC-4 §6.18: the transfer count is in bytes, or in larger units where those do not fit. */
export function buildCopyStatus({ state, segments, bytes }: CopyOutcome): Buffer {
  const b = Buffer.alloc(12);
  b.writeUInt32BE(8, 0);
  b[4] = STATES[state];
  b.writeUInt16BE(Math.min(segments, 0xffff), 5);
  const units = bytes > 0xffff_ffff ? 1 : 0;
  b[7] = units;
  b.writeUInt32BE(Math.floor(bytes / 1024 ** units) >>> 0, 8);
  return b;
}

/** FAILED SEGMENT DETAILS data, SPC-4 §6.24: the sense of a failed copy; nothing for any other. */
export function buildFailedSegment({ sense }: CopyOutcome): Buffer {
  if (sense === null) return Buffer.alloc(4);
  const data = buildFixedSense(sense);
  const b = Buffer.alloc(60 + data.length);
  b.writeUInt32BE(b.length - 4, 0);
  b[56] = 0x02;
  b.writeUInt16BE(data.length, 58);
  data.copy(b, 60);
  return b;
}

/** OPERATING PARAMETERS data, SPC-4 §6.21. `segmentBytes`: the longest segment; `copies`: how many run at a time. */
export function buildOperatingParameters(segmentBytes: number, copies: number): Buffer {
  const types = [SEGMENT.type, CSCD.type];
  const b = Buffer.alloc(44 + types.length);
  b.writeUInt32BE(b.length - 4, 0);
  // SNLID: a list without an identifier is taken.
  b[4] = 1;
  b.writeUInt16BE(COPY_LIMITS.targets, 8);
  b.writeUInt16BE(COPY_LIMITS.segments, 10);
  b.writeUInt32BE(LIST_LARGEST, 12);
  b.writeUInt32BE(segmentBytes, 16);
  b.writeUInt16BE(copies, 34);
  b[36] = Math.min(copies, 255);
  // DATA SEGMENT GRANULARITY: one block of 512 bytes, as a power of 2.
  b[37] = 9;
  b[43] = types.length;
  b.set(types, 44);
  return b;
}
