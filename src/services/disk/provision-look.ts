// What provisioning finds on a disk, and at which step that makes it begin. Looking changes nothing on the disk.
import { type Geometry, placePartitions, type Range, type SizeSpec, usableRange } from '../../disk/layout.js';
import type { FileSystem } from '../../disk/plan.js';
import { type Content, contentOf, describeSignature, isTable, type Signature } from '../../disk/probe.js';
import { kernelName, kernelPartitions, mountPointsOf } from '../../disk/sysfs.js';
import { isUnfinished } from '../../disk/unfinished.js';
import { type DiskContext, openDisk } from './access.js';
import { type Findings, look } from './look.js';
import type { DiskTarget } from './name.js';
import { resolveTarget } from './prepare.js';

export interface Wish {
  readonly type: FileSystem;
  readonly label?: string | undefined;
  /** Of the one partition; undefined: whatever it has, and the whole disk for a new one. */
  readonly size?: SizeSpec | undefined;
}

export interface FoundPartition {
  readonly number: number;
  /** null without a device. */
  readonly path: string | null;
  readonly sizeBytes: number;
  readonly content: Content;
  /** mkfs has been killed there. */
  readonly unfinished: boolean;
  readonly mounts: readonly string[];
}

export interface Found {
  readonly geometry: Geometry;
  /** On the whole disk, without those of a partition table. */
  readonly signatures: readonly Signature[];
  /** `gpt`, `dos` or another kind; null without a table. */
  readonly table: string | null;
  /** What is wrong with it, or null. */
  readonly damage: string | null;
  readonly ranges: readonly Range[];
  /** The only partition; null when there is none, or several. */
  readonly partition: FoundPartition | null;
  /** Without a partition: what lies where it would begin. */
  readonly beneath: Signature | null;
}

/** The first thing that is not as it should be; `mount` when the disk is. */
export type Beginning = 'label' | 'partition' | 'format' | 'mount';

/** `against`: why that would destroy something, as the end of a sentence that begins with the disk's name. */
export interface Verdict {
  readonly from: Beginning;
  readonly against: string | null;
}

/** Where to begin, purely from what was found. */
export function compare(found: Found, wish: Wish): Verdict {
  const { signatures, table, damage, ranges, partition, beneath } = found;
  const [foreign] = signatures;
  if (foreign !== undefined) {
    return { from: 'label', against: `holds ${describeSignature(foreign)}, on the whole disk` };
  }
  const below = beneath === null ? null : `holds ${describeSignature(beneath)}, where its partition would begin`;
  if (damage !== null) return { from: 'label', against: `has a partition table with a fault: ${damage}` };
  if (table === null) return { from: 'label', against: below };
  if (table !== 'gpt') return { from: 'label', against: `has a ${table} label, not gpt` };
  if (ranges.length === 0) return { from: 'partition', against: below };
  if (partition === null) return { from: 'label', against: `has ${ranges.length} partitions, not one` };
  if (wish.size !== undefined) {
    const [range] = ranges;
    const [wanted] = placePartitions(found.geometry, 'gpt', [], [wish.size]);
    if (range?.length !== wanted?.length) {
      const bytes = (wanted?.length ?? 0) * found.geometry.blockSize;
      return { from: 'label', against: `has a partition of ${partition.sizeBytes} bytes, not ${bytes}` };
    }
  }
  return comparePartition(partition, wish);
}

function comparePartition({ number, content, unfinished }: FoundPartition, { type, label }: Wish): Verdict {
  if ((content.type === null && content.table === null) || unfinished) return { from: 'format', against: null };
  const holds = `holds ${contentText(content)} in partition ${number}`;
  if (content.type !== type) return { from: 'format', against: `${holds}, not ${type}` };
  if (label !== undefined && content.label !== label) {
    return { from: 'format', against: `${holds}, not one labelled "${label}"` };
  }
  return { from: 'mount', against: null };
}

function contentText({ type, table, label }: Content): string {
  return `${type ?? `a ${table} table`}${label === null || label === '' ? '' : ` "${label}"`}`;
}

/** Brings the kernel's and the worker's partitions in line with the table first: a killed command may not have done so. */
export async function lookAtDisk(target: DiskTarget, context: DiskContext): Promise<Found> {
  const access = await openDisk(target, context);
  try {
    const { path, geometry } = access;
    const findings = await look(target, access, context);
    const signatures = findings.signatures.filter((signature) => !isTable(signature));
    const table = tableOf(findings);
    const ranges = rangesOf(findings, geometry);
    const known = table === null && access.inside.length === 0 ? [] : await access.settle();
    const isBlank = ranges.length === 0 && signatures.length === 0;
    const beneath = isBlank ? await lookBeneath(path, geometry, context) : null;
    await access.close();
    const [only] = ranges.length === 1 ? known : [];
    const partition = only === undefined ? null : await lookInto(target, only, context);
    return { geometry, signatures, table, damage: findings.own.table.reason, ranges, partition, beneath };
  } finally {
    await access.close();
  }
}

/** An empty MBR looks like none to our own reader. */
function tableOf({ own, signatures }: Findings): string | null {
  if (own.table.kind !== 'none') return own.table.kind === 'gpt' ? 'gpt' : 'dos';
  const [found] = signatures.filter(isTable);
  return found === undefined ? null : `${found.type === 'gpt' ? 'damaged gpt' : found.type}`;
}

function rangesOf({ own }: Findings, { blockSize }: Geometry): Range[] {
  return own.table.partitions.map(({ start, length }) => ({ start: start / blockSize, length: length / blockSize }));
}

/** An old file system there would be found only when the label has been written: a disk without a label looks blank. */
async function lookBeneath(path: string, geometry: Geometry, context: DiskContext): Promise<Signature | null> {
  const offset = usableRange(geometry, 'gpt').start * geometry.blockSize;
  if (offset >= geometry.sizeBytes) return null;
  const { type, label, uuid } = await contentOf(
    { path, range: { offset, length: geometry.sizeBytes - offset } },
    context,
  );
  return type === null ? null : { type, offset, label, uuid };
}

async function lookInto(
  { fullName }: DiskTarget,
  { number, path, sizeBytes }: Pick<FoundPartition, 'number' | 'path' | 'sizeBytes'>,
  context: DiskContext,
): Promise<FoundPartition> {
  const access = await openDisk(await resolveTarget({ ...context, dev: fullName, partition: number }), context);
  try {
    const content = await contentOf(access.path, context);
    const unfinished = await isUnfinished(access.path, content.type);
    return { number, path, sizeBytes, content, unfinished, mounts: path === null ? [] : mountsOf(path) };
  } finally {
    await access.close();
  }
}

function mountsOf(path: string): string[] {
  const disk = kernelName(path).replace(/p\d+$/, '');
  const dev = kernelPartitions(disk).find(({ name }) => name === kernelName(path))?.dev ?? '';
  return mountPointsOf(path, dev);
}
