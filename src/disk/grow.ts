// The pure planner of growing: where a partition could end now, and the steps that bring it and its file system there.
// Nothing is ever moved or made smaller.
import { type GrowableFileSystem, sizeOf, sizeWithin } from './file-system-size.js';
import { alignment, type Geometry, type LabelType, usableRange } from './layout.js';
import { type PlanDisk, SFDISK, type Step, TABLE_MS } from './plan.js';
import type { TableEntry } from './probe.js';

/** ext4 writes the tables of every new group when it is not mounted, and is checked before. */
const FILE_SYSTEM_MS = 4 * 3_600_000;
/** e2fsck has repaired something: the file system is as right as if there had been nothing. */
const REPAIRED = 1;

/** The partition that is meant: the one of that number, else the last one on the disk; null where there is none. */
export function partitionToGrow(entries: readonly TableEntry[], number: number | null): TableEntry | null {
  if (number !== null) return entries.find((entry) => entry.number === number) ?? null;
  return entries.reduce<TableEntry | null>((last, entry) => (last && last.start > entry.start ? last : entry), null);
}

/** MBR: the partition that holds the logical ones, or one of those; growing it means to rewrite a chain of tables. */
export function isLogicalOrExtended({ number, type }: TableEntry, label: LabelType): boolean {
  return label === 'dos' && (number > 4 || ['5', 'f', '85'].includes(type.toLowerCase()));
}

/** Sectors that the partition has once it reaches to the next one, or to the last aligned sector of the disk. */
export function grownLength(
  geometry: Geometry,
  label: LabelType,
  entries: readonly TableEntry[],
  { start, length }: TableEntry,
): number {
  const usable = usableRange(geometry, label);
  const grain = alignment(geometry) / geometry.blockSize;
  const behind = entries.filter((entry) => entry.start > start).map((entry) => entry.start);
  // A disk below one step of alignment has no aligned sector to grow to.
  const last = usable.length === 0 ? 0 : usable.start + usable.length;
  const end = Math.min(last, ...behind.map((next) => Math.floor(next / grain) * grain));
  return Math.max(length, end - start);
}

/** One rewrite of the table: sfdisk moves the backup of a GPT to the new end of the disk along with it. */
export function planGrowPartition({ path, lock }: PlanDisk, number: number, length: number): Step {
  return {
    name: 'partition',
    tool: 'sfdisk',
    args: [...SFDISK, '--no-reread', '-N', String(number), '--', path],
    input: `size=${length}\n`,
    timeoutMs: TABLE_MS,
    lock,
  };
}

/** Whether a GPT that holds no partition ends so early that new ones could not have the room there is. */
export function isBackupBehind(geometry: Geometry, lastUsable: number): boolean {
  const usable = usableRange(geometry, 'gpt');
  return usable.length > 0 && lastUsable < usable.start + usable.length - 1;
}

/** Moves the backup of a GPT to the end of the disk and changes nothing else. */
export function planMoveBackup({ path, lock }: PlanDisk): Step {
  const args = [...SFDISK, '--no-reread', '--relocate', 'gpt-bak-std', '--', path];
  return { name: 'partition', tool: 'sfdisk', args, timeoutMs: TABLE_MS, lock };
}

/** Whether the file system could take more of `room` bytes than it does. */
export function canGrow(fs: GrowableFileSystem, room: number): boolean {
  return sizeWithin(fs, room) > sizeOf(fs);
}

/** xfs and btrfs grow only while they are mounted. */
export function needsMount({ type }: GrowableFileSystem): boolean {
  return type !== 'ext';
}

/** `mountPoint` is null only where `needsMount` says no. */
export function planGrowFileSystem(fs: GrowableFileSystem, disk: PlanDisk, mountPoint: string | null): Step[] {
  const { path, lock } = disk;
  const grow = (tool: Step['tool'], ...args: string[]): Step => {
    return { name: 'grow', tool, args, timeoutMs: FILE_SYSTEM_MS, lock };
  };
  switch (fs.type) {
    case 'xfs':
      return [grow('xfs_growfs', '-d', '--', mountPoint ?? path)];
    case 'btrfs':
      return [grow('btrfs', 'filesystem', 'resize', '--', `${fs.deviceId}:max`, mountPoint ?? path)];
    case 'ext':
      return [...(mountPoint === null ? [planCheck(disk)] : []), grow('resize2fs', '--', path)];
  }
}

/** resize2fs wants one right before. It repairs what can be repaired without a question, and stops at anything else. */
function planCheck({ path, lock }: PlanDisk): Step {
  const args = ['-f', '-p', '--', path];
  return { name: 'check', tool: 'e2fsck', args, timeoutMs: FILE_SYSTEM_MS, okStatuses: [0, REPAIRED], lock };
}
