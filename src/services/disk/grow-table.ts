// The partition table's share of `disk grow`: the backup of a GPT at the new end, the partition up to there, and a kernel
// and a worker that know it.
import { isDeepStrictEqual } from 'node:util';
import {
  grownLength,
  isBackupBehind,
  isLogicalOrExtended,
  partitionToGrow,
  planGrowPartition,
  planMoveBackup,
} from '../../disk/grow.js';
import type { Geometry, LabelType } from '../../disk/layout.js';
import { type Step, shellLines } from '../../disk/plan.js';
import { contentOf, type PartitionTable, partitionTableOf, type TableEntry } from '../../disk/probe.js';
import { kernelName, kernelPartitions } from '../../disk/sysfs.js';
import { AppError } from '../../util/errors.js';
import type { DiskAccess } from './access.js';
import { type GrowContext, opened, runGrowSteps } from './grow-steps.js';
import type { DiskTarget } from './name.js';

export interface GrownPartition {
  readonly number: number;
  readonly path: string | null;
  /** Bytes, as in what follows. */
  readonly beforeBytes: number;
  readonly sizeBytes: number;
}

/** A partition table, and what has to be done to it. */
export interface TableWork {
  readonly table: PartitionTable;
  /** What is to grow; null where the table is empty. */
  readonly entry: TableEntry | null;
  /** Bytes that it has in the end. */
  readonly room: number;
  readonly steps: readonly Step[];
  /** All of it as shell lines; empty when nothing is to be done. */
  readonly lines: readonly string[];
  /** null: it has all the room there is. */
  readonly partition: GrownPartition | null;
}

/** The type of the one partition in the MBR before a GPT, which is what is seen of a GPT that cannot be read. */
const PROTECTIVE = 'ee';

/** Reads the table of `target`'s disk; null where there is none. Changes nothing on it. */
export function lookAtTable(target: DiskTarget, context: GrowContext): Promise<TableWork | null> {
  return opened(wholeOf(target), context, async (access) => {
    // The boot sector of a FAT on the whole disk reads like an empty table.
    if ((await contentOf(access.path, context)).type !== null) return null;
    checkTableSectors(target, access);
    const table = await partitionTableOf(access.path, context);
    if (table === null) return null;
    const label = labelOf(table, target);
    const entry = entryOf(table, label, target);
    return entry === null ? emptyTable(table, access) : tableWork(table, label, entry, target, access);
  });
}

/** Does what `lookAtTable` has found, if the table is still the same. */
export function growTable(target: DiskTarget, work: TableWork, context: GrowContext): Promise<void> {
  return opened(wholeOf(target), context, async (access) => {
    const table = await partitionTableOf(access.path, context);
    if (!isDeepStrictEqual(table, work.table)) {
      throw new AppError('ERR_BUSY', `the partition table of ${target.name} is being changed by somebody else`);
    }
    const partition = work.entry?.number ?? null;
    await runGrowSteps(target, access, { steps: work.steps, partition }, context);
    const after = await access.settle();
    context.onStep?.({ name: 'kernel', stdout: '' });
    const size = after.find(({ number }) => number === partition)?.sizeBytes;
    if (partition === null || size === work.room) return;
    throw new AppError(
      'ERR_HELPER',
      `partition ${partition} of ${target.name} is still seen with ${size ?? 'no'} bytes`,
    );
  });
}

function emptyTable(table: PartitionTable, access: DiskAccess): TableWork {
  const { geometry } = access;
  const { label, lastUsable } = table;
  const moves = label === 'gpt' && lastUsable !== null && isBackupBehind(geometry, lastUsable);
  const steps = moves ? [planMoveBackup(access)] : [];
  const lines = moves ? access.byHand(shellLines(steps), 'none') : [];
  return { table, entry: null, room: 0, steps, lines, partition: null };
}

async function tableWork(
  table: PartitionTable,
  label: LabelType,
  entry: TableEntry,
  target: DiskTarget,
  access: DiskAccess,
): Promise<TableWork> {
  const { geometry } = access;
  const length = grownLength(geometry, label, table.ranges, entry);
  const grows = length > entry.length;
  const steps = grows ? [planGrowPartition(access, entry.number, length)] : [];
  const isKnown = (await knownSize(target, entry.number, access)) === entry.length * geometry.blockSize;
  const lines = grows || !isKnown ? access.byHand(shellLines(steps), 'partitions') : [];
  const grown = grows ? grownPartition(target, entry, length, geometry) : null;
  return { table, entry, room: length * geometry.blockSize, steps, lines, partition: grown };
}

function grownPartition(
  { device }: DiskTarget,
  { number, length: before }: TableEntry,
  length: number,
  { blockSize }: Geometry,
): GrownPartition {
  const path = device.path === null ? null : `${device.path}p${number}`;
  return { number, path, beforeBytes: before * blockSize, sizeBytes: length * blockSize };
}

/** As the kernel has the partition, or without a device the worker. One that it has never heard of is told to it now. */
async function knownSize({ device }: DiskTarget, number: number, access: DiskAccess): Promise<number | undefined> {
  const known =
    device.path === null
      ? device.partitions.find((part) => part.number === number)?.sizeBytes
      : kernelPartitions(kernelName(device.path)).find((part) => part.number === number)?.length;
  return known ?? (await access.settle()).find((part) => part.number === number)?.sizeBytes;
}

/** sfdisk cannot be told a file's sector size. */
function checkTableSectors({ device, name }: DiskTarget, access: DiskAccess): void {
  if (!access.isFile || device.blockSize === 512) return;
  throw new AppError('ERR_NOT_SUPPORTED', `${name} has blocks of ${device.blockSize} bytes: its table needs a device`, {
    hint: 'lunctl lun attach makes one, as root',
  });
}

function labelOf({ label, ranges, sectorSize }: PartitionTable, { name, device }: DiskTarget): LabelType {
  if (label !== 'gpt' && label !== 'dos') throw cannot(`the ${label} partition table of ${name} cannot be grown`);
  if (label === 'dos' && ranges.some(({ type }) => type.toLowerCase() === PROTECTIVE)) {
    throw cannot(`the GPT of ${name} cannot be read: it is damaged, or the disk is smaller than it says`);
  }
  const end = Math.max(0, ...ranges.map(({ start, length }) => start + length)) * sectorSize;
  if (end > device.sizeBytes) throw cannot(`${name} is smaller than its partition table says; nothing is made smaller`);
  return label;
}

/** What is asked for by DEV. @throws AppError ERR_NOT_FOUND, ERR_NOT_SUPPORTED */
function entryOf(table: PartitionTable, label: LabelType, { name, partition, device }: DiskTarget): TableEntry | null {
  const entry = partitionToGrow(table.ranges, partition);
  if (entry !== null && isLogicalOrExtended(entry, label)) {
    throw cannot(`partition ${entry.number} of ${device.path ?? name} is an extended or logical one`);
  }
  if (entry !== null || partition === null) return entry;
  throw new AppError('ERR_NOT_FOUND', `there is no partition ${partition} for ${name}`, {
    hint: 'lunctl disk list shows what is there',
  });
}

function cannot(why: string): AppError {
  return new AppError('ERR_NOT_SUPPORTED', why);
}

function wholeOf(target: DiskTarget): DiskTarget {
  return { ...target, partition: null };
}
