// Sessions → devices → partitions → file systems → mounts: what `disk list` shows.
import { statfs } from 'node:fs/promises';
import { type Content, contentOf } from '../../disk/probe.js';
import { checkInterrupted } from '../../disk/run.js';
import {
  kernelName,
  kernelPartitions,
  type MountEntry,
  mountPointsOf,
  mounts,
  sysAttribute,
} from '../../disk/sysfs.js';
import type { DeviceInfo, SessionInfo } from '../session/info.js';
import { listSessions } from '../session/registry.js';
import type { DiskContext } from './access.js';
import { type DiskTarget, findDisk } from './name.js';

export interface ListedMount {
  readonly target: string;
  /** Bytes, or null when the file system does not say. */
  readonly usedBytes: number | null;
  readonly sizeBytes: number | null;
}

export interface ListedContent {
  /** Its content has been looked at: without a device node, or when it cannot be read, nothing is known of it. */
  readonly probed: boolean;
  readonly type: string | null;
  readonly label: string | null;
  readonly uuid: string | null;
  readonly mounts: readonly ListedMount[];
}

export interface ListedPartition extends ListedContent {
  readonly number: number;
  readonly path: string | null;
  readonly nbd: string | null;
  readonly startBytes: number;
  readonly sizeBytes: number;
}

export interface ListedDisk extends ListedContent {
  readonly sid: number;
  readonly state: SessionInfo['state'];
  readonly targetName: string;
  readonly lun: number;
  readonly path: string | null;
  readonly attach: DeviceInfo['attach'];
  readonly nbd: string;
  readonly sizeBytes: number;
  readonly blockSize: number;
  readonly serial: string;
  readonly designator: string;
  readonly readOnly: boolean;
  /** `gpt`, `dos`, or null without a partition table. */
  readonly table: string | null;
  readonly partitions: readonly ListedPartition[];
}

export interface DiskList {
  readonly disks: readonly ListedDisk[];
}

/** `dev`: only that disk. A device that cannot be read is listed without its content. */
export async function listDisks(context: DiskContext, dev?: string): Promise<DiskList> {
  const { sessions } = await listSessions(context.paths, context);
  const owners: Pick<DiskTarget, 'session' | 'device'>[] =
    dev === undefined
      ? sessions.flatMap((session) => session.devices.map((device) => ({ session, device })))
      : [findDisk(dev, sessions)];
  const disks = await Promise.all(owners.map((owner) => describe(owner.session, owner.device, context)));
  return { disks };
}

async function describe(session: SessionInfo, device: DeviceInfo, context: DiskContext): Promise<ListedDisk> {
  const { lun, path, attach, nbd, sizeBytes, blockSize, serial, designator, readOnly } = device;
  const all = mounts();
  const whole =
    path === null
      ? { ...NOTHING, table: tableOf(device) }
      : await content(path, sysAttribute(kernelName(path), 'dev') ?? '', all, context);
  const partitions = path === null ? unattached(device) : await attached(path, device, all, context);
  const { sid, state, targetName } = session;
  const known = { sid, state, targetName, lun, path, attach, nbd, sizeBytes, blockSize, serial, designator, readOnly };
  return { ...known, ...whole, partitions };
}

const NOTHING: ListedContent & { table: string | null } = {
  probed: false,
  type: null,
  table: null,
  label: null,
  uuid: null,
  mounts: [],
};

/** Without a device only the worker's own reading of the partition table is known; an empty one looks like none. */
function tableOf({ partitions }: DeviceInfo): string | null {
  const [first] = partitions;
  if (first === undefined) return null;
  return first.partitionType.startsWith('0x') ? 'dos' : 'gpt';
}

function unattached(device: DeviceInfo): ListedPartition[] {
  return device.partitions.map(({ number, nbd, startBytes, sizeBytes }) => {
    const { table: _, ...unknown } = NOTHING;
    return { number, path: null, nbd, startBytes, sizeBytes, ...unknown };
  });
}

function attached(
  path: string,
  device: DeviceInfo,
  all: readonly MountEntry[],
  context: DiskContext,
): Promise<ListedPartition[]> {
  return Promise.all(
    kernelPartitions(kernelName(path)).map(async (part) => {
      const { table: _, ...found } = await content(`/dev/${part.name}`, part.dev, all, context);
      const nbd = device.partitions.find(({ number }) => number === part.number)?.nbd ?? null;
      const { number, start, length } = part;
      return { number, path: `/dev/${part.name}`, nbd, startBytes: start, sizeBytes: length, ...found };
    }),
  );
}

async function content(
  path: string,
  dev: string,
  all: readonly MountEntry[],
  context: DiskContext,
): Promise<ListedContent & Content> {
  const found = await contentOf(path, context).catch(() => {
    checkInterrupted(context.signal);
    return null;
  });
  const listed = await Promise.all(mountPointsOf(path, dev, all).map(usage));
  const { type, table, label, uuid } = found ?? NOTHING;
  return { probed: found !== null, type, table, label, uuid, mounts: listed };
}

async function usage(target: string): Promise<ListedMount> {
  try {
    const { blocks, bsize, bfree } = await statfs(target);
    return { target, usedBytes: (blocks - bfree) * bsize, sizeBytes: blocks * bsize };
  } catch {
    return { target, usedBytes: null, sizeBytes: null };
  }
}
