// The pure planner of disk commands: which programs would run, in which order, with exactly which arguments.
import { AppError } from '../util/errors.js';
import type { LabelType, Range } from './layout.js';
import { lockArguments } from './lock.js';
import { shellLine } from './shell.js';
import type { Tool } from './tools.js';

export interface Step {
  readonly name:
    | ('wipe' | 'label' | 'partition' | 'format' | 'clean' | 'clear' | 'backup')
    | ('check' | 'grow' | 'mount' | 'unmount');
  readonly tool: Tool;
  readonly args: readonly string[];
  /** Standard input. */
  readonly input?: string;
  readonly timeoutMs: number;
  /** The whole disk, whose lock the program holds; see `RunOptions`. */
  readonly lock?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
  /** Exit statuses that are successes too. */
  readonly okStatuses?: readonly number[];
}

export const FILE_SYSTEMS = ['xfs', 'ext4', 'btrfs', 'vfat', 'swap'] as const;
export type FileSystem = (typeof FILE_SYSTEMS)[number];

export const TABLE_MS = 60_000;
/** A discard of a large LUN alone can take most of an hour. */
const FORMAT_MS = 4 * 3_600_000;
const MOUNT_MS = 120_000;

/** Where a plan works. */
export interface PlanDisk {
  /** A device node, or the file that nbdfuse shows. */
  readonly path: string;
  /** The whole disk's node; absent for a file, which nobody else looks at. */
  readonly lock?: string | undefined;
  /** Bytes, for a file whose sectors are not 512 bytes long: it cannot say so itself. */
  readonly sectorSize?: number | undefined;
}

/** GUID of "Linux filesystem data" and its number in an MBR. */
const PARTITION_TYPE = { gpt: '0FC63DAF-8483-4772-8E79-3D69D8477DE4', dos: '83' } as const;
/**
 * Exact sectors, nobody asked, nothing wiped behind our back: signatures have been looked for, and are removed by a
 * step of their own. The kernel is told by partx, see settlePartitions.
 */
export const SFDISK = ['--quiet', '--wipe=never', '--wipe-partitions=never', '--no-tell-kernel'] as const;

/** As parted has it, right behind the table: sfdisk's own choice, 1 MiB, is a gap that sgdisk warns of. */
const FIRST_USABLE = 'first-lba: 34';

/**
 * A new, empty partition table. `wipe`: the disk holds signatures and a person has agreed to lose them. `uuid`: of the
 * table; 8 hexadecimal digits for a dos label.
 */
export function planLabel(disk: PlanDisk, type: LabelType, { wipe, uuid }: { wipe: boolean; uuid: string }): Step[] {
  const id = type === 'gpt' ? uuid : `0x${uuid}`;
  const label =
    disk.sectorSize === undefined
      ? sfdisk('label', disk, [], [`label: ${type}`, `label-id: ${id}`, ...(type === 'gpt' ? [FIRST_USABLE] : [])])
      : fdisk('label', disk, [type === 'gpt' ? 'g' : 'o', 'x', 'i', id, 'r']);
  return wipe ? [planWipe(disk), label] : [label];
}

/** Removes every signature, so that no reader finds the old file system below the new table. */
export function planWipe(disk: PlanDisk): Step {
  return wipefs('wipe', disk, []);
}

/** In a file wipefs passes partition tables over, as nested ones, unless it is forced; a device it then would not claim. */
export function wipefs(name: Step['name'], { path, lock }: PlanDisk, flags: readonly string[]): Step {
  const force = lock === undefined ? ['--force'] : [];
  return {
    name,
    tool: 'wipefs',
    args: ['--all', '--quiet', ...force, ...flags, '--', path],
    timeoutMs: TABLE_MS,
    lock,
  };
}

/** `number` and `uuid` are those that the new partition shall have; a dos label gives no UUIDs. */
export interface NewPartition extends Range {
  readonly number: number;
  readonly uuid: string;
}

