// Sessions → devices → partitions → file systems → mounts: what `disk list` shows.
import { statfs } from 'node:fs/promises';
import type { Content } from '../../disk/probe.js';
import {
  kernelName,
  kernelPartitions,
  type MountEntry,
  mountPointsOf,
  mounts,
  sysAttribute,
} from '../../disk/sysfs.js';
import type { DeviceInfo, PartitionInfo, SessionInfo } from '../session/info.js';
import { listSessions, type SilentSession } from '../session/registry.js';
import type { DiskContext } from './access.js';
import { contentsOfLeaves, type Leaf } from './contents.js';
import { type DiskTarget, findListed } from './name.js';

export interface ListedMount {
  readonly target: string;
  /** Bytes, or null when the file system does not say. */
  readonly usedBytes: number | null;
  readonly sizeBytes: number | null;
}

export interface ListedContent {
  /** Its content has been looked at; otherwise, while its session recovers or its target does not answer, nothing is known. */
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
  /** As the table names it: see PartitionInfo. null if the session has not read it yet. */
  readonly partitionType: string | null;
  readonly partitionUuid: string | null;
  readonly partitionName: string | null;
}

export interface ListedDisk extends ListedContent {
  readonly sid: number;
  readonly state: SessionInfo['state'];
  readonly recovery: SessionInfo['recovery'];
  readonly targetName: string;
  readonly lun: number;
  readonly path: string | null;
  readonly attach: DeviceInfo['attach'];
  readonly nbd: string;
  readonly sizeBytes: number;
  readonly blockSize: number;
  readonly vendor: string;
  readonly product: string;
  readonly serial: string;
  readonly designator: string;
  readonly readOnly: boolean;
  readonly note: string | null;
  /** `gpt`, `dos`, or null without a partition table. */
  readonly table: string | null;
  readonly partitions: readonly ListedPartition[];
}

export interface DiskList {
  readonly disks: readonly ListedDisk[];
  /** Sessions whose disks are not known, because they do not answer. */
  readonly silent: readonly SilentSession[];
}

/** `dev`: only that disk. What cannot be read in time is listed without its content. */
export async function listDisks(context: DiskContext, dev?: string): Promise<DiskList> {
  const list = await listSessions(context.paths, context);
  const { sessions, silent } = list;
  const owners: Owner[] =
    dev === undefined
      ? sessions.flatMap((session) => session.devices.map((device) => ({ session, device })))
      : [findListed(dev, list)];
  const outlines = owners.map(outline);
  const isWell = ({ session }: Owner) => session.state === 'LOGGED_IN' && session.recovery === 'none';
  const leaves = outlines.flatMap((disk) => (isWell(disk) ? [disk, ...disk.parts] : []));
  const contents = await contentsOfLeaves(
    leaves.map(({ leaf }) => leaf),
    context,
  );
  const found = new Map(leaves.map((place, i) => [place, contents[i] ?? null]));
  const all = mounts();
  const disks = await Promise.all(outlines.map((disk) => describe(disk, found, all, isWell(disk))));
  return { disks, silent };
}

type Owner = Pick<DiskTarget, 'session' | 'device'>;

/** A whole disk or a partition, before anything on it has been looked at. */
interface Place {
  readonly leaf: Leaf;
  /** The device node, or null without one. */
  readonly path: string | null;
  /** `major:minor`, or empty. */
  readonly dev: string;
}

interface PartPlace extends Place {
  readonly number: number;
  /** What the session has read of it. */
  readonly info: PartitionInfo | undefined;
}

interface DiskPlace extends Place, Owner {
  readonly parts: readonly PartPlace[];
}

/** The partitions are the kernel's, where it has the disk, else the session's. */
function outline({ session, device }: Owner): DiskPlace {
  const { path, lun, sizeBytes, partitions } = device;
  const { sid } = session;
  const infoOf = (number: number) => partitions.find((info) => info.number === number);
  const kernel = path === null ? [] : kernelPartitions(kernelName(path));
  const parts =
    path === null
      ? partitions.map((info) => ({
          leaf: { sid, lun, offset: info.startBytes, sizeBytes: info.sizeBytes },
          ...{ path: null, dev: '', number: info.number, info },
        }))
      : kernel.map(({ name, number, start, length, dev }) => ({
          leaf: { sid, lun, offset: start, sizeBytes: length },
          ...{ path: `/dev/${name}`, dev, number, info: infoOf(number) },
        }));
  const dev = path === null ? '' : (sysAttribute(kernelName(path), 'dev') ?? '');
  return { session, device, path, dev, leaf: { sid, lun, offset: 0, sizeBytes }, parts };
}

type Found = ReadonlyMap<Place, Content | null>;

async function describe(
  disk: DiskPlace,
  found: Found,
  all: readonly MountEntry[],
  isWell: boolean,
): Promise<ListedDisk> {
  const { sid, state, recovery, targetName } = disk.session;
  const { lun, path, attach, nbd, sizeBytes, blockSize } = disk.device;
  const { vendor, product, serial, designator, readOnly, note } = disk.device;
  return {
    ...{ sid, state, recovery, targetName, lun, path, attach, nbd, sizeBytes, blockSize },
    ...{ vendor, product, serial, designator, readOnly, note },
    ...(await content(disk, found, all, isWell)),
    table: found.get(disk)?.table ?? tableOf(disk.device),
    partitions: await Promise.all(disk.parts.map((part) => describePart(part, found, all, isWell))),
  };
}

async function describePart(part: PartPlace, found: Found, all: readonly MountEntry[], isWell: boolean) {
  const { number, path, leaf, info } = part;
  return {
    ...{ number, path, nbd: info?.nbd ?? null, startBytes: leaf.offset, sizeBytes: leaf.sizeBytes },
    partitionType: info?.partitionType ?? null,
    partitionUuid: info?.partitionUuid ?? null,
    partitionName: info?.partitionName ?? null,
    ...(await content(part, found, all, isWell)),
  };
}

/** The session's own reading of the partition table; an empty one looks like none. */
function tableOf({ partitions }: DeviceInfo): string | null {
  const [first] = partitions;
  if (first === undefined) return null;
  return first.partitionType.startsWith('0x') ? 'dos' : 'gpt';
}

/** How full a file system is, is not asked of one whose disk may not answer. */
async function content(
  place: Place,
  found: Found,
  all: readonly MountEntry[],
  isWell: boolean,
): Promise<ListedContent> {
  const { path, dev } = place;
  const targets = path === null ? [] : mountPointsOf(path, dev, all);
  const unknown = { usedBytes: null, sizeBytes: null };
  const listed = targets.map(async (target) => (isWell ? usage(target) : { target, ...unknown }));
  const { type = null, label = null, uuid = null } = found.get(place) ?? {};
  const probed = (found.get(place) ?? null) !== null;
  return { probed, type, label, uuid, mounts: await Promise.all(listed) };
}

async function usage(target: string): Promise<ListedMount> {
  try {
    const { blocks, bsize, bfree } = await statfs(target);
    return { target, usedBytes: (blocks - bfree) * bsize, sizeBytes: blocks * bsize };
  } catch {
    return { target, usedBytes: null, sizeBytes: null };
  }
}
