// Additional Header Segments, RFC 7143 §11.2.2: a row of type-length-value fields behind the header.
import { ProtocolError } from '../../util/errors.js';
import { pad4 } from './bhs.js';
import { getU16, getU32, putU16, putU32 } from './bytes.js';

/** Types, §11.2.2.1, the low six bits of the third byte. */
export const AhsType = { ExtendedCdb: 1, BidiReadLength: 2 } as const;

/** Length and type, the three bytes in front of every segment's own. */
const PREFIX = 3;
const CDB_IN_HEADER = 16;

export interface Ahs {
  /** An AhsType, or a number not defined yet. */
  readonly type: number;
  /** What follows the type, without padding: AHSLength bytes. A view of the row. */
  readonly content: Buffer;
}

/** The segments of a row, as the framer gives it. Throws ProtocolError when one runs past the end. */
export function parseAhs(row: Buffer): Ahs[] {
  const segments: Ahs[] = [];
  for (let at = 0; at < row.length; ) {
    // The row is a multiple of four, so a prefix is always whole.
    const end = at + PREFIX + getU16(row, at);
    if (end > row.length) throw new ProtocolError('RFC 7143 §11.2.2.2', 'an additional header runs past their end');
    segments.push({ type: (row[at + 2] as number) & 0x3f, content: row.subarray(at + PREFIX, end) });
    at = pad4(end);
  }
  return segments;
}

/** A row of segments, each padded with zeros to a multiple of four. */
export function buildAhs(segments: readonly Ahs[]): Buffer {
  const row = Buffer.alloc(segments.reduce((sum, { content }) => sum + pad4(PREFIX + content.length), 0));
  let at = 0;
  for (const { type, content } of segments) {
    putU16(row, at, content.length);
    row[at + 2] = type & 0x3f;
    content.copy(row, at + PREFIX);
    at += pad4(PREFIX + content.length);
  }
  return row;
}

/** The segment for the bytes of a CDB beyond its sixteenth (§11.2.2.3); `cdb` is the whole one, 17 to 1036 bytes. */
export function extendedCdbAhs(cdb: Buffer): Ahs {
  return { type: AhsType.ExtendedCdb, content: Buffer.concat([Buffer.alloc(1), cdb.subarray(CDB_IN_HEADER)]) };
}

/** The whole CDB: the 16 bytes of the header and those of the Extended CDB segment, if there is one. */
export function wholeCdb(cdb: Buffer, segments: readonly Ahs[]): Buffer {
  const extended = segments.find(({ type }) => type === AhsType.ExtendedCdb);
  if (extended === undefined) return cdb;
  if (extended.content.length < 2) throw new ProtocolError('RFC 7143 §11.2.2.3', 'an extended CDB of no bytes');
  return Buffer.concat([cdb, extended.content.subarray(1)]);
}

/** The segment for a bidirectional command's Expected Read Data Length, in bytes (§11.2.2.4). */
export function bidiReadLengthAhs(length: number): Ahs {
  const content = Buffer.alloc(5);
  putU32(content, 1, length);
  return { type: AhsType.BidiReadLength, content };
}

/** The Expected Bidirectional Read Data Length in bytes, or undefined when no segment has one. */
export function bidiReadLength(segments: readonly Ahs[]): number | undefined {
  const segment = segments.find(({ type }) => type === AhsType.BidiReadLength);
  if (segment === undefined) return undefined;
  if (segment.content.length !== 5) throw new ProtocolError('RFC 7143 §11.2.2.4', 'a read length of another size');
  return getU32(segment.content, 1);
}
