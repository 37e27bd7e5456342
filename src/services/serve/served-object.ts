// A storage object while it is served: its open backstore and the one logical unit that every LUN on it shows.
import { flush } from '../../block/promise.js';
import type { StorageObject } from '../../saveconfig/model.js';
import { backstorePath } from '../../saveconfig/paths.js';
import { LogicalUnit } from '../../target/logical-unit.js';
import type { ReservationKeeper } from '../../target/reservations.js';
import { delay } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import type { Backstore, OpenOptions } from './backstores/backstore.js';
import { openBackstore, openPlugin } from './backstores/open.js';
import { longWork } from './long-work.js';
import { openReservationFile } from './reservation-file.js';
import { unitFeatures } from './unit-settings.js';
import { within } from './within.js';

/** For the tasks of a unit that is taken away, for a flush, for closing: milliseconds each. */
export const TASKS_WAIT_MS = 5000;
const POLL_MS = 20;

export interface ServedObject {
  readonly backstore: Backstore;
  /** Reservations and unit attentions belong to it: it lives as long as the object is served. */
  readonly unit: LogicalUnit;
}

export interface ObjectOptions extends OpenOptions {
  /** Errors do not name the object. */
  readonly unnamed: boolean;
  /** Where reservations are kept that outlive a loss of power (APTPL); null: nowhere, so that none do. */
  readonly reservations: string | null;
}

export async function openObject(object: StorageObject, options: ObjectOptions): Promise<ServedObject> {
  const backstore = await (options.unnamed ? openPlugin(object, options) : openBackstore(object, options));
  const { name, serial, device, passThrough = null } = backstore;
  const features = unitFeatures(object);
  const pool = options.pool && { pool: options.pool };
  const keeper = await keeperOf(object, backstore, options.reservations);
  return {
    backstore,
    unit: new LogicalUnit({ name, serial, device, passThrough, features, keeper, pause: longWork, ...pool }),
  };
}

/** Memory is another disk after each start, and nobody's reservation holds for it. */
async function keeperOf(
  object: StorageObject,
  backstore: Backstore,
  folder: string | null,
): Promise<ReservationKeeper | null> {
  if (folder === null || object.plugin === 'ramdisk') return null;
  try {
    return await openReservationFile(folder, backstore.serial);
  } catch (error) {
    await backstore.close(true);
    throw error;
  }
}

/** As the file says it from now on: with the number that was made up, and the size that was found. */
export function settled(object: StorageObject, { backstore }: ServedObject): StorageObject {
  const { serial, device } = backstore;
  const { sizeBytes } = device;
  switch (object.plugin) {
    case 'fileio':
    case 'ramdisk':
    case 'user':
      return { ...object, wwn: object.wwn ?? serial, size: sizeBytes };
    case 'block':
      return { ...object, wwn: object.wwn ?? serial };
    case 'pscsi':
      return object;
  }
}

/** What cannot change while it is served: another disk would be behind the same LUNs. */
const FIXED = ['dev', 'wwn', 'readonly', 'write_back', 'nullio', 'config'] as const;

/** Whether `next` is the disk that `now` is, maybe larger. */
export function isSameDisk(now: StorageObject, next: StorageObject): boolean {
  const [a, b]: Readonly<Record<string, unknown>>[] = [now, next];
  const same = FIXED.every(
    (key) => (b?.[key] ?? null) === (a?.[key] ?? null) || (key === 'wwn' && b?.wwn === undefined),
  );
  return same && Number(now.attributes.block_size ?? 512) === Number(next.attributes.block_size ?? 512);
}

function sizeOf(object: StorageObject): number {
  return 'size' in object && typeof object.size === 'number' ? object.size : 0;
}

/** Whether both are the same file or device, under whatever terms. */
function sharesMedium(a: StorageObject, b: StorageObject): boolean {
  return 'dev' in a && 'dev' in b && a.dev === b.dev;
}

/**
 * Once nobody has it any more, or late: stops what is under way, flushes, closes. Whether every write is on the medium.
 */
export async function closeObject({ backstore, unit }: ServedObject): Promise<boolean> {
  const until = performance.now() + TASKS_WAIT_MS;
  while (unit.nexuses.size > 0 && performance.now() < until) await delay(POLL_MS);
  const { device } = backstore;
  const flushed = device.readOnly || (await within(TASKS_WAIT_MS, flush(device).then(...settledTo))) === true;
  await within(TASKS_WAIT_MS, backstore.close(false));
  return flushed;
}
const settledTo = [() => true, () => false] as const;

/** @throws AppError that names the object and what would have to change while initiators use it */
export function refuseOtherDisk(now: StorageObject, next: StorageObject): void {
  if (isSameDisk(now, next)) {
    const [size, wanted] = [sizeOf(now), sizeOf(next)];
    if (wanted === 0 || wanted >= size) return;
    throw new AppError('ERR_USAGE', `${backstorePath(now)}: a disk of ${size} bytes never shrinks`);
  }
  if (!sharesMedium(now, next)) return;
  throw new AppError('ERR_BUSY', `${backstorePath(now)} is served on other terms`, {
    hint: 'delete it first, then create it anew',
  });
}
