// How large a file system is and how large it could become where it is, from what its own programs print of it.
import { AppError } from '../util/errors.js';
import { type RunOptions, runTool } from './run.js';

/** The file systems that grow in place, with what their size depends on. */
export type GrowableFileSystem = XfsSize | ExtSize | BtrfsSize;

export interface XfsSize {
  readonly type: 'xfs';
  /** Bytes. */
  readonly blockSize: number;
  readonly blocks: number;
  /** Blocks of an allocation group. */
  readonly groupBlocks: number;
}

export interface ExtSize {
  readonly type: 'ext';
  /** Bytes. */
  readonly blockSize: number;
  readonly blocks: number;
  readonly firstBlock: number;
  readonly groupBlocks: number;
  /** Blocks of each group that inodes take. */
  readonly inodeBlocks: number;
  /** Blocks of a group descriptor table, with those that are kept free for it to grow. */
  readonly tableBlocks: number;
  /** Copies of the superblock are in few groups only. */
  readonly isSparse: boolean;
}

export interface BtrfsSize {
  readonly type: 'btrfs';
  readonly sizeBytes: number;
  /** The number of our device among those of the file system. */
  readonly deviceId: number;
}

const LOOK_MS = 60_000;
/** The smallest last allocation group, XFS_MIN_AG_BLOCKS. */
const XFS_LEAST_BLOCKS = 64;
/** What resize2fs wants free in a last group, above its tables. */
const EXT_LEAST_FREE = 50;
const BTRFS_SECTOR = 4096;
const EXT_TYPES: ReadonlySet<string | null> = new Set(['ext2', 'ext3', 'ext4']);

/**
 * The file system of `type` (as blkid names it) on a device or file; null for a type that does not grow in place.
 * Mounted, the kernel is asked. Changes nothing. Throws ERR_HELPER.
 */
export async function growableOn(
  path: string,
  type: string | null,
  { mountPoint, signal }: Pick<RunOptions, 'signal'> & { readonly mountPoint: string | null },
): Promise<GrowableFileSystem | null> {
  const options = { signal, timeoutMs: LOOK_MS };
  if (type === 'xfs') return parseXfsInfo((await runTool('xfs_info', [mountPoint ?? path], options)).stdout);
  if (EXT_TYPES.has(type)) return parseDumpe2fs((await runTool('dumpe2fs', ['-h', '--', path], options)).stdout);
  if (type !== 'btrfs') return null;
  if (mountPoint === null) {
    // Not `show`, which looks at every disk of the machine for an answer, also at those that hang.
    const args = ['inspect-internal', 'dump-super', '--', path];
    return parseBtrfsSuper((await runTool('btrfs', args, options)).stdout);
  }
  const args = ['filesystem', 'show', '--mounted', '--raw', '--', mountPoint];
  return parseBtrfsShow((await runTool('btrfs', args, options)).stdout, path);
}

/** Bytes that the file system takes now. */
export function sizeOf(fs: GrowableFileSystem): number {
  return fs.type === 'btrfs' ? fs.sizeBytes : fs.blocks * fs.blockSize;
}

/**
 * Bytes that it would take when grown into `room` bytes, never less than now. A remainder too small for a group of its
 * own stays unused: then the programs say that there is nothing to do, each time anew.
 */
export function sizeWithin(fs: GrowableFileSystem, room: number): number {
  return Math.max(
    sizeOf(fs),
    fs.type === 'xfs' ? xfsWithin(fs, room) : fs.type === 'ext' ? extWithin(fs, room) : wholeSectors(room),
  );
}

function wholeSectors(room: number): number {
  return room - (room % BTRFS_SECTOR);
}

function xfsWithin({ blockSize, groupBlocks }: XfsSize, room: number): number {
  const blocks = Math.floor(room / blockSize);
  const rest = blocks % groupBlocks;
  return (rest < XFS_LEAST_BLOCKS ? blocks - rest : blocks) * blockSize;
}

function extWithin(fs: ExtSize, room: number): number {
  const blocks = Math.floor(room / fs.blockSize);
  const rest = (blocks - fs.firstBlock) % fs.groupBlocks;
  const lastGroup = Math.floor((blocks - fs.firstBlock) / fs.groupBlocks);
  const tables = 2 + fs.inodeBlocks + (fs.isSparse && !hasSuperblock(lastGroup) ? 0 : 1 + fs.tableBlocks);
  return (rest < tables + EXT_LEAST_FREE ? blocks - rest : blocks) * fs.blockSize;
}

/** With sparse_super: groups 0 and 1 and the powers of 3, 5 and 7. */
function hasSuperblock(group: number): boolean {
  if (group <= 1) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}

/** @throws AppError ERR_HELPER */
export function parseXfsInfo(text: string): XfsSize {
  const [, blockSize, blocks] = /^data\s+=\s+bsize=(\d+)\s+blocks=(\d+)/m.exec(text) ?? [];
  const groupBlocks = /\bagsize=(\d+) blks/.exec(text)?.[1];
  return { type: 'xfs', ...numbers('xfs_info', { blockSize, blocks, groupBlocks }) };
}

/** @throws AppError ERR_HELPER */
export function parseDumpe2fs(text: string): ExtSize {
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\d+)$`, 'm').exec(text)?.[1];
  const known = numbers('dumpe2fs', {
    blockSize: field('Block size'),
    blocks: field('Block count'),
    firstBlock: field('First block'),
    groupBlocks: field('Blocks per group'),
    inodeBlocks: field('Inode blocks per group'),
  });
  const { blockSize, blocks, groupBlocks } = known;
  const descriptors = Math.ceil(blocks / groupBlocks) * Number(field('Group descriptor size') ?? 32);
  return {
    type: 'ext',
    ...known,
    tableBlocks: Math.ceil(descriptors / blockSize) + Number(field('Reserved GDT blocks') ?? 0),
    isSparse: /^Filesystem features:.*\bsparse_super\b/m.test(text),
  };
}

/** The line of `path` in `btrfs filesystem show --raw`. @throws AppError ERR_HELPER */
export function parseBtrfsShow(text: string, path: string): BtrfsSize {
  const devices = [...text.matchAll(/^\s*devid\s+(\d+) size (\d+) used \d+ path (.+)$/gm)];
  const ours = devices.find(([, , , name]) => name === path) ?? (devices.length === 1 ? devices[0] : undefined);
  return { type: 'btrfs', ...numbers('btrfs', { deviceId: ours?.[1], sizeBytes: ours?.[2] }) };
}

/** The device's own item in a superblock. @throws AppError ERR_HELPER */
export function parseBtrfsSuper(text: string): BtrfsSize {
  const field = (name: string) => new RegExp(`^dev_item\\.${name}\\s+(\\d+)`, 'm').exec(text)?.[1];
  return { type: 'btrfs', ...numbers('btrfs', { deviceId: field('devid'), sizeBytes: field('total_bytes') }) };
}

function numbers<Name extends string>(tool: string, texts: Record<Name, string | undefined>): Record<Name, number> {
  const entries = Object.entries<string | undefined>(texts).map(([name, text]) => [name, Number(text)] as const);
  if (entries.every(([name, value]) => Number.isSafeInteger(value) && value >= (name === 'firstBlock' ? 0 : 1))) {
    return Object.fromEntries(entries) as Record<Name, number>;
  }
  throw new AppError('ERR_HELPER', `${tool} printed something that does not tell the size of the file system`);
}
