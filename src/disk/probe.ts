// What is on a disk: the signatures of file systems and partition tables, by util-linux's low-level probing.
// The programs that write (mkfs.ext4, sfdisk) protect nobody in a script; this look before is what does.
import * as v from 'valibot';
import { AppError } from '../util/errors.js';
import { type RunOptions, runTool } from './run.js';

type Signal = Pick<RunOptions, 'signal'>;

export interface Signature {
  /** `xfs`, `ext4`, `gpt`, `dos`, `PMBR`, `LVM2_member`, … */
  readonly type: string;
  /** Bytes from the start of what was probed. */
  readonly offset: number;
  readonly label: string | null;
  readonly uuid: string | null;
}

const wipefsSchema = v.object({
  signatures: v.array(
    v.object({
      offset: v.pipe(v.string(), v.regex(/^0x[0-9a-f]+$/i)),
      type: v.string(),
      uuid: v.nullable(v.string()),
      label: v.nullable(v.string()),
    }),
  ),
});

/** Reading a few blocks of a disk that may have to recover its session first. */
const PROBE_MS = 60_000;

/** Every signature on a device or file, in the order wipefs lists them. Changes nothing. Throws ERR_HELPER. */
export async function signaturesOn(path: string, options: Signal = {}): Promise<Signature[]> {
  const { stdout } = await runTool('wipefs', ['--json', '--', path], { ...options, timeoutMs: PROBE_MS });
  return parseWipefs(stdout);
}

/** The output of `wipefs --json`, which is empty for a blank disk. @throws AppError ERR_HELPER for anything else. */
export function parseWipefs(text: string): Signature[] {
  if (text.trim() === '') return [];
  const result = v.safeParse(wipefsSchema, parseJson(text));
  if (!result.success) throw new AppError('ERR_HELPER', 'wipefs printed something that is not its JSON');
  return result.output.signatures.map(({ offset, ...rest }) => ({ offset: Number(offset), ...rest }));
}

/** The signatures that make up a partition table and nothing else. */
const TABLE_TYPES = new Set(['gpt', 'dos', 'PMBR']);
export function isTable(signature: Signature): boolean {
  return TABLE_TYPES.has(signature.type);
}

/** For a person: `xfs file system "data" (signature at 0x0)`. */
export function describeSignature({ type, label, offset }: Signature): string {
  const noun = isTable({ type, label, offset, uuid: null }) ? 'partition table' : 'signature';
  return `${type}${label === null || label === '' ? '' : ` "${label}"`}, ${noun} at 0x${offset.toString(16)}`;
}

/** What one device or file is, as far as it is unambiguous. */
export interface Content {
  /** File system or other content; null when there is none. */
  readonly type: string | null;
  /** `gpt` or `dos` for a partition table. */
  readonly table: string | null;
  readonly label: string | null;
  readonly uuid: string | null;
}

export const NO_CONTENT: Content = { type: null, table: null, label: null, uuid: null };

/** What to look at: a device or file, or a part of it in bytes. */
export interface Place {
  readonly path: string;
  readonly range?: { readonly offset: number; readonly length: number };
}

/** Throws ERR_HELPER when the device cannot be read. */
export async function contentOf(place: string | Place, options: Signal = {}): Promise<Content> {
  const { path, range } = typeof place === 'string' ? { path: place } : place;
  const part = range === undefined ? [] : ['--offset', String(range.offset), '--size', String(range.length)];
  const args = ['--probe', ...part, '--output', 'export', '--', path];
  // 2: nothing found, or not readable; 8: several signatures that contradict each other.
  const result = await runTool('blkid', args, { ...options, timeoutMs: PROBE_MS, okStatuses: [0, 2, 8] });
  if (result.status === 2 && result.stderr.trim() !== '') {
    throw new AppError('ERR_HELPER', `blkid failed with exit status 2: ${result.stderr.trim().replaceAll('\n', '; ')}`);
  }
  return result.status === 8 ? { ...NO_CONTENT, type: 'ambiguous' } : parseBlkid(result.stdout);
}

/** The output of `blkid -o export`: NAME=VALUE, with blanks and such behind backslashes. */
export function parseBlkid(text: string): Content {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const split = line.indexOf('=');
    if (split > 0) values.set(line.slice(0, split), line.slice(split + 1).replace(/\\(.)/g, '$1'));
  }
  const get = (name: string) => values.get(name) ?? null;
  return { type: get('TYPE'), table: get('PTTYPE'), label: get('LABEL'), uuid: get('UUID') };
}

const sfdiskSchema = v.object({
  partitiontable: v.object({
    label: v.string(),
    sectorsize: v.optional(v.number()),
    lastlba: v.optional(v.number()),
    partitions: v.optional(
      v.array(v.object({ node: v.string(), start: v.number(), size: v.number(), type: v.string() })),
      [],
    ),
  }),
});

export interface PartitionTable {
  readonly label: string;
  /** Bytes. Sectors of `ranges` are of this size. */
  readonly sectorSize: number;
  /** GPT: the last sector that partitions can have; null for others. */
  readonly lastUsable: number | null;
  readonly ranges: readonly TableEntry[];
}

export interface TableEntry {
  /** The partition's own number, from 1. */
  readonly number: number;
  readonly start: number;
  readonly length: number;
  /** GPT: the type GUID; MBR: the type byte in hexadecimal. */
  readonly type: string;
}

/** The partition table on a disk or file, or null when there is none. Throws ERR_HELPER. */
export async function partitionTableOf(path: string, options: Signal = {}): Promise<PartitionTable | null> {
  const args = ['--json', '--', path];
  const result = await runTool('sfdisk', args, { ...options, timeoutMs: PROBE_MS, okStatuses: [0, 1] });
  if (result.status === 0) return parseSfdisk(result.stdout);
  if (/does not contain a recognized partition table/.test(result.stderr)) return null;
  throw new AppError('ERR_HELPER', `sfdisk failed with exit status 1: ${result.stderr.trim().replaceAll('\n', '; ')}`);
}

/** The output of `sfdisk --json`. @throws AppError ERR_HELPER */
export function parseSfdisk(text: string): PartitionTable {
  const result = v.safeParse(sfdiskSchema, parseJson(text));
  if (!result.success) throw new AppError('ERR_HELPER', 'sfdisk printed something that is not its JSON');
  const { label, sectorsize = 512, lastlba = null, partitions } = result.output.partitiontable;
  const ranges = partitions.map(({ node, start, size, type }) => {
    const number = Number(/\d+$/.exec(node)?.[0] ?? 0);
    return { number, start, length: size, type };
  });
  return { label, sectorSize: sectorsize, lastUsable: lastlba, ranges };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
