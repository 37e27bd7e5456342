// disk grow: after a LUN has grown its partition table, the last partition and the file system follow. Every step looks
// first whether it is done already, so that a run that was killed anywhere is completed by the next one.
import { hasTool, missingTool } from '../../disk/run.js';
import { diskSize, kernelName } from '../../disk/sysfs.js';
import { AppError } from '../../util/errors.js';
import { rescanSession } from '../lun/control.js';
import { type ContentWork, type GrownFileSystem, growContent, lookAtContent } from './grow-content.js';
import type { GrowContext } from './grow-steps.js';
import { type GrownPartition, growTable, lookAtTable, type TableWork } from './grow-table.js';
import type { DiskTarget } from './name.js';
import { type DiskOptions, resolveTarget } from './prepare.js';

export interface GrowOptions extends DiskOptions, GrowContext {
  /** Leave what is in the partition as it is, whatever it is. */
  readonly partitionOnly: boolean;
  /** Only say what would be done. */
  readonly dryRun: boolean;
}

export interface GrowResult {
  /** The partition or disk that is meant. */
  readonly target: DiskTarget;
  /** What was done, or would be, as shell lines; empty where there is nothing to grow. */
  readonly lines: readonly string[];
  /** null: it takes all there is already, or there is none. */
  readonly partition: GrownPartition | null;
  /** null: it takes all it can already, or is left as it is. */
  readonly fileSystem: GrownFileSystem | null;
}

/**
 * Grows what DEV names: a partition, or the last one of a disk, or the file system on a disk without a table; and what
 * is in it, mounted or not. Whatever would have to be refused is refused before anything changes.
 * @throws AppError ERR_BUSY while the device keeps its old size or somebody else holds it, ERR_NOT_SUPPORTED for what
 * cannot grow, ERR_ACCESS for a read-only LUN, ERR_HELPER
 */
export async function growDisk(options: GrowOptions): Promise<GrowResult> {
  const target = await currentTarget(options);
  const table = await lookAtTable(target, options);
  const place = placeOf(target, table);
  const content = await contentWork(place, table, options);
  const lines = [...(table?.lines ?? []), ...(content?.lines ?? [])];
  const fileSystem = content?.fileSystem ?? null;
  const result = { target: place, lines, partition: table?.partition ?? null, fileSystem };
  if (options.dryRun || lines.length === 0) return result;
  for (const { tool } of [...(table?.steps ?? []), ...(content?.steps ?? [])]) {
    if (!hasTool(tool)) throw missingTool(tool);
  }
  if (table !== null && table.lines.length > 0) await growTable(target, table, options);
  if (fileSystem === null) return result;
  // As it is now: without a device the partition's export has another size.
  const grown = placeOf(await resolveTarget(options), table);
  return { ...result, fileSystem: await growContent(grown, roomOf(grown, table), options) };
}

/** The disk as it is at the target now. @throws AppError ERR_BUSY where its device is not */
async function currentTarget(options: GrowOptions): Promise<DiskTarget> {
  const { session } = await resolveTarget(options);
  await rescanSession(options.paths, session.sid, options);
  const target = await resolveTarget(options);
  const { device, name, fullName } = target;
  if (device.readOnly) throw new AppError('ERR_ACCESS', `${name} is read-only`);
  const { path, sizeBytes, attach } = device;
  const shown = path === null ? sizeBytes : diskSize(kernelName(path));
  if (shown >= sizeBytes) return target;
  const again = `lunctl lun detach ${fullName}; lunctl lun attach ${fullName} --attach ${attach}`;
  throw new AppError('ERR_BUSY', `${path} still has ${shown} bytes, the LUN ${sizeBytes}; nothing was changed`, {
    hint: `it keeps its size until it is attached again: lunctl disk unmount ${fullName}; ${again}`,
  });
}

/** Without a table, or with an empty one, the disk itself. */
function placeOf(target: DiskTarget, table: TableWork | null): DiskTarget {
  if (table?.entry == null || target.partition !== null) return target;
  const { number } = table.entry;
  return { ...target, partition: number, name: `${target.name}p${number}` };
}

function roomOf({ device }: DiskTarget, table: TableWork | null): number {
  return table === null ? device.sizeBytes : table.room;
}

function contentWork(place: DiskTarget, table: TableWork | null, options: GrowOptions): Promise<ContentWork | null> {
  if (options.partitionOnly || (table !== null && table.entry === null)) return Promise.resolve(null);
  // Of a disk without a table nobody knows whether what it holds could take more, unless it is a file system of these.
  const gains = table === null || table.partition !== null;
  return lookAtContent(place, { room: roomOf(place, table), gains }, options);
}