/** Adds partitions to the table that is there, which holds `existing`. Sectors are of the disk's own block size. */
export function planPartition(
  disk: PlanDisk,
  type: LabelType,
  added: readonly NewPartition[],
  existing: number,
): Step[] {
  if (disk.sectorSize !== undefined) {
    const keys = added.flatMap((partition, i) => fdiskPartition(type, partition, existing + i));
    return [fdisk('partition', disk, keys)];
  }
  const lines = added.map(({ start, length, uuid }) => {
    const fields = [`start=${start}`, `size=${length}`, `type=${PARTITION_TYPE[type]}`];
    return [...fields, ...(type === 'gpt' ? [`uuid=${uuid}`] : [])].join(', ');
  });
  return [sfdisk('partition', disk, ['--append'], lines)];
}

function sfdisk(name: Step['name'], { path, lock }: PlanDisk, flags: string[], lines: string[]): Step {
  const args = [...SFDISK, ...flags, '--', path];
  return { name, tool: 'sfdisk', args, input: `${lines.join('\n')}\n`, timeoutMs: TABLE_MS, lock };
}

/** fdisk is sfdisk with keys instead of a script; unlike it, it takes the word for the sectors of a file. */
function fdisk(name: Step['name'], { path, sectorSize, lock }: PlanDisk, keys: string[]): Step {
  const args = ['--sector-size', String(sectorSize), '--wipe=never', '--wipe-partitions=never', '--', path];
  return { name, tool: 'fdisk', args, input: `${[...keys, 'w'].join('\n')}\n`, timeoutMs: TABLE_MS, lock };
}

/** The keys of fdisk for one partition beside `others`: it asks for no number where only one is left, or there. */
function fdiskPartition(type: LabelType, { number, start, length, uuid }: NewPartition, others: number): string[] {
  const sectors = [String(start), String(start + length - 1)];
  if (type === 'dos') return ['n', 'p', ...(others === 3 ? [] : [String(number)]), ...sectors];
  return ['n', String(number), ...sectors, 'x', 'u', ...(others === 0 ? [] : [String(number)]), uuid, 'r'];
}

