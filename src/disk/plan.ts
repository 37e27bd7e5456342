// The pure planner of disk commands: which programs would run, in which order, with exactly which arguments.
import { AppError } from '../util/errors.js';
import type { LabelType, Range } from './layout.js';
import { shellLine } from './shell.js';
import type { Tool } from './tools.js';

export interface Step {
  readonly name: 'wipe' | 'label' | 'partition' | 'format' | 'clean' | 'mount' | 'unmount';
  readonly tool: Tool;
  readonly args: readonly string[];
  /** Standard input. */
  readonly input?: string;
  readonly timeoutMs: number;
}

export const FILE_SYSTEMS = ['xfs', 'ext4', 'btrfs', 'vfat'] as const;
export type FileSystem = (typeof FILE_SYSTEMS)[number];

const TABLE_MS = 60_000;
/** A discard of a large LUN alone can take most of an hour. */
const FORMAT_MS = 4 * 3_600_000;
const MOUNT_MS = 120_000;

/** GUID of "Linux filesystem data" and its number in an MBR. */
const PARTITION_TYPE = { gpt: '0FC63DAF-8483-4772-8E79-3D69D8477DE4', dos: '83' } as const;
/**
 * Exact sectors, nobody asked, nothing wiped behind our back: signatures have been looked for, and are removed by a
 * step of their own. The kernel is told by partx, see settlePartitions.
 */
const SFDISK = ['--lock', '--quiet', '--wipe=never', '--wipe-partitions=never', '--no-tell-kernel'] as const;

/** A new, empty partition table. `wipe`: the disk holds signatures and a person has agreed to lose them. */
export function planLabel(path: string, type: LabelType, wipe: boolean): Step[] {
  const label: Step = {
    name: 'label',
    tool: 'sfdisk',
    args: [...SFDISK, '--', path],
    input: `label: ${type}\n`,
    timeoutMs: TABLE_MS,
  };
  return wipe ? [planWipe(path), label] : [label];
}

/** Removes every signature, so that no reader finds the old file system below the new table. */
export function planWipe(path: string): Step {
  return { name: 'wipe', tool: 'wipefs', args: ['--all', '--lock', '--quiet', '--', path], timeoutMs: TABLE_MS };
}

/** Adds partitions to the table that is there. Sectors are of the disk's own block size. */
export function planPartition(path: string, type: LabelType, ranges: readonly Range[]): Step[] {
  const lines = ranges.map(({ start, length }) => `start=${start}, size=${length}, type=${PARTITION_TYPE[type]}\n`);
  return [
    {
      name: 'partition',
      tool: 'sfdisk',
      args: [...SFDISK, '--append', '--', path],
      input: lines.join(''),
      timeoutMs: TABLE_MS,
    },
  ];
}

export interface FormatPlan {
  readonly path: string;
  readonly type: FileSystem;
  readonly label?: string | undefined;
  /** There is a signature, and a person has agreed to lose it: mkfs may overwrite it. */
  readonly overwrite: boolean;
  /** `path` is an ordinary file (nbdfuse) and no device that would tell mkfs its block size. */
  readonly isFile: boolean;
  /** Logical block size of the disk, bytes. */
  readonly blockSize: number;
  readonly isWholeDisk: boolean;
  /** For mkfs as they are, after ours, so that they win. */
  readonly extra: readonly string[];
}

/** Longest volume label in bytes. */
const LABEL_BYTES: Readonly<Record<FileSystem, number>> = { xfs: 12, ext4: 16, btrfs: 255, vfat: 11 };
/** What libblkid may call the new file system; mkfs.ext4 can be told to make the older kinds. */
const OWN_TYPES: Readonly<Record<FileSystem, string>> = {
  xfs: 'noxfs',
  ext4: 'noext4,ext3,ext2',
  btrfs: 'nobtrfs',
  vfat: 'novfat,dos',
};

/**
 * mkfs first, which checks its arguments before it writes; then, over old data, the signatures that it has left
 * elsewhere, which would make the disk ambiguous. @throws AppError ERR_USAGE for a label that the file system cannot hold.
 */
export function planFormat(plan: FormatPlan): Step[] {
  const { type, label, path } = plan;
  if (label !== undefined) checkLabel(type, label);
  const args = [...ownArguments(plan), ...plan.extra, '--', path];
  const format: Step = { name: 'format', tool: `mkfs.${type}`, args, timeoutMs: FORMAT_MS };
  if (!plan.overwrite) return [format];
  const others = ['--all', '--lock', '--quiet', '--types', OWN_TYPES[type], '--', path];
  return [format, { name: 'clean', tool: 'wipefs', args: others, timeoutMs: TABLE_MS }];
}

function ownArguments({ type, label, overwrite, isFile, blockSize, isWholeDisk }: FormatPlan): string[] {
  const named = (flag: string) => (label === undefined ? [] : [flag, label]);
  const onFile = (...args: string[]) => (isFile && blockSize !== 512 ? args : []);
  switch (type) {
    // xfs and btrfs look for signatures once more themselves: -f only where that has been agreed to.
    case 'xfs':
      return [...(overwrite ? ['-f'] : []), ...onFile('-s', `size=${blockSize}`), ...named('-L')];
    case 'btrfs':
      return [...(overwrite ? ['-f'] : []), ...onFile('-s', String(blockSize)), ...named('-L')];
    case 'ext4':
      return [...(overwrite || isFile ? ['-F'] : []), ...onFile('-b', String(blockSize)), ...named('-L')];
    case 'vfat':
      return [...(isWholeDisk ? ['-I'] : []), ...onFile('-S', String(blockSize)), ...named('-n')];
  }
}

function checkLabel(type: FileSystem, label: string): void {
  const bytes = Buffer.byteLength(label);
  if (bytes === 0 || bytes > LABEL_BYTES[type] || /[\p{Cc}/]/u.test(label)) {
    throw new AppError('ERR_USAGE', `--label: ${type} takes 1 to ${LABEL_BYTES[type]} bytes without "/"`);
  }
}

export interface MountPlan {
  readonly path: string;
  readonly target: string;
  readonly readOnly: boolean;
  /** For mount as they are. */
  readonly extra: readonly string[];
}

export function planMount({ path, target, readOnly, extra }: MountPlan): Step[] {
  const args = [...(readOnly ? ['--read-only'] : []), ...extra, '--', path, target];
  return [{ name: 'mount', tool: 'mount', args, timeoutMs: MOUNT_MS }];
}

export function planUnmount(target: string): Step[] {
  return [{ name: 'unmount', tool: 'umount', args: ['--', target], timeoutMs: MOUNT_MS }];
}

/** The steps as lines that a POSIX shell would run the same way. */
export function shellLines(steps: readonly Step[]): string[] {
  return steps.map(({ tool, args, input }) => shellLine(tool, args, input));
}
