// Where partitions go, in exact sectors: from 1 MiB or the disk's own alignment to the last aligned sector.
// UEFI 2.10 §5.3 for GPT; the classic MBR holds four primary partitions and 32-bit sector numbers.
import { AppError } from '../util/errors.js';
import { parseSize } from '../util/size.js';

export type LabelType = 'gpt' | 'dos';

export interface Geometry {
  /** Bytes. */
  readonly sizeBytes: number;
  /** Logical block size, bytes: the sector of a partition table. */
  readonly blockSize: number;
  /** The disk's preferred transfer size in bytes, or 0. */
  readonly optimalIoSize: number;
}

/** A partition in sectors of the disk's own block size. */
export interface Range {
  readonly start: number;
  readonly length: number;
}

/** How large a partition shall be. `part` is a share of the room that partitions can have, above 0 and up to 1. */
export type SizeSpec =
  | { readonly kind: 'bytes'; readonly bytes: number }
  | { readonly kind: 'part'; readonly part: number }
  | { readonly kind: 'max' };

const MIB = 1024 * 1024;
/** Larger preferred sizes are reported by devices that do not mean them. */
const LARGEST_GRAIN = 64 * MIB;
/** The partition array of a GPT: 128 entries of 128 bytes, UEFI 2.10 §5.3.1. */
const GPT_ARRAY_BYTES = 128 * 128;
const GPT_MOST = 128;
const DOS_MOST = 4;
const DOS_SECTORS = 2 ** 32;

/** `50%`, `33.3%`, `max`, or a size as `parseSize` reads it. @throws AppError ERR_USAGE */
export function parseSizeSpec(text: string): SizeSpec {
  if (text === 'max') return { kind: 'max' };
  const part = readShare(text);
  if (part !== null) {
    if (part <= 0 || part > 1) throw new AppError('ERR_USAGE', `--size ${text}: a share lies above 0% and up to 100%`);
    return { kind: 'part', part };
  }
  if (text.includes('%')) throw new AppError('ERR_USAGE', `--size ${text} is no share of a disk`);
  const bytes = parseSize(text);
  if (bytes === 0) throw new AppError('ERR_USAGE', `--size ${text}: a partition has a size`);
  return { kind: 'bytes', bytes };
}

/** `50%` and `33.3%` as 0.5 and 0.333, also where that is more than there is; null for what is no share. */
export function readShare(text: string): number | null {
  const percent = /^(\d{1,3}(?:\.\d{1,4})?)%$/.exec(text)?.[1];
  return percent === undefined ? null : Number(percent) / 100;
}

/** What partitions start and end on, in bytes: 1 MiB, or the next multiple of the preferred transfer size from there. */
export function alignment({ blockSize, optimalIoSize }: Geometry): number {
  const usable = optimalIoSize > 0 && optimalIoSize <= LARGEST_GRAIN && optimalIoSize % Math.max(blockSize, 4096) === 0;
  if (!usable || MIB % optimalIoSize === 0) return MIB;
  return Math.ceil(MIB / optimalIoSize) * optimalIoSize;
}

/** The sectors that partitions can have: both ends aligned, the table and its backup left free. */
export function usableRange(geometry: Geometry, label: LabelType): Range {
  const { blockSize, sizeBytes } = geometry;
  const grain = alignment(geometry) / blockSize;
  const sectors = Math.floor(sizeBytes / blockSize);
  // Backup array and backup header stand at the very end of a GPT disk.
  const behind = label === 'gpt' ? Math.ceil(GPT_ARRAY_BYTES / blockSize) + 1 : 0;
  const limit = label === 'dos' ? Math.min(sectors, DOS_SECTORS) : sectors - behind;
  return { start: grain, length: Math.max(0, Math.floor(limit / grain) * grain - grain) };
}

/**
 * Places new partitions behind the existing ones. Every size is rounded down to the alignment.
 * @throws AppError ERR_USAGE when they do not fit; nothing is ever moved or shortened.
 */
export function placePartitions(
  geometry: Geometry,
  label: LabelType,
  existing: readonly Range[],
  sizes: readonly SizeSpec[],
): Range[] {
  mostPartitions(label, existing.length + sizes.length);
  const usable = usableRange(geometry, label);
  const grain = alignment(geometry) / geometry.blockSize;
  const end = usable.start + usable.length;
  let next = existing.reduce((at, { start, length }) => Math.max(at, start + length), usable.start);
  next = Math.ceil(next / grain) * grain;
  return sizes.map((size, index) => {
    if (size.kind === 'max' && index < sizes.length - 1) {
      throw new AppError('ERR_USAGE', '--size max takes what is left and can only come last');
    }
    const wanted = size.kind === 'max' ? end - next : wantedSectors(size, usable.length, geometry.blockSize);
    const length = Math.floor(wanted / grain) * grain;
    if (length <= 0 || next + length > end)
      throw noRoom(geometry.blockSize, Math.max(0, end - next), wanted, existing.length);
    const range = { start: next, length };
    next += length;
    return range;
  });
}

/** @throws AppError ERR_USAGE when a table of that kind does not hold `count` partitions. */
export function mostPartitions(label: LabelType, count: number): void {
  const most = label === 'gpt' ? GPT_MOST : DOS_MOST;
  if (count > most) throw new AppError('ERR_USAGE', `a ${label} label holds ${most} partitions, not ${count}`);
}

function wantedSectors(size: Exclude<SizeSpec, { kind: 'max' }>, usable: number, blockSize: number): number {
  return size.kind === 'bytes' ? Math.floor(size.bytes / blockSize) : Math.floor(usable * size.part);
}

function noRoom(blockSize: number, free: number, wanted: number, existing: number): AppError {
  const message = `no room for a partition of ${wanted * blockSize} bytes: ${free * blockSize} bytes are free`;
  if (existing === 0) return new AppError('ERR_USAGE', message);
  return new AppError('ERR_USAGE', `${message} behind the ${existing === 1 ? 'one' : existing} already there`, {
    hint: 'an empty table is made by: lunctl disk label',
  });
}
