// A LUN as something that partitioning and mkfs programs can open: its device node, or, without one, a file that
// nbdfuse shows for as long as a command runs. The second needs no root.
import { basename, dirname } from 'node:path';
import { type Claim, type Hold, holdDevice } from '../../disk/identity.js';
import type { Geometry } from '../../disk/layout.js';
import { settlePartitions } from '../../disk/nodes.js';
import type { Place } from '../../disk/probe.js';
import { shellLine, shellWord } from '../../disk/shell.js';
import { kernelName, kernelPartitions, usersOf } from '../../disk/sysfs.js';
import { AppError } from '../../util/errors.js';
import { commandFolder, removeCommandFolder } from '../attach/abandoned.js';
import { type ExportFile, mountExport, nbdfuseArguments, requireFuseFile } from '../attach/fuse.js';
import { readAttachRecords } from '../attach/record.js';
import type { Paths } from '../paths.js';
import {
  type DiskPart,
  diskUsers,
  helperDone,
  helperSocket,
  rescanPartitions,
  verifyBlock,
} from '../session/control.js';
import type { DiskTarget } from './name.js';

export interface DiskContext {
  readonly paths: Pick<Paths, 'runDir'>;
  readonly signal?: AbortSignal | undefined;
}

export interface DiskAccess {
  /** What a program opens: the whole disk, or the one partition asked for. */
  readonly path: string;
  readonly isFile: boolean;
  /** The node of the whole disk, to be locked while a program works; absent for a file. */
  readonly lock: string | undefined;
  /** Of what `path` shows, bytes. */
  readonly sizeBytes: number;
  /** Of the whole disk. */
  readonly geometry: Geometry;
  /** The lines of a plan with those that a person needs around them, to do the same by hand. */
  byHand(lines: readonly string[], table: TableChange): string[];
  /** Who uses what is about to be changed, or null. */
  users(): Promise<string | null>;
  /** The same for one partition of the whole disk, or all of it; but mounts that this process sees do not count. */
  usersBesidesMounts(partition: number | null): Promise<string | null>;
  /** The partitions that would go with a whole disk, each where it can be looked into. */
  readonly inside: readonly PartitionPlace[];
  /** Proves that `path` is the LUN and keeps it open; see `holdDevice`. */
  hold(): Promise<Hold>;
  /** After a change of the partition table: the kernel's and the worker's partitions follow it. */
  settle(): Promise<PartitionPath[]>;
  /** Undoes what opening has done. Idempotent. */
  close(): Promise<void>;
}

/** What a plan does to the partition table: nothing, a new list of partitions, or an end of it. */
export type TableChange = 'none' | 'partitions' | 'empty';

export interface PartitionPlace extends Place {
  readonly number: number;
}

export interface PartitionPath {
  readonly number: number;
  /** The device node, or null without a device. */
  readonly path: string | null;
  readonly sizeBytes: number;
}

/** @throws AppError ERR_NOT_FOUND for a partition that is not there, ERR_DRIVER_MISSING where nbdfuse cannot work. */
export function openDisk(target: DiskTarget, context: DiskContext): Promise<DiskAccess> {
  return target.device.path === null ? openFile(target, context) : openDevice(target, target.device.path, context);
}

async function openDevice(target: DiskTarget, disk: string, context: DiskContext): Promise<DiskAccess> {
  const name = kernelName(disk);
  const part = kernelPartitions(name).find(({ number }) => number === target.partition);
  if (target.partition !== null && part === undefined) throw noPartition(target);
  const claim = claimOf(target, disk, context);
  return {
    path: part === undefined ? disk : `/dev/${part.name}`,
    isFile: false,
    lock: disk,
    sizeBytes: part?.length ?? target.device.sizeBytes,
    geometry: target.device,
    byHand(lines, table) {
      if (table === 'partitions') return [...lines, shellLine('partx', ['--update', '--', disk])];
      const stale = table === 'empty' && kernelPartitions(name).length > 0;
      // wipefs may have told the kernel already, and partx counts it as a failure to find no partition.
      return stale ? [...lines, `${shellLine('partx', ['--delete', '--', disk])} || true`] : [...lines];
    },
    inside:
      target.partition === null
        ? kernelPartitions(name).map((p) => ({ number: p.number, path: `/dev/${p.name}` }))
        : [],
    users: async () => (await usersOf(name, part?.name)) ?? writersOf(target, context),
    async usersBesidesMounts(number) {
      const node = kernelPartitions(name).find((p) => p.number === number)?.name;
      return (await usersOf(name, node, { besidesMounts: true })) ?? writersOf(target, context);
    },
    hold: () => holdDevice(claim, context.signal),
    async settle() {
      await settlePartitions(name, { signal: context.signal });
      await rescanPartitions(context.paths, target.session.sid, target.device.lun, { signal: context.signal });
      return kernelPartitions(name).map((p) => ({ number: p.number, path: `/dev/${p.name}`, sizeBytes: p.length }));
    },
    close: async () => {},
  };
}