export interface FormatPlan extends Omit<PlanDisk, 'sectorSize'> {
  readonly type: FileSystem;
  readonly label?: string | undefined;
  /** In the form that the file system takes; see `checkUuid`. */
  readonly uuid?: string | undefined;
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
const LABEL_BYTES: Readonly<Record<FileSystem, number>> = { xfs: 12, ext4: 16, btrfs: 255, vfat: 11, swap: 15 };
/** What libblkid may call the new file system; mkfs.ext4 can be told to make the older kinds. */
const OWN_TYPES: Readonly<Record<FileSystem, string>> = {
  xfs: 'noxfs',
  ext4: 'noext4,ext3,ext2',
  btrfs: 'nobtrfs',
  vfat: 'novfat,dos',
  swap: 'noswap',
};

/**
 * mkfs first, which checks its arguments before it writes; then, over old data, the signatures that it has left
 * elsewhere, which would make the disk ambiguous. @throws AppError ERR_USAGE for a label or UUID that the file system
 * cannot hold.
 */
export function planFormat(plan: FormatPlan): Step[] {
  const { type, label, path, lock } = plan;
  if (label !== undefined) checkLabel(type, label);
  const args = [...ownArguments(plan), ...plan.extra, '--', path];
  const tool: Tool = type === 'swap' ? 'mkswap' : `mkfs.${type}`;
  const format: Step = { name: 'format', tool, args, timeoutMs: FORMAT_MS, lock };
  if (!plan.overwrite) return [format];
  return [format, wipefs('clean', { path, lock }, ['--types', OWN_TYPES[type]])];
}

function ownArguments(plan: FormatPlan): string[] {
  const { type, label, overwrite, isFile, blockSize, isWholeDisk } = plan;
  const named = (flag: string) => (label === undefined ? [] : [flag, label]);
  const onFile = (...args: string[]) => (isFile && blockSize !== 512 ? args : []);
  const id = plan.uuid === undefined ? null : checkUuid(type, plan.uuid);
  const identified = (...args: string[]) => (id === null ? [] : [...args.slice(0, -1), `${args.at(-1)}${id}`]);
  switch (type) {
    // xfs and btrfs look for signatures once more themselves: -f only where that has been agreed to.
    case 'xfs':
      return [
        ...(overwrite ? ['-f'] : []),
        ...onFile('-s', `size=${blockSize}`),
        ...identified('-m', 'uuid='),
        ...named('-L'),
      ];
    case 'btrfs':
      return [
        ...(overwrite ? ['-f'] : []),
        ...onFile('-s', String(blockSize)),
        ...identified('-U', ''),
        ...named('-L'),
      ];
    case 'ext4':
      return [
        ...(overwrite || isFile ? ['-F'] : []),
        ...onFile('-b', String(blockSize)),
        ...identified('-U', ''),
        ...named('-L'),
      ];
    case 'vfat':
      return [
        ...(isWholeDisk ? ['-I'] : []),
        ...onFile('-S', String(blockSize)),
        ...identified('-i', ''),
        ...named('-n'),
      ];
    // Over a partition table it would leave the first kilobyte alone, and the table with it.
    case 'swap':
      return [...(overwrite ? ['-f'] : []), ...identified('-U', ''), ...named('-L')];
  }
}

function checkLabel(type: FileSystem, label: string): void {
  const bytes = Buffer.byteLength(label);
  if (bytes === 0 || bytes > LABEL_BYTES[type] || /[\p{Cc}/]/u.test(label)) {
    throw new AppError('ERR_USAGE', `--label: ${type} takes 1 to ${LABEL_BYTES[type]} bytes without "/"`);
  }
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The identity of a new file system as its mkfs takes it: a UUID, or for vfat the eight hexadecimal digits of a volume
 * number (`1A2B-3C4D`). @throws AppError ERR_USAGE
 */
export function checkUuid(type: FileSystem, text: string): string {
  const id = text.toLowerCase();
  if (type === 'vfat') {
    if (/^[0-9a-f]{4}-?[0-9a-f]{4}$/.test(id) && /[1-9a-f]/.test(id)) return id.replace('-', '');
    throw new AppError('ERR_USAGE', `--uuid ${text}: vfat takes a volume number as 1A2B-3C4D`);
  }
  if (UUID.test(id) && /[1-9a-f]/.test(id)) return id;
  throw new AppError('ERR_USAGE', `--uuid ${text}: ${type} takes a UUID as 01234567-89ab-cdef-0123-456789abcdef`);
}

export interface MountPlan {
  readonly path: string;
  readonly target: string;
  readonly readOnly: boolean;
  /** For mount as they are. */
  readonly extra: readonly string[];
}

/** `_netdev` tells systemd, which sees it in libmount's notes, to unmount it before the sessions and the network end. */
export function planMount({ path, target, readOnly, extra }: MountPlan): Step[] {
  const args = ['-o', '_netdev', ...(readOnly ? ['--read-only'] : []), ...extra, '--', path, target];
  return [{ name: 'mount', tool: 'mount', args, timeoutMs: MOUNT_MS }];
}

export function planUnmount(target: string): Step[] {
  return [{ name: 'unmount', tool: 'umount', args: ['--', target], timeoutMs: MOUNT_MS }];
}

/** The steps as lines that a POSIX shell would run the same way. */
export function shellLines(steps: readonly Step[]): string[] {
  return steps.map(({ tool, args, input, lock, env }) => {
    const [first = tool, ...rest] = [...(lock === undefined ? [] : lockArguments(lock)), tool, ...args];
    return shellLine(first, rest, input, env);
  });
}
