// Disks, partitions and mounts as text.
import type { BootMount } from '../../services/disk/boot.js';
import type { GrownFileSystem } from '../../services/disk/grow-content.js';
import type { GrownPartition } from '../../services/disk/grow-table.js';
import type { ListedContent, ListedDisk, ListedPartition } from '../../services/disk/list.js';
import type { MountedFileSystem } from '../../services/disk/mount.js';
import { PROVISION_STEPS, type ProvisionStep } from '../../services/disk/provision.js';
import { access } from './devices.js';
import { type Listing, sizeColumn } from './listing.js';
import { table } from './table.js';
import { formatSize, orDash } from './text.js';

/** One file system as `df -hT` shows it. */
export function mountedText({ source, type, sizeBytes, usedBytes, availableBytes, target }: MountedFileSystem): string {
  const sizes = [sizeBytes, usedBytes, availableBytes].map(dfSize);
  return table(
    [
      { head: 'Filesystem' },
      { head: 'Type' },
      ...['Size', 'Used', 'Avail', 'Use%'].map((head) => ({ head, align: 'right' as const })),
      { head: 'Mounted on' },
    ],
    [[source, type, ...sizes, percent(usedBytes, usedBytes + availableBytes), target]],
  );
}

/** `BootMount` as --json prints it, in whatever ending. */
export function bootJson(boot: BootMount | null) {
  return { fstab: boot?.fstab ?? null, startupChanged: boot?.startup?.changed ?? false };
}

/** One step of provisioning, numbered among all. */
export function stepText({ name, done, leftOut, detail }: ProvisionStep, total: number): string {
  const number = PROVISION_STEPS.indexOf(name) + 1;
  return ` [${number}/${total}] ${name.padEnd(9)}  ${detail}${done || leftOut ? '' : ', unchanged'}`;
}

/** When no step had to be done. */
export function unchangedText(steps: readonly ProvisionStep[]): string {
  const shown = steps.filter(({ name, leftOut }) => !leftOut && name !== 'login' && name !== 'attach');
  return `unchanged: ${shown.map(({ name, detail }) => (name === 'label' ? `${detail} label` : detail)).join(', ')}`;
}

/** A size as df -h prints it: rounded up, with one decimal below 10. */
function dfSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < DF_UNITS.length - 1; unit++) value /= 1024;
  const tenths = Math.ceil(value * 10) / 10;
  return `${unit > 0 && tenths < 10 ? tenths.toFixed(1) : Math.ceil(value)}${DF_UNITS[unit]}`;
}
const DF_UNITS = ['', 'K', 'M', 'G', 'T', 'P'] as const;

/** What `disk grow` has done, a line for each thing. */
export function grownText(name: string, partition: GrownPartition | null, fileSystem: GrownFileSystem | null): string {
  const sizes = (grown: GrownPartition | GrownFileSystem) =>
    `grown from ${formatSize(grown.beforeBytes)} to ${formatSize(grown.sizeBytes)}`;
  const lines = [
    ...(partition === null ? [] : [`${name}: partition ${partition.number} ${sizes(partition)}`]),
    ...(fileSystem === null ? [] : [`${name}: ${contentName(fileSystem)} ${sizes(fileSystem)}`]),
  ];
  return lines.length === 0 ? `${name}: the partition table is up to date` : lines.join('\n');
}

function contentName({ type, mountPoint }: GrownFileSystem): string {
  return mountPoint === null ? type : `${type} on ${mountPoint}`;
}

/** A disk, or one of its partitions. */
export interface DiskRow {
  readonly disk: ListedDisk;
  readonly part: ListedPartition | null;
  /** What stands before a partition's name in the tree. */
  readonly branch: string;
}

/** Each disk, and its partitions below it. */
export function diskRows(disks: readonly ListedDisk[]): DiskRow[] {
  return disks.flatMap((disk) => [
    { disk, part: null, branch: '' },
    ...disk.partitions.map((part, i) => ({ disk, part, branch: i === disk.partitions.length - 1 ? '└─' : '├─' })),
  ]);
}

const ofDisk = (text: (disk: ListedDisk) => string) => (row: DiskRow) => (row.part === null ? text(row.disk) : '');

