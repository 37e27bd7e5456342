// Where partitions go when their start and end are given, as in parted's `mkpart 0% 100%`: in any free place of the table.
import { AppError } from '../util/errors.js';
import { parseSize } from '../util/size.js';
import {
  alignment,
  type Geometry,
  type LabelType,
  mostPartitions,
  type Range,
  readShare,
  usableRange,
} from './layout.js';

/**
 * A place on the disk. A share (0 to 1, of the whole disk) and a decimal size name a neighbourhood: the nearest aligned
 * sector is meant, as with parted. Sectors and powers of 1024 are meant exactly.
 */
export type Position =
  | { readonly kind: 'part'; readonly part: number }
  | { readonly kind: 'bytes'; readonly bytes: number; readonly exact: boolean; readonly fromEnd: boolean }
  | { readonly kind: 'sector'; readonly sector: number; readonly fromEnd: boolean };

/** `end`: the last sector counts (`2047s`), or the first byte behind (`1MiB`), which are the same place. */
export interface Span {
  readonly start: Position;
  readonly end: Position;
  /** As typed, for messages. */
  readonly text: string;
}

/** parted's own words in front of the places, which say nothing here. */
const PARTED_WORDS = new Set(['mkpart', 'primary']);

/** `0% 100%`, `1MiB 50% 50% 100%`, `mkpart primary 0% 100%`: two places for each partition. @throws AppError ERR_USAGE */
export function parseSpans(words: readonly string[]): Span[] {
  const places = words.filter((word) => !PARTED_WORDS.has(word));
  const other = places.find((word) => word === 'logical' || word === 'extended');
  if (other !== undefined) throw new AppError('ERR_USAGE', `${other} partitions are not made: a gpt label needs none`);
  if (places.length % 2 === 1) {
    throw new AppError('ERR_USAGE', `${places.at(-1)} is a START without its END`, { hint: 'as in: 0% 50% 50% 100%' });
  }
  return places.flatMap((start, i) => {
    const end = places[i + 1];
    return i % 2 === 1 || end === undefined
      ? []
      : [{ start: parsePosition(start), end: parsePosition(end), text: `${start} ${end}` }];
  });
}

/**
 * `50%`, `2048s`, `1MiB`, `10GB`, and with a minus in front counted back from the end of the disk. A bare number is
 * refused: parted takes it for megabytes, and other programs for bytes or sectors. @throws AppError ERR_USAGE
 */
export function parsePosition(text: string): Position {
  const fromEnd = text.startsWith('-');
  const amount = fromEnd ? text.slice(1) : text;
  const part = readShare(amount);
  if (part !== null) {
    if (part > 1) throw new AppError('ERR_USAGE', `${text} lies behind the end of the disk`);
    return { kind: 'part', part: fromEnd ? 1 - part : part };
  }
  const sector = /^(\d{1,15})s$/.exec(amount)?.[1];
  if (sector !== undefined) return { kind: 'sector', sector: Number(sector), fromEnd };
  if (/^\d+(?:\.\d+)?$/.test(amount) && Number(amount) !== 0) {
    throw new AppError('ERR_USAGE', `${text} has no unit`, { hint: `write ${amount}MiB, ${amount}% or ${amount}s` });
  }
  return { kind: 'bytes', bytes: parseSize(amount), exact: !/[kmgtp]b$/i.test(amount), fromEnd };
}

/**
 * The sectors of each span, aligned: a neighbourhood to the nearest aligned sector, an exact place inwards. Nothing that
 * exists is moved. @throws AppError ERR_USAGE when one does not fit or overlaps another.
 */
export function placeSpans(
  geometry: Geometry,
  label: LabelType,
  existing: readonly Range[],
  spans: readonly Span[],
): Range[] {
  mostPartitions(label, existing.length + spans.length);
  const placed: Range[] = [];
  for (const span of spans) {
    const range = rangeOf(geometry, label, span);
    const other = [...existing, ...placed].find((taken) => overlaps(taken, range));
    if (other !== undefined) {
      throw new AppError(
        'ERR_USAGE',
        `${span.text} overlaps the partition of sectors ${other.start} to ${other.start + other.length - 1}`,
      );
    }
    placed.push(range);
  }
  return placed;
}

function overlaps(a: Range, b: Range): boolean {
  return a.start < b.start + b.length && b.start < a.start + a.length;
}

function rangeOf(geometry: Geometry, label: LabelType, { start, end, text }: Span): Range {
  const { blockSize, sizeBytes } = geometry;
  const usable = usableRange(geometry, label);
  const from = sectorOf(start, geometry);
  // An END in sectors is the last one itself.
  const behind = sectorOf(end, geometry) + (end.kind === 'sector' ? 1 : 0);
  const sectors = Math.floor(sizeBytes / blockSize);
  if (from < 0 || from >= sectors || behind > sectors) {
    throw new AppError('ERR_USAGE', `${text} is not on the disk, which has ${sectors} sectors of ${blockSize} bytes`);
  }
  const grain = alignment(geometry) / blockSize;
  const first = Math.max(usable.start, aligned(from, grain, isExact(start) ? Math.ceil : Math.round));
  const limit = Math.min(usable.start + usable.length, aligned(behind, grain, isExact(end) ? Math.floor : Math.round));
  if (limit <= first) {
    throw new AppError('ERR_USAGE', `${text} leaves no room for a partition aligned to ${grain * blockSize} bytes`);
  }
  return { start: first, length: limit - first };
}

function isExact(position: Position): boolean {
  return position.kind === 'sector' || (position.kind === 'bytes' && position.exact);
}

function aligned(sector: number, grain: number, round: (value: number) => number): number {
  return round(sector / grain) * grain;
}

/** Sectors from the start of the disk, not rounded. */
function sectorOf(position: Position, { blockSize, sizeBytes }: Geometry): number {
  const sectors = Math.floor(sizeBytes / blockSize);
  switch (position.kind) {
    case 'part':
      return sectors * position.part;
    case 'sector':
      return position.fromEnd ? sectors - position.sector : position.sector;
    case 'bytes':
      return position.fromEnd ? sectors - position.bytes / blockSize : position.bytes / blockSize;
  }
}
