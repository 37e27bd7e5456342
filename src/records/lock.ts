// One writer of the record database: our own flock, and open-iscsi's link lock where its tools use the same records.
import { spawn } from 'node:child_process';
import { type FileHandle, link, open, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { delay } from '../transport/timers.js';
import { AppError } from '../util/errors.js';
import { fileError, isMissing, makeFolder, removeAbandonedFiles } from './files.js';

export interface LockOptions {
  /** Folder of open-iscsi's `lock` and `lock.write`, when its tools may work on the same database. */
  readonly linkDir: string | null;
  readonly signal: AbortSignal;
  /** Default 30 s, open-iscsi's own patience. Milliseconds. */
  readonly waitMs?: number;
  /** Whether iscsiadm or iscsid runs on this host; tests give their own. */
  readonly peersRun?: () => Promise<boolean>;
}

const OWN_LOCK = '.lunctl-lock';
const POLL_MS = 10;
/** Not the caller's: root must not run a flock that somebody has put in the way. */
const TOOL_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Runs `work` while holding the lock of the database in `root`. Locks end with their process, however it ends.
 * @throws AppError ERR_DATABASE when the lock stays taken for `waitMs`
 */
export async function withDatabaseLock<T>(root: string, options: LockOptions, work: () => Promise<T>): Promise<T> {
  const waitMs = options.waitMs ?? 30_000;
  await makeFolder(root);
  // Where open-iscsi's lock is taken too, ours stands beside it: it is one for all databases, as theirs is.
  if (options.linkDir !== null) await makeFolder(options.linkDir);
  const path = join(options.linkDir ?? root, OWN_LOCK);
  const handle = await open(path, 'a+', 0o600).catch((error: unknown) => {
    throw fileError(`cannot lock ${root}`, error);
  });
  try {
    await flock(handle, path, waitMs, options.signal);
    await removeAbandonedFiles(root);
    if (options.linkDir === null) return await work();
    await takeLink(options.linkDir, handle, waitMs, options);
    try {
      return await work();
    } finally {
      await unlink(join(options.linkDir, LINK)).catch(() => undefined);
      await handle.truncate(0);
    }
  } finally {
    await handle.close();
  }
}

/** Node has no flock: flock(1) takes it on the open file that it inherits, where it stays until we close the file. */
async function flock(handle: FileHandle, path: string, waitMs: number, signal: AbortSignal): Promise<void> {
  const code = await new Promise<number>((done, fail) => {
    // Not execa: it would take longer to load than this takes to run.
    const child = spawn('flock', ['-x', '-w', String(waitMs / 1000), '3'], {
      stdio: ['ignore', 'ignore', 'ignore', handle.fd],
      env: { PATH: TOOL_PATH },
      signal,
    });
    child.on('error', (error) => fail(signal.aborted ? signal.reason : error));
    child.on('exit', (exit) => done(exit ?? 1));
  }).catch((error: unknown) => {
    if (error instanceof AppError) throw error;
    throw new AppError('ERR_DATABASE', `cannot lock ${path}: the program flock(1) does not run`, {
      cause: error,
      hint: 'install util-linux',
    });
  });
  if (code !== 0) {
    throw new AppError('ERR_DATABASE', `the database is locked: ${path} is held by another lunctl`, {
      retriable: true,
    });
  }
}

// open-iscsi's lock: lock.write is a hard link to lock, made to take it and removed to give it back. It names no owner.
const LOCK = 'lock';
const LINK = 'lock.write';

async function takeLink(dir: string, own: FileHandle, waitMs: number, options: LockOptions): Promise<void> {
  const target = join(dir, LOCK);
  const path = join(dir, LINK);
  try {
    await (await open(target, 'a', 0o600)).close();
  } catch (error) {
    throw fileError(`cannot lock the records by ${path}`, error);
  }
  const until = performance.now() + waitMs;
  for (;;) {
    if (await tryLink(target, path)) break;
    if (await isOrphan(path, own, options.peersRun ?? openIscsiRuns)) {
      await unlink(path).catch(() => undefined);
      continue;
    }
    if (performance.now() >= until) {
      throw new AppError('ERR_DATABASE', `the records are locked: ${path} exists`, {
        retriable: true,
        hint: `remove it if no iscsiadm is at work: rm ${path}`,
      });
    }
    await delay(POLL_MS, options.signal);
  }
  // Our flock is held, so nobody else writes here. The change time tells our link from a later one on the same file.
  await own.truncate(0);
  await own.write(await changeTime(path));
}

async function tryLink(target: string, path: string): Promise<boolean> {
  try {
    await link(target, path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw fileError(`cannot lock the records by ${path}`, error);
  }
}

/** A link that a dead process of ours made, or one that no running open-iscsi tool can own. */
async function isOrphan(path: string, own: FileHandle, peersRun: () => Promise<boolean>): Promise<boolean> {
  const mark = Buffer.alloc(32);
  const { bytesRead } = await own.read(mark, 0, mark.length, 0);
  const made = mark.toString('latin1', 0, bytesRead);
  try {
    if (made !== '' && made === (await changeTime(path))) return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
  return !(await peersRun());
}

async function changeTime(path: string): Promise<string> {
  return String((await stat(path, { bigint: true })).ctimeNs);
}

async function openIscsiRuns(): Promise<boolean> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    if (/^(iscsiadm|iscsid|iscsistart)\n?$/.test(name)) return true;
  }
  return false;
}
