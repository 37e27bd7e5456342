// Lines of fstab for the file systems on our disks. The file is replaced as a whole, with its mode, owner and every
// other byte; where it is a symbolic link, the file that it leads to.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readFile, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { addFstabLine, type FstabEntry, fstabLine, parseFstab, removeFstabLines } from '../../disk/fstab.js';
import { fileError, isMissing, syncFolder } from '../../records/files.js';
import { withDatabaseLock } from '../../records/lock.js';
import { AppError } from '../../util/errors.js';
import type { DiskContext } from './access.js';

export interface FstabResult {
  /** The file. */
  readonly path: string;
  /** The line, without its line feed. */
  readonly line: string;
  /** Whether it was added or removed now. */
  readonly changed: boolean;
}

export interface FstabWish {
  readonly uuid: string;
  /** Absolute, without symbolic links. */
  readonly directory: string;
  readonly type: string;
  /** What was mounted with: `ro`, `noexec`. */
  readonly options: readonly string[];
}

/** Where systemd looks for units of the host: systemd.unit(5). */
const UNIT_FOLDERS = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];
const LOGIN_UNIT = 'lunctl-login.service';
/** Makes a mount need the unit and come after it: systemd.mount(5). */
export const LOGIN_OPTION = `x-systemd.requires=${LOGIN_UNIT}`;
/** Of a file that is made. */
const MODE = 0o644;

/** As libmount finds it. */
export function fstabPath(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return env.LIBMOUNT_FSTAB || '/etc/fstab';
}

/** Whether the unit that logs in at boot is there. */
export function hasLoginUnit(folders: readonly string[] = UNIT_FOLDERS): boolean {
  return folders.some((folder) => existsSync(`${folder}/${LOGIN_UNIT}`));
}

/**
 * The options of a line: those of the mount, and that the disk comes by the network, may be missing, and needs the
 * session that lunctl-login.service makes, where that is installed: requiring what is not there would fail the mount.
 */
export function fstabOptions(options: readonly string[], loginUnit: boolean): string[] {
  const ours = ['_netdev', 'nofail', ...(loginUnit ? [LOGIN_OPTION] : [])];
  return [...new Set(['defaults', ...options, ...ours])];
}

/**
 * The entry for a directory, or null. @throws AppError ERR_REFUSED when it is for another file system than `uuid`;
 * null stands for one that has yet to be made.
 */
export async function findFstabEntry(directory: string, uuid: string | null): Promise<FstabEntry | null> {
  const path = fstabPath();
  return entryFor(parseFstab((await readFstab(path)) ?? ''), path, directory, uuid);
}

/** Adds the line unless there is one for this file system and directory, which then stays as it is. */
export async function addToFstab(wish: FstabWish, context: DiskContext): Promise<FstabResult> {
  const path = fstabPath();
  return locked(context, async () => {
    const text = (await readFstab(path)) ?? '';
    const there = entryFor(parseFstab(text), path, wish.directory, wish.uuid);
    if (there !== null) return { path, line: fstabLine(there), changed: false };
    const spec = `UUID=${wish.uuid}`;
    const line = fstabLine({ ...wish, spec, options: fstabOptions(wish.options, hasLoginUnit()) });
    await writeFstab(path, addFstabLine(text, line));
    return { path, line, changed: true };
  });
}

/** The line that `addToFstab` would add; changes nothing. */
export async function planFstabLine(wish: FstabWish): Promise<FstabResult> {
  const there = await findFstabEntry(wish.directory, wish.uuid);
  const options = fstabOptions(wish.options, hasLoginUnit());
  const line = fstabLine(there ?? { ...wish, spec: `UUID=${wish.uuid}`, options });
  return { path: fstabPath(), line, changed: there === null };
}

/** All entries. */
export async function fstabEntries(): Promise<FstabEntry[]> {
  return parseFstab((await readFstab(fstabPath())) ?? '');
}

/** Removes the lines that `isMeant` picks. Returns them. */
export async function removeFromFstab(
  isMeant: (entry: FstabEntry) => boolean,
  context: DiskContext,
): Promise<FstabResult[]> {
  const path = fstabPath();
  return locked(context, async () => {
    const text = (await readFstab(path)) ?? '';
    const meant = parseFstab(text).filter(isMeant);
    if (meant.length > 0) {
      const lines = meant.map(({ line }) => line);
      await writeFstab(path, removeFstabLines(text, lines));
    }
    return meant.map((entry) => ({ path, line: fstabLine(entry), changed: true }));
  });
}

/** Whether an entry names a file system by its UUID. */
export function hasUuid({ spec }: FstabEntry, uuid: string): boolean {
  const [, named] = /^UUID="?([^"]*)"?$/i.exec(spec) ?? [];
  return (named ?? /^\/dev\/disk\/by-uuid\/(.*)$/.exec(spec)?.[1])?.toLowerCase() === uuid.toLowerCase();
}

function entryFor(entries: readonly FstabEntry[], path: string, directory: string, uuid: string | null) {
  const there = entries.find((entry) => entry.directory === directory);
  if (there === undefined) return null;
  if (uuid !== null && hasUuid(there, uuid)) return there;
  throw new AppError('ERR_REFUSED', `line ${there.line} of ${path} mounts ${there.spec} on ${directory}`, {
    hint: 'remove that line, or name another directory',
  });
}

/** null when there is none. */
async function readFstab(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'latin1');
  } catch (error) {
    if (isMissing(error)) return null;
    throw fileError(`cannot read ${path}`, error);
  }
}

/** Whoever reads sees the old text or the new one, also after a crash. */
async function writeFstab(path: string, text: string): Promise<void> {
  const real = await realpath(path).catch(() => path);
  const before = await stat(real).catch(() => null);
  const temporary = `${dirname(real)}/.lunctl-fstab-${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(text, 'latin1');
      if (before !== null) await handle.chown(before.uid, before.gid);
      await handle.chmod(before === null ? MODE : before.mode & 0o7777);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, real);
    await syncFolder(dirname(real));
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw fileError(`cannot write ${path}`, error);
  }
}

function locked<T>({ paths, signal }: DiskContext, work: () => Promise<T>): Promise<T> {
  return withDatabaseLock(paths.runDir, { linkDir: null, signal: signal ?? new AbortController().signal }, work);
}