/** The NBD clients that may write there, in words, or null. Beside a device they are read-only, unless it is shared. */
async function writersOf(target: DiskTarget, { paths, signal }: DiskContext): Promise<string | null> {
  const { writers: count } = await diskUsers(paths, target.session.sid, partOf(target), { signal });
  return count === 0 ? null : `NBD clients have ${count} ${count === 1 ? 'connection' : 'connections'} to it`;
}

function partOf({ device, partition }: DiskTarget): DiskPart {
  return { lun: device.lun, partition };
}

/** @throws AppError ERR_BUSY with `user`, if there is one. */
export function refuseUsed({ name }: DiskTarget, user: string | null): void {
  if (user === null) return;
  throw new AppError('ERR_BUSY', `${name} is in use: ${user}; nothing was changed`, {
    hint: 'unmount it, or end the program that uses it: there is no override',
  });
}

/** What the worker has written down about the device it made. */
function claimOf({ session, device, partition }: DiskTarget, path: string, context: DiskContext): Claim {
  const record = readAttachRecords(dirname(session.socket)).find((r) => r.path === path);
  if (record?.mode === 'fuse' && record.backingFile !== null) {
    return { kind: 'fuse', path, backingFile: record.backingFile };
  }
  if (record?.mode === 'nbd' && record.connectPid !== null) {
    const confirm = (offset: number, length: number, sha256: string) =>
      verifyBlock(context.paths, session.sid, { lun: device.lun, offset, length, sha256 }, { signal: context.signal });
    return {
      kind: 'nbd',
      path,
      connectPid: record.connectPid,
      backend: record.backend,
      sizeBytes: device.sizeBytes,
      starts: kernelPartitions(kernelName(path))
        .filter(({ number }) => partition === null || number === partition)
        .map(({ start }) => start),
      confirm,
    };
  }
  throw new AppError('ERR_USAGE', `session ${session.sid} has no record of ${path}; nothing was changed`);
}

async function openFile(target: DiskTarget, context: DiskContext): Promise<DiskAccess> {
  requireFuseFile();
  const { session, device } = target;
  const part = device.partitions.find(({ number }) => number === target.partition);
  if (target.partition !== null && part === undefined) throw noPartition(target);
  // Before anything is made, and once more before each step: clients that come later cannot write.
  refuseUsed(target, await writersOf(target, context));
  const admitted = await helperSocket(context.paths, session.sid, partOf(target), { signal: context.signal });
  const release = () => helperDone(context.paths, session.sid, device.lun, admitted.hold);
  const request = {
    socketPath: admitted.path,
    exportName: part?.exportName ?? device.exportName,
    sizeBytes: part?.sizeBytes ?? device.sizeBytes,
    readOnly: device.readOnly,
    runDir: commandFolder(context.paths.runDir),
    diesWithUs: true,
    ...(context.signal === undefined ? {} : { signal: context.signal }),
  };
  const file = await mountExport(request).catch(async (error: unknown) => {
    await release();
    throw error;
  });
  let closed = false;
  return {
    path: file.path,
    isFile: true,
    lock: undefined,
    sizeBytes: request.sizeBytes,
    geometry: device,
    byHand: (lines) => fileByHand(lines, file.path, request, context),
    inside:
      target.partition === null
        ? device.partitions.map((p) => ({
            number: p.number,
            path: file.path,
            range: { offset: p.startBytes, length: p.sizeBytes },
          }))
        : [],
    users: () => writersOf(target, context),
    usersBesidesMounts: () => writersOf(target, context),
    hold: async () => stillThere(file),
    async settle() {
      const after = await rescanPartitions(context.paths, session.sid, device.lun, { signal: context.signal });
      return after.partitions.map(({ number, sizeBytes }) => ({ number, path: null, sizeBytes }));
    },
    async close() {
      if (closed) return;
      closed = true;
      await file.unmount();
      await release();
      removeCommandFolder(request.runDir);
    },
  };
}

/** The lines with the file made before them and taken away after them, in a folder that no command of ours cleans. */
function fileByHand(
  lines: readonly string[],
  path: string,
  request: Parameters<typeof nbdfuseArguments>[0],
  { paths }: DiskContext,
): string[] {
  const folder = `${paths.runDir}/by-hand`;
  const file = `${folder}/${basename(path)}`;
  return [
    shellLine('mkdir', ['-p', '-m', '0700', '--', folder]),
    `${shellLine('nbdfuse', nbdfuseArguments(request, file))} &`,
    `until test -s ${shellWord(file)}; do sleep 0.1; done`,
    ...lines.map((line) => line.replaceAll(path, file)),
    shellLine('fusermount3', ['-u', '--', folder]),
    'wait',
    shellLine('rmdir', ['--', folder]),
  ];
}

/** The file is a mount of our own, made from the session's socket a moment ago: only its end can part them. */
async function stillThere(file: ExportFile): Promise<Hold> {
  const alive = Symbol('alive');
  const state = await Promise.race([file.ended, Promise.resolve(alive)]);
  if (state !== alive) throw state;
  return { release: async () => {} };
}

function noPartition({ device, partition, fullName }: DiskTarget): AppError {
  return new AppError('ERR_NOT_FOUND', `${device.path ?? fullName} has no partition ${partition}`, {
    hint: 'lunctl disk list shows what is there',
  });
}
