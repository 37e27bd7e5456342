// Partitions as device nodes that work: the kernel's list is brought in line with the table on the disk.
import { lstatSync, rmSync, type Stats } from 'node:fs';
import { AppError } from '../util/errors.js';
import { type RunOptions, runTool } from './run.js';
import { kernelPartitions } from './sysfs.js';

type Signal = Pick<RunOptions, 'signal'>;

/**
 * Makes the kernel's partitions of `/dev/NAME` those of the table on it, and a node for each. Returns the nodes' paths.
 * partx does it everywhere: kernels are built without readers for GPT or MBR, and BLKRRPART would then find nothing.
 * Throws ERR_HELPER.
 */
export async function settlePartitions(name: string, options: Signal = {}): Promise<string[]> {
  const path = `/dev/${name}`;
  const result = await runTool('partx', ['--update', '--', path], { ...options, okStatuses: [0, 1] });
  if (result.status === 1) {
    // No table, or one without partitions (partx then speaks of the range 1 to 0): what the kernel still has is stale.
    if (!/failed to read partition table|range <1:0>/.test(result.stderr)) {
      throw new AppError(
        'ERR_HELPER',
        `partx failed with exit status 1: ${result.stderr.trim().replaceAll('\n', '; ')}`,
      );
    }
    if (kernelPartitions(name).length > 0) await runTool('partx', ['--delete', '--', path], options);
  }
  return partitionNodes(name, options);
}

/** The nodes of the partitions that the kernel has now; one that is missing is made (no udev, no devtmpfs). */
export async function partitionNodes(name: string, options: Signal = {}): Promise<string[]> {
  const nodes: string[] = [];
  for (const partition of kernelPartitions(name)) {
    await ensureNode(partition.name, partition.dev, options);
    nodes.push(`/dev/${partition.name}`);
  }
  return nodes;
}

/** Makes sure that `/dev/NAME` is a block device node with the number `dev` ("major:minor"). */
export async function ensureNode(name: string, dev: string, options: Signal = {}): Promise<void> {
  const path = `/dev/${name}`;
  const [major, minor] = dev.split(':');
  if (major === undefined || minor === undefined) throw new AppError('ERR_INTERNAL', `${path} has no device number`);
  const stats = statOf(path);
  if (stats !== null) {
    if (stats.isBlockDevice() && deviceNumber(stats) === dev) return;
    // Made by hand for an earlier disk of this name; anything that is no device is not ours to remove.
    if (!stats.isBlockDevice()) throw new AppError('ERR_BUSY', `${path} exists and is no block device`);
    rmSync(path);
  }
  await runTool('mknod', ['-m', '0600', '--', path, 'b', major, minor], options);
}

/** Removes those of a disk's nodes whose partitions have gone; devtmpfs has done so where it exists. */
export function removeStaleNodes(name: string, nodes: readonly string[]): void {
  const live = new Set(kernelPartitions(name).map((partition) => `/dev/${partition.name}`));
  for (const node of nodes) {
    if (!live.has(node) && statOf(node)?.isBlockDevice() === true) rmSync(node, { force: true });
  }
}

/** `major:minor` of a device node, by the layout of glibc's makedev. */
export function deviceNumber(stats: Stats): string {
  const dev = BigInt(stats.rdev);
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

function statOf(path: string): Stats | null {
  return lstatSync(path, { throwIfNoEntry: false }) ?? null;
}