/** `disk list`: a tree. */
export const DISKS: Listing<DiskRow> = [
  {
    head: 'DEVICE',
    about: 'device node; the tree',
    text: ({ disk, part, branch }) => `${branch}${nodeName(disk, part)}`,
  },
  sizeColumn('SIZE', 'its size', ({ disk, part }) => (part ?? disk).sizeBytes),
  { head: 'TYPE', about: 'kind of partition table, disk or part', text: typeText },
  { head: 'FSTYPE', about: 'what it holds', text: ({ disk, part }) => known((part ?? disk).type, part ?? disk) },
  {
    head: 'LABEL',
    about: 'label of the file system',
    text: ({ disk, part }) => known((part ?? disk).label, part ?? disk),
  },
  {
    head: 'MOUNT',
    about: 'where it is mounted',
    text: ({ disk, part }) => orDash((part ?? disk).mounts.map(({ target }) => target).join(',')),
  },
  {
    head: 'USED',
    about: 'how full the file system is',
    align: 'right',
    text: ({ disk, part }) => shareText(part ?? disk),
  },
  {
    head: 'FROM',
    about: 'target and LUN, and what is wrong with the session',
    text: ofDisk((disk) => `${disk.targetName}/${disk.lun}${stateText(disk)}`),
  },
  {
    head: 'UUID',
    about: 'UUID of the file system',
    text: (row) => known((row.part ?? row.disk).uuid, row.part ?? row.disk),
    extra: true,
  },
  {
    head: 'PATH',
    about: 'device node with its folder',
    text: ({ disk, part }) => orDash((part ?? disk).path),
    extra: true,
  },
  sizeColumn('START', 'where it begins on the disk', ({ part }) => part?.startBytes ?? 0, { extra: true }),
  { head: 'PARTTYPE', about: 'type of the partition', text: (row) => orDash(row.part?.partitionType), extra: true },
  { head: 'PARTUUID', about: 'UUID of the partition', text: (row) => orDash(row.part?.partitionUuid), extra: true },
  { head: 'PARTLABEL', about: 'name of the partition', text: (row) => orDash(row.part?.partitionName), extra: true },
  { head: 'SID', about: 'number of the session', align: 'right', text: ({ disk }) => String(disk.sid), extra: true },
  { head: 'ATTACH', about: 'nbd, fuse or none', text: ({ disk }) => disk.attach, extra: true },
  { head: 'ACCESS', about: 'rw or ro', text: ({ disk }) => access(disk), extra: true },
  {
    head: 'BLOCK',
    about: 'bytes of a logical block',
    align: 'right',
    text: ({ disk }) => `${disk.blockSize}`,
    extra: true,
  },
  { head: 'SERIAL', about: 'unit serial number', text: ofDisk(({ serial }) => orDash(serial)), extra: true },
  {
    head: 'WWN',
    about: 'lasting name of VPD page 83h',
    text: ofDisk(({ designator }) => orDash(designator)),
    extra: true,
  },
  { head: 'VENDOR', about: 'vendor of the INQUIRY data', text: ofDisk(({ vendor }) => orDash(vendor)), extra: true },
  {
    head: 'PRODUCT',
    about: 'product of the INQUIRY data',
    text: ofDisk(({ product }) => orDash(product)),
    extra: true,
  },
  { head: 'NBD', about: 'URI for NBD clients', text: ({ disk, part }) => orDash((part ?? disk).nbd), extra: true },
];

function nodeName(disk: ListedDisk, part: ListedPartition | null): string {
  return (part ?? disk).path?.replace(/^\/dev\//, '') ?? (part === null ? '-' : `p${part.number}`);
}

function typeText({ disk, part }: DiskRow): string {
  if (part !== null) return 'part';
  return disk.table ?? (disk.type === null ? known(null, disk) : 'disk');
}

/** What a person should know of its session before using it. */
function stateText({ state, recovery }: ListedDisk): string {
  if (recovery === 'expired') return ' (session reopening, I/O fails)';
  if (recovery !== 'none') return ' (session reopening)';
  return state === 'LOGGED_IN' ? '' : ` (${state})`;
}

function shareText({ mounts }: ListedContent): string {
  const used = mounts[0]?.usedBytes;
  const size = mounts[0]?.sizeBytes;
  return typeof used === 'number' && typeof size === 'number' ? percent(used, size) : '-';
}

/** A dash stands for nothing there, a question mark for what nobody has looked at. */
function known(text: string | null, { probed }: ListedContent): string {
  return probed ? orDash(text) : (text ?? '?');
}

/** Rounded up, as df does: a disk that is a little used is not 0 % used. */
function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${Math.ceil((part / whole) * 100)}%`;
}
