// What is on a disk before anything on it is changed: three readers look (libblkid by wipefs and by blkid, sfdisk, and our own
// one of partition tables), and what any of them finds counts as data.
import type { LabelType, Range } from '../../disk/layout.js';
import { type OwnReading, readOwnTable, unknownHeaders } from '../../disk/own-table.js';
import {
  contentOf,
  describeSignature,
  isTable,
  partitionTableOf,
  type Signature,
  signaturesOn,
} from '../../disk/probe.js';
import { AppError } from '../../util/errors.js';
import type { DiskAccess, DiskContext } from './access.js';
import type { DiskTarget } from './name.js';

export interface Findings {
  /** Everything that makes the disk not blank. */
  readonly signatures: readonly Signature[];
  /** Those of them that wipefs lists, and can remove. */
  readonly known: readonly Signature[];
  /** Where GPT headers stand that only our own reader has found, bytes. */
  readonly hiddenHeaders: readonly number[];
  readonly own: OwnReading;
}

/** Throws ERR_HELPER when the disk cannot be read. */
export async function look(target: DiskTarget, { path }: DiskAccess, options: DiskContext): Promise<Findings> {
  const known = await signaturesOn(path, options);
  const own = await readOwnTable(path, target.device.blockSize);
  const hidden = unknownHeaders(own, known);
  const signatures = [...known, ...hidden];
  if (signatures.length === 0) signatures.push(...(await secondLook(path, own, options)));
  return { signatures, known, hiddenHeaders: hidden.map(({ offset }) => offset), own };
}

/** Where wipefs finds nothing, neither blkid nor our own reader may. */
async function secondLook(path: string, { table }: OwnReading, options: DiskContext): Promise<Signature[]> {
  const { type, table: kind, label, uuid } = await contentOf(path, options);
  const found = type ?? kind ?? (table.kind === 'none' ? null : table.kind);
  return found === null ? [] : [{ type: found, offset: 0, label, uuid }];
}

/** A table that new partitions can be added to. */
export interface UsableTable {
  readonly label: LabelType;
  /** In sectors of the disk; the container of logical partitions counts too. */
  readonly existing: readonly Range[];
}

/**
 * The table on the disk, as two readers agree on it.
 * @throws AppError ERR_USAGE without a table; ERR_REFUSED where there is something else, or the table is damaged.
 */
export async function requireTable(
  target: DiskTarget,
  access: DiskAccess,
  { signatures, own }: Findings,
  options: DiskContext,
): Promise<UsableTable> {
  const { name, device } = target;
  const other = signatures.find((signature) => !isTable(signature));
  const relabel = `lunctl disk label ${name} makes a new partition table, and destroys that`;
  if (other !== undefined) {
    throw new AppError('ERR_REFUSED', `${name} holds ${describeSignature(other)}; nothing was changed`, {
      hint: relabel,
    });
  }
  const { kind, partitions, reason } = own.table;
  if (reason !== null) {
    throw new AppError('ERR_REFUSED', `${name}: ${reason}; nothing was changed`, {
      hint: `sgdisk --verify and gdisk can repair a table; ${relabel}`,
    });
  }
  if (kind === 'none' && own.gptHeaders.length > 0) {
    throw new AppError('ERR_REFUSED', `${name} holds what is left of a gpt; nothing was changed`, { hint: relabel });
  }
  const ours = partitions.map(({ start, length }) => ({
    start: start / device.blockSize,
    length: length / device.blockSize,
  }));
  // Of a file with other sectors than 512 bytes nobody else can read the table.
  if (access.isFile && device.blockSize !== 512) {
    // An empty MBR looks like none to our own reader.
    if (kind === 'none' && !signatures.some(({ type }) => type === 'dos')) throw noTable(target, signatures);
    return { label: kind === 'gpt' ? 'gpt' : 'dos', existing: ours };
  }
  const table = await partitionTableOf(access.path, options);
  if (table === null || (table.label !== 'gpt' && table.label !== 'dos')) throw noTable(target, signatures);
  const agreed = ours.every((range) => table.ranges.some((r) => r.start === range.start && r.length === range.length));
  if (!agreed || (table.label === 'gpt' && ours.length !== table.ranges.length)) {
    throw new AppError(
      'ERR_REFUSED',
      `${name}: sfdisk reads another partition table than lunctl; nothing was changed`,
      {
        hint: relabel,
      },
    );
  }
  return { label: table.label, existing: table.ranges };
}

function noTable({ name }: DiskTarget, signatures: readonly Signature[]): AppError {
  const which = signatures.length === 0 ? '' : 'usable gpt or dos ';
  return new AppError('ERR_USAGE', `${name} has no ${which}partition table`, { hint: `lunctl disk label ${name}` });
}

/** A look at what has been written: a table of that kind, and these partitions in it. The look throws ERR_HELPER. */
export function verifyTable(
  { name, device }: DiskTarget,
  { path }: DiskAccess,
  label: LabelType,
  ranges: readonly Range[],
): () => Promise<void> {
  return async () => {
    const { table } = await readOwnTable(path, device.blockSize);
    const has = ({ start, length }: Range) =>
      table.partitions.some((p) => p.start === start * device.blockSize && p.length === length * device.blockSize);
    // An empty MBR looks like none.
    const rightKind = label === 'gpt' ? table.kind === 'gpt' : table.kind !== 'gpt';
    if (rightKind && table.reason === null && ranges.every(has)) return;
    throw new AppError('ERR_HELPER', `the partition table on ${name} is not what was written`, {
      hint: 'lunctl disk list shows what is there; lunctl disk label starts again',
    });
  };
}
