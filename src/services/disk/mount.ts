// Mounting the file systems on our disks.
import { mkdirSync, realpathSync, rmdirSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { mountOptionsOf } from '../../disk/mount-options.js';
import { planMount, type Step, shellLines } from '../../disk/plan.js';
import { type Content, contentOf } from '../../disk/probe.js';
import { runTool } from '../../disk/run.js';
import { shellLine } from '../../disk/shell.js';
import { mountAt } from '../../disk/sysfs.js';
import { AppError } from '../../util/errors.js';
import { isRoot } from '../../util/user.js';
import { type DiskAccess, openDisk } from './access.js';
import { type BootContext, type BootMount, bootLines, bootWish, mountAtBoot } from './boot.js';
import { findFstabEntry } from './fstab.js';
import type { DiskTarget } from './name.js';
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

export interface MountOptions extends Omit<DiskOptions, 'paths'>, BootContext {
  readonly directory: string;
  /** Make the directory if it is not there. */
  readonly mkdir: boolean;
  readonly readOnly: boolean;
  readonly extra: readonly string[];
  /** Mount it at boot too: see `mountAtBoot`. What is mounted there already is no error then. */
  readonly fstab?: boolean;
  /** Only say what would be done. */
  readonly dryRun: boolean;
}

export interface MountResult {
  readonly lines: readonly string[];
  /** null in a dry run. */
  readonly mounted: MountedFileSystem | null;
  /** null without `fstab` and in a dry run. */
  readonly boot: BootMount | null;
}

/** @throws AppError ERR_BUSY when it is mounted there already, ERR_USAGE when there is nothing to mount. */
export async function mountDisk(options: MountOptions): Promise<MountResult> {
  const fstab = options.fstab === true;
  const kept = fstab ? mountOptionsOf(options.extra) : [];
  const target = await resolveTarget(options);
  if (target.device.path === null) {
    throw new AppError('ERR_USAGE', `${target.name} has no device node to mount`, {
      hint: 'log in with --attach nbd or --attach fuse, as root',
    });
  }
  const access = await openDisk(target, options);
  const content = await mountable(target, access, options);
  const directory = options.mkdir ? realTarget(options.directory) : existingDirectory(options.directory);
  const readOnly = options.readOnly || target.device.readOnly;
  const steps = planMount({ path: access.path, target: directory, readOnly, extra: options.extra });
  const there = mountAt(directory)?.source === access.path;
  if (there && !fstab) throw new AppError('ERR_BUSY', `${access.path} is mounted on ${directory} already`);
  const plan = there ? [] : [...(options.mkdir ? [mkdirLine(directory)] : []), ...shellLines(steps)];
  const wish = fstab
    ? bootWish(content, { directory, options: [...(readOnly ? ['ro'] : []), ...kept] }, target.name)
    : null;
  if (wish !== null) await findFstabEntry(directory, wish.uuid);
  const lines = [...plan, ...(wish === null ? [] : await bootLines(target.session, wish, options))];
  if (options.dryRun) return { lines, mounted: null, boot: null };
  requireRoot('mounting');
  if (!there) await mountOn(directory, access, steps, options);
  const boot = wish === null ? null : await mountAtBoot(target.session, wish, options);
  return { lines, mounted: await usageOf(realpathSync(directory)), boot };
}

/** The directory as it would be with symbolic links resolved, also where it or its parents have yet to be made. */
export function realTarget(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path === dirname(path) ? path : join(realTarget(dirname(path)), basename(path));
  }
}

/** A directory that is there, without symbolic links. @throws AppError ERR_USAGE */
export function existingDirectory(path: string): string {
  const real = realTarget(path);
  if (statSync(real, { throwIfNoEntry: false })?.isDirectory() === true) return real;
  throw new AppError('ERR_USAGE', `${path} is no directory`, { hint: 'make it, or add --mkdir' });
}

export function requireRoot(what: string): void {
  if (!isRoot()) throw new AppError('ERR_ACCESS', `${what} needs root`);
}

function mkdirLine(directory: string): string {
  return shellLine('mkdir', ['-p', '--', directory]);
}

/** What is used otherwise than by mounting, and how. */
const NOT_MOUNTED: Readonly<Record<string, string | null>> = {
  swap: 'swapon',
  LVM2_member: null,
  crypto_LUKS: null,
  linux_raid_member: null,
};

async function mountable(target: DiskTarget, { path }: DiskAccess, options: DiskOptions): Promise<Content> {
  const content = await contentOf(path, options);
  const { type, table } = content;
  if (type === null) {
    const hint = table === null ? `lunctl disk format ${target.name} --type xfs` : `name a partition: ${target.name}p1`;
    throw new AppError('ERR_USAGE', `${target.name} holds no file system`, { hint });
  }
  const program = NOT_MOUNTED[type];
  if (program === undefined) return content;
  const hint = program === null ? {} : { hint: shellLine(program, ['--', path]) };
  throw new AppError('ERR_NOT_SUPPORTED', `${target.name} holds ${type}, which is not mounted`, hint);
}

async function mountOn(directory: string, access: DiskAccess, steps: readonly Step[], options: MountOptions) {
  const made = options.mkdir ? mkdirSync(directory, { recursive: true }) : undefined;
  const hold = await access.hold();
  try {
    for (const { tool, args, timeoutMs } of steps) await runTool(tool, args, { timeoutMs, signal: options.signal });
  } catch (error) {
    if (made !== undefined) removeMade(directory, made);
    throw error;
  } finally {
    await hold.release();
  }
}

/** The directories from `first` to `directory`, which mkdir has made. */
function removeMade(directory: string, first: string): void {
  for (let at = directory; at.startsWith(first); at = dirname(at)) rmdirSync(at);
}

/** What is mounted on a directory, and how full it is. @throws AppError ERR_HELPER when nothing is. */
export async function usageOf(directory: string): Promise<MountedFileSystem> {
  const mount = mountAt(directory);
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
