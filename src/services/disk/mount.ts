// Mounting and unmounting the file systems on our disks.
import { mkdirSync, realpathSync, rmdirSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { planMount, planUnmount, shellLines } from '../../disk/plan.js';
import { contentOf } from '../../disk/probe.js';
import { runTool } from '../../disk/run.js';
import {
  kernelName,
  kernelPartitions,
  type MountEntry,
  mountPointsOf,
  mounts,
  sysAttribute,
} from '../../disk/sysfs.js';
import { AppError, messageOf } from '../../util/errors.js';
import { isRoot } from '../../util/user.js';
import type { SessionInfo } from '../session/info.js';
import { listSessions } from '../session/registry.js';
import { type DiskContext, openDisk } from './access.js';
import { findDisk } from './name.js';
import { type DiskOptions, resolveTarget } from './prepare.js';

/** What df prints of one file system; sizes in bytes. */
export interface MountedFileSystem {
  readonly source: string;
  readonly type: string;
  readonly target: string;
  readonly sizeBytes: number;
  readonly usedBytes: number;
  readonly availableBytes: number;
}

export interface MountOptions extends DiskOptions {
  readonly directory: string;
  /** Make the directory if it is not there. */
  readonly mkdir: boolean;
  readonly readOnly: boolean;
  readonly extra: readonly string[];
  /** Only say what would be done. */
  readonly dryRun: boolean;
}

export interface MountResult {
  readonly lines: readonly string[];
  /** null in a dry run. */
  readonly mounted: MountedFileSystem | null;
}

/** @throws AppError ERR_BUSY when it is mounted there already, ERR_USAGE when there is nothing to mount. */
export async function mountDisk(options: MountOptions): Promise<MountResult> {
  const target = await resolveTarget(options);
  if (target.device.path === null) {
    throw new AppError('ERR_USAGE', `${target.name} has no device node to mount`, {
      hint: 'log in with --attach nbd or --attach fuse, as root',
    });
  }
  const access = await openDisk(target, options);
  const content = await contentOf(access.path, options);
  if (content.type === null) {
    const hint =
      content.table === null ? `lunctl disk format ${target.name} --type xfs` : `name a partition: ${target.name}p1`;
    throw new AppError('ERR_USAGE', `${target.name} holds no file system`, { hint });
  }
  const directory = options.mkdir ? options.directory : existingDirectory(options.directory);
  const readOnly = options.readOnly || target.device.readOnly;
  const steps = planMount({ path: access.path, target: directory, readOnly, extra: options.extra });
  const lines = [...(options.mkdir ? [`mkdir -p -- ${directory}`] : []), ...shellLines(steps)];
  const there = mounts().findLast((mount) => mount.target === directory);
  if (there !== undefined && there.source === access.path) {
    throw new AppError('ERR_BUSY', `${access.path} is mounted on ${directory} already`);
  }
  if (options.dryRun) return { lines, mounted: null };
  requireRoot('mounting');
  const made = options.mkdir && mkdirSync(directory, { recursive: true }) !== undefined;
  const hold = await access.hold();
  try {
    for (const { tool, args, timeoutMs } of steps) await runTool(tool, args, { timeoutMs, signal: options.signal });
  } catch (error) {
    if (made) rmdirSync(directory);
    throw error;
  } finally {
    await hold.release();
  }
  return { lines, mounted: await usageOf(realpathSync(directory)) };
}

/** What is mounted on a directory, and how full it is. @throws AppError ERR_HELPER when nothing is. */
export async function usageOf(directory: string): Promise<MountedFileSystem> {
  const mount = mounts().findLast(({ target }) => target === directory);
  if (mount === undefined) throw new AppError('ERR_HELPER', `mount said nothing, but ${directory} is not mounted`);
  const { blocks, bsize, bfree, bavail } = await statfs(directory);
  return {
    source: mount.source,
    type: mount.fsType,
    target: directory,
    sizeBytes: blocks * bsize,
    usedBytes: (blocks - bfree) * bsize,
    availableBytes: bavail * bsize,
  };
}

export interface UnmountOptions extends DiskContext {
  /** A directory, or DEV. */
  readonly where: string;
  readonly partition?: number | undefined;
  readonly dryRun: boolean;
}

export interface UnmountResult {
  readonly lines: readonly string[];
  /** What was unmounted, or would be. */
  readonly targets: readonly string[];
}

/** @throws AppError ERR_NOT_FOUND when it is not mounted, ERR_USAGE when it is no disk of ours, ERR_BUSY while used. */
export async function unmountDisk(options: UnmountOptions): Promise<UnmountResult> {
  const { sessions } = await listSessions(options.paths, options);
  const targets = mountsToEnd(options, sessions);
  const steps = targets.flatMap((directory) => planUnmount(directory));
  const lines = shellLines(steps);
  if (options.dryRun) return { lines, targets };
  requireRoot('unmounting');
  for (const { tool, args, timeoutMs } of steps) {
    await runTool(tool, args, { timeoutMs, signal: options.signal }).catch((error: unknown) => {
      if (!/target is busy/.test(messageOf(error))) throw error;
      throw new AppError('ERR_BUSY', `${args.at(-1)} is in use`, { cause: error, hint: 'fuser -vm shows by whom' });
    });
  }
  return { lines, targets };
}

function mountsToEnd({ where, partition }: UnmountOptions, sessions: readonly SessionInfo[]): string[] {
  const all = mounts();
  const directory = realDirectory(where);
  const mount = all.findLast(({ target }) => target === directory);
  if (mount !== undefined) {
    if (ourNodes(sessions).some((node) => isOn(mount, node))) return [mount.target];
    throw new AppError('ERR_USAGE', `${mount.target} is not on a disk of a lunctl session`);
  }
  const target = diskNamed(where, directory, sessions, partition);
  const path = target.device.path;
  const nodes =
    path === null ? [] : nodesOf(path).filter((node) => target.partition === null || node.number === target.partition);
  const found = nodes.flatMap((node) => mountPointsOf(node.path, node.dev, all));
  if (found.length === 0) throw new AppError('ERR_NOT_FOUND', `${target.name} is not mounted`);
  // The newest mount first: it may lie inside another.
  return found.reverse();
}

function diskNamed(where: string, directory: string | null, sessions: readonly SessionInfo[], partition?: number) {
  try {
    return findDisk(where, sessions, partition);
  } catch (error) {
    // A directory of that name makes it clear what was meant.
    throw directory === null ? error : new AppError('ERR_NOT_FOUND', `${where} is not a mount point`, { cause: error });
  }
}

interface Node {
  readonly path: string;
  readonly dev: string;
  /** null: the whole disk. */
  readonly number: number | null;
}

function ourNodes(sessions: readonly SessionInfo[]): Node[] {
  return sessions.flatMap(({ devices }) => devices.flatMap(({ path }) => (path === null ? [] : nodesOf(path))));
}

function nodesOf(path: string): Node[] {
  const name = kernelName(path);
  const parts = kernelPartitions(name).map((part) => ({
    path: `/dev/${part.name}`,
    dev: part.dev,
    number: part.number,
  }));
  return [{ path, dev: sysAttribute(name, 'dev') ?? '', number: null }, ...parts];
}

function isOn(mount: MountEntry, node: Node): boolean {
  return mount.dev === node.dev || mount.source === node.path;
}

function realDirectory(path: string): string | null {
  try {
    const real = realpathSync(path);
    return statSync(real).isDirectory() ? real : null;
  } catch {
    return null;
  }
}

function existingDirectory(path: string): string {
  const real = realDirectory(path);
  if (real !== null) return real;
  throw new AppError('ERR_USAGE', `${path} is no directory`, { hint: 'make it, or add --mkdir' });
}

function requireRoot(what: string): void {
  if (!isRoot()) throw new AppError('ERR_ACCESS', `${what} needs root`);
}
