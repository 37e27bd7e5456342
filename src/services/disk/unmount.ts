// Unmounting the file systems on our disks, and taking their lines out of fstab.
import { realpathSync, statSync } from 'node:fs';
import type { FstabEntry } from '../../disk/fstab.js';
import { mountUsers } from '../../disk/mount-users.js';
import { planUnmount, type Step, shellLines } from '../../disk/plan.js';
import { contentOf } from '../../disk/probe.js';
import { runTool } from '../../disk/run.js';
import { shellLine } from '../../disk/shell.js';
import { kernelName, kernelPartitions, type MountEntry, mountAt, mounts, sysAttribute } from '../../disk/sysfs.js';
import { AppError, messageOf } from '../../util/errors.js';
import type { SessionInfo } from '../session/info.js';
import { listSessions, type SessionList } from '../session/registry.js';
import type { DiskContext } from './access.js';
import { type FstabResult, fstabEntries, fstabPath, hasUuid, LOGIN_OPTION, removeFromFstab } from './fstab.js';
import { realTarget, requireRoot } from './mount.js';
import { findListed, maybeSilent } from './name.js';

export interface UnmountOptions extends DiskContext {
  /** A directory, or DEV. */
  readonly where: string;
  readonly partition?: number | undefined;
  /** Remove its line from fstab too. What is not mounted is no error then if it has one. */
  readonly fstab?: boolean;
  readonly dryRun: boolean;
}

export interface UnmountResult {
  readonly lines: readonly string[];
  /** What was unmounted, or would be. */
  readonly targets: readonly string[];
  /** Lines removed; in a dry run those that would be. */
  readonly fstab: readonly FstabResult[];
}

/** @throws AppError ERR_NOT_FOUND when it is not mounted, ERR_USAGE when it is no disk of ours, ERR_BUSY while used. */
export async function unmountDisk(options: UnmountOptions): Promise<UnmountResult> {
  const { targets, nodes, directory, name } = whatIsMeant(options, await listSessions(options.paths, options));
  const isMeant = options.fstab === true ? await linesOf(nodes, directory, options) : null;
  const entries = isMeant === null ? [] : (await fstabEntries()).filter(isMeant);
  if (targets.length === 0 && entries.length === 0) throw new AppError('ERR_NOT_FOUND', `${name} is not mounted`);
  const steps = targets.flatMap((directory) => planUnmount(directory));
  const numbers = entries.map(({ line }) => `${line}d`).join(';');
  const sed = shellLine('sed', ['--follow-symlinks', '-i', '-e', numbers, '--', fstabPath()]);
  const lines = [...shellLines(steps), ...(entries.length === 0 ? [] : [sed])];
  if (options.dryRun) return { lines, targets, fstab: [] };
  requireRoot('unmounting');
  for (const step of steps) await unmount(step, options);
  const fstab = isMeant === null || entries.length === 0 ? [] : await removeFromFstab(isMeant, options);
  return { lines, targets, fstab };
}

async function unmount({ tool, args, timeoutMs }: Step, { signal }: UnmountOptions): Promise<void> {
  try {
    await runTool(tool, args, { timeoutMs, signal });
  } catch (cause) {
    if (!/target is busy/.test(messageOf(cause))) throw cause;
    const directory = args.at(-1) ?? '';
    const users = mountUsers(directory);
    throw new AppError('ERR_BUSY', `${directory} is in use${users.length === 0 ? '' : `: ${users.join('; ')}`}`, {
      cause,
      ...(users.length === 0 ? { hint: 'by a program in another mount namespace, or by the kernel (nfsd, loop)' } : {}),
    });
  }
}

interface Node {
  readonly path: string;
  readonly dev: string;
  /** null: the whole disk. */
  readonly number: number | null;
}

interface Meant {
  /** Mount points in the order in which they can be ended. */
  readonly targets: readonly string[];
  /** The devices that are meant; for a directory that is no mount point all of ours. */
  readonly nodes: readonly Node[];
  /** The directory that was named; null for DEV. */
  readonly directory: string | null;
  readonly name: string;
}

function whatIsMeant({ where, partition, fstab }: UnmountOptions, list: SessionList): Meant {
  const all = mounts();
  const directory = realDirectory(where);
  const mount = directory === null ? undefined : mountAt(directory, all);
  const ours = ourNodes(list.sessions);
  if (mount !== undefined) {
    const nodes = ours.filter((node) => isOn(mount, node));
    if (nodes.length > 0) return { targets: [mount.target], nodes, directory: mount.target, name: where };
    const notOurs = new AppError('ERR_USAGE', `${mount.target} is not on a disk of a lunctl session`);
    throw maybeSilent(notOurs, `the disk of ${mount.target}`, list.silent);
  }
  try {
    const target = findListed(where, list, partition);
    const path = target.device.path;
    const every = path === null ? [] : nodesOf(path);
    const nodes = every.filter((node) => target.partition === null || node.number === target.partition);
    // The newest mount first: it may lie inside another.
    const found = all.filter((entry) => nodes.some((node) => isOn(entry, node))).reverse();
    return { targets: found.map((entry) => entry.target), nodes, directory: null, name: target.name };
  } catch (error) {
    // A directory of that name makes it clear what was meant; a line of fstab can name one that has gone.
    if (directory === null && !(fstab === true && where.startsWith('/'))) throw error;
    return { targets: [], nodes: ours, directory: realTarget(where), name: where };
  }
}

/** Picks the lines for file systems on `nodes`, and of a directory that was named only those. */
async function linesOf(
  nodes: readonly Node[],
  directory: string | null,
  options: UnmountOptions,
): Promise<(entry: FstabEntry) => boolean> {
  const contents = await Promise.all(nodes.map(({ path }) => contentOf(path, options).catch(() => null)));
  const uuids = contents.flatMap((content) => content?.uuid ?? []);
  const isOurs = (entry: FstabEntry) => uuids.some((uuid) => hasUuid(entry, uuid));
  if (directory === null) return isOurs;
  // Without a session nobody can say whose UUID it is, but a line that waits for our unit is one of ours.
  return (entry) => entry.directory === directory && (isOurs(entry) || entry.options.includes(LOGIN_OPTION));
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
