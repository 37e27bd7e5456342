// What the kernel says of a block device: sizes, partitions, holders and users, from /sys/block and /proc.
// Only small attribute files are read here, never the device: a session worker may not wait for its own disk.
import { constants, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { namesIn } from '../util/names-in.js';
import { otherMountTables } from './namespaces.js';

/** The unit of every size and start in /sys/block, whatever the device's own block size is. */
const SYSFS_SECTOR = 512;

export interface KernelPartition {
  /** `loop0p1` */
  readonly name: string;
  readonly number: number;
  /** Bytes from the start of the disk. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** `major:minor` */
  readonly dev: string;
}

/** One attribute of a whole disk (`queue/logical_block_size`), trimmed, or null when there is none. */
export function sysAttribute(name: string, attribute: string): string | null {
  try {
    return readFileSync(`/sys/block/${name}/${attribute}`, 'utf8').trim();
  } catch {
    return null;
  }
}

/** `nbd0` for `/dev/nbd0`. */
export function kernelName(path: string): string {
  return basename(path);
}

/** Size in bytes; 0 for a device that is absent or has no medium. */
export function diskSize(name: string): number {
  return Number(sysAttribute(name, 'size') ?? 0) * SYSFS_SECTOR;
}

/** The partitions the kernel has of a disk, in ascending order of their numbers. */
export function kernelPartitions(name: string): KernelPartition[] {
  const found: KernelPartition[] = [];
  for (const entry of namesIn(`/sys/block/${name}`).sort()) {
    const number = sysAttribute(name, `${entry}/partition`);
    if (number === null) continue;
    found.push({
      name: entry,
      number: Number(number),
      start: Number(sysAttribute(name, `${entry}/start`)) * SYSFS_SECTOR,
      length: Number(sysAttribute(name, `${entry}/size`)) * SYSFS_SECTOR,
      dev: sysAttribute(name, `${entry}/dev`) ?? '',
    });
  }
  return found.sort((a, b) => a.number - b.number);
}

/** The loop devices in use and the files behind them. */
export function loopDevices(): { readonly name: string; readonly backingFile: string }[] {
  return namesIn('/sys/block')
    .sort()
    .flatMap((name) => {
      const backingFile = name.startsWith('loop') ? sysAttribute(name, 'loop/backing_file') : null;
      return backingFile === null ? [] : [{ name, backingFile }];
    });
}

export interface MountEntry {
  readonly dev: string;
  readonly source: string;
  readonly target: string;
  readonly fsType: string;
  readonly options: string;
}

/** The mounts of this process's namespace, in mount order. See proc_pid_mountinfo(5). */
export function mounts(): MountEntry[] {
  return parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** What is seen on a directory, an absolute path without symbolic links: of several mounts there the newest. */
export function mountAt(directory: string, all: readonly MountEntry[] = mounts()): MountEntry | undefined {
  return all.findLast(({ target }) => target === directory);
}

/** Pure part of `mounts`. Lines that are not understood are left out. */
export function parseMountInfo(text: string): MountEntry[] {
  const found: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    const [, , dev, , target, options] = fields;
    const fsType = fields[dash + 1];
    const source = fields[dash + 2];
    if (dash < 0 || !dev || !target || !options || fsType === undefined || source === undefined) continue;
    found.push({ dev, source: unescapeField(source), target: unescapeField(target), fsType, options });
  }
  return found;
}

/** mountinfo and swaps write blanks, tabs, newlines and backslashes as three octal digits. */
function unescapeField(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** Where a device (`/dev/nbd0p1`, `43:1`) is mounted. btrfs shows a device number of its own, so the source counts too. */
export function mountPointsOf(path: string, dev: string, all: readonly MountEntry[] = mounts()): string[] {
  return all.filter((mount) => mount.dev === dev || mount.source === path).map((mount) => mount.target);
}

/**
 * Who uses the disk or one of its partitions, as a sentence without its full stop, or null. What cannot be named (a
 * program that claimed the device, a mount that nobody here may see) is found because the kernel refuses an exclusive open.
 * `besidesMounts`: what is mounted where this process sees it counts as free.
 */
export async function usersOf(
  name: string,
  partition?: string,
  { besidesMounts = false }: { readonly besidesMounts?: boolean } = {},
): Promise<string | null> {
  const all = mounts();
  const parts = kernelPartitions(name).filter((part) => partition === undefined || part.name === partition);
  const nodes = [...parts, ...(partition === undefined ? [{ name, dev: sysAttribute(name, 'dev') ?? '' }] : [])];
  const unmounted = nodes.filter(({ name: node, dev }) => mountPointsOf(`/dev/${node}`, dev, all).length === 0);
  for (const node of besidesMounts ? unmounted : nodes) {
    const path = `/dev/${node.name}`;
    const target = mountPointsOf(path, node.dev, all)[0];
    if (target !== undefined) return `${path} is mounted on ${target}`;
    const folder = node.name === name ? `/sys/block/${name}` : `/sys/block/${name}/${node.name}`;
    const holder = namesIn(`${folder}/holders`).sort()[0];
    if (holder !== undefined) return `${path} is held by ${holder}`;
    const loop = loopDevices().find(({ backingFile }) => backingFile === path);
    if (loop !== undefined) return `${path} is behind /dev/${loop.name}`;
    if (swapFiles().includes(path)) return `${path} is swap space in use`;
  }
  for (const { pid, text } of otherMountTables()) {
    const elsewhere = parseMountInfo(text);
    for (const node of unmounted) {
      const target = mountPointsOf(`/dev/${node.name}`, node.dev, elsewhere)[0];
      if (target !== undefined)
        return `/dev/${node.name} is mounted on ${target} in the mount namespace of process ${pid}`;
    }
  }
  for (const node of unmounted) {
    if (await isClaimed(`/dev/${node.name}`)) return `/dev/${node.name} is in use by another program`;
  }
  return null;
}

/** Devices and files. */
export function swapFiles(): string[] {
  try {
    const lines = readFileSync('/proc/swaps', 'utf8').split('\n').slice(1);
    return lines.map((line) => unescapeField(line.split(/\s+/)[0] ?? ''));
  } catch {
    return [];
  }
}

/** Asynchronous on purpose: opening a disk may read from it. */
async function isClaimed(path: string): Promise<boolean> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK);
    await handle.close();
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EBUSY';
  }
}
