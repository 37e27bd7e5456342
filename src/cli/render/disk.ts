// Disks, partitions and mounts as text.
import type { BootMount } from '../../services/disk/boot.js';
import type { GrownFileSystem } from '../../services/disk/grow-content.js';
import type { GrownPartition } from '../../services/disk/grow-table.js';
import type { ListedContent, ListedDisk } from '../../services/disk/list.js';
import type { MountedFileSystem } from '../../services/disk/mount.js';
import { PROVISION_STEPS, type ProvisionStep } from '../../services/disk/provision.js';
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

/** A tree: each disk, and its partitions below it. */
export function diskListText(disks: readonly ListedDisk[], { bytes = false } = {}): string {
  const sizeText = bytes ? String : formatSize;
  const rows = disks.flatMap((disk) => {
    const fullName = `${disk.targetName}/${disk.lun}`;
    const whole = [
      disk.path?.replace(/^\/dev\//, '') ?? '-',
      sizeText(disk.sizeBytes),
      disk.table ?? (disk.type === null ? orUnknown(null, disk.probed) : 'disk'),
      ...contentCells(disk),
      `${fullName}${stateText(disk)}`,
    ];
    const parts = disk.partitions.map((part, i) => {
      const branch = i === disk.partitions.length - 1 ? '└─' : '├─';
      const name = part.path?.replace(/^\/dev\//, '') ?? `p${part.number}`;
      return [`${branch}${name}`, sizeText(part.sizeBytes), 'part', ...contentCells(part), ''];
    });
    return [whole, ...parts];
  });
  const heads = ['DEVICE', 'SIZE', 'TYPE', 'FSTYPE', 'LABEL', 'MOUNT', 'USED', 'FROM'];
  return table(
    heads.map((head) => (head === 'SIZE' || head === 'USED' ? { head, align: 'right' as const } : { head })),
    rows,
  );
}

/** What a person should know of its session before using it. */
function stateText({ state, recovery }: ListedDisk): string {
  if (recovery === 'expired') return ' (session reopening, I/O fails)';
  if (recovery !== 'none') return ' (session reopening)';
  return state === 'LOGGED_IN' ? '' : ` (${state})`;
}

function contentCells({ probed, type, label, mounts }: ListedContent): string[] {
  const used = mounts[0]?.usedBytes;
  const size = mounts[0]?.sizeBytes;
  const share = typeof used === 'number' && typeof size === 'number' ? percent(used, size) : '-';
  return [
    orUnknown(type, probed),
    orUnknown(label, probed),
    orDash(mounts.map(({ target }) => target).join(',')),
    share,
  ];
}

/** A dash stands for nothing there, a question mark for what nobody has looked at. */
function orUnknown(text: string | null, known: boolean): string {
  return known ? orDash(text) : (text ?? '?');
}

/** Rounded up, as df does: a disk that is a little used is not 0 % used. */
function percent(part: number, whole: number): string {
  return whole === 0 ? '-' : `${Math.ceil((part / whole) * 100)}%`;
}
