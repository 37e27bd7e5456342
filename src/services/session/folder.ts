// The run folder of a session, `s/<sid>`: who owns it and what lies in it.
import { constants, readFileSync } from 'node:fs';
import { chmod, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readTextFileNow } from '../../records/files.js';
import { AppError, messageOf } from '../../util/errors.js';
import { namesIn } from '../../util/names-in.js';
import { checkTrustedFolder } from '../../util/trusted-folder.js';

/** Paths below one session's folder. */
export interface SessionFolder {
  readonly path: string;
  /** Who the session belongs to and what it is for; see SessionState. */
  readonly state: string;
  readonly controlSocket: string;
  /** Every LUN and partition, for any client of this user. */
  readonly nbdSocket: string;
  /** The same exports for the helper that makes the device node; it alone may write while a device is attached. */
  readonly attachSocket: string;
  readonly log: string;
}

/** Names one process for as long as the machine is up; see SessionState. */
export type OwnerProcess = Pick<SessionState, 'pid' | 'startTime'>;

/** What state.json says. It is a claim: whether its process lives is asked of the kernel. */
export interface SessionState {
  version: 1;
  sid: number;
  pid: number;
  /** Field 22 of /proc/PID/stat: with the pid it names one process for as long as the machine is up. */
  startTime: string;
  phase: 'starting' | 'ready';
  targetName: string;
  portal: { address: string; port: number; tpgt: number };
  iface: string;
  /** Which of the sessions of its record it is, from 0. */
  index: number;
  initiatorName: string;
  /** 12 hexadecimal digits. */
  isid: string;
}

const LARGEST_STATE = 65_536;
const LARGEST_SID = 2 ** 31 - 1;

export function sessionFolder(runDir: string, sid: number): SessionFolder {
  const path = join(runDir, 's', String(sid));
  return {
    path,
    state: join(path, 'state.json'),
    controlSocket: join(path, 'control.sock'),
    nbdSocket: join(path, 'nbd.sock'),
    attachSocket: join(path, 'attach.sock'),
    log: join(path, 'log'),
  };
}

/**
 * The numbers of the folders that exist, ascending. Throws ERR_ACCESS where other users could have put them there: what
 * they say decides over devices, mounts and processes.
 */
export async function sessionIds(runDir: string): Promise<number[]> {
  return sessionIdsNow(runDir);
}

/** The same at once. */
export function sessionIdsNow(runDir: string): number[] {
  const parent = join(runDir, 's');
  const names = namesIn(parent);
  if (names.length > 0) checkTrustedFolder(parent);
  return names
    .filter((name) => /^[1-9]\d{0,9}$/.test(name))
    .map(Number)
    .filter((sid) => sid <= LARGEST_SID)
    .sort((a, b) => a - b);
}

/** The state of a session, or null with nothing thrown where the file is missing, too large or damaged. */
export async function readState(folder: SessionFolder): Promise<SessionState | null> {
  return readStateNow(folder);
}

/** The same at once. */
export function readStateNow(folder: SessionFolder): SessionState | null {
  try {
    return parseState(readTextFileNow(folder.state));
  } catch {
    return null;
  }
}

function parseState(text: string | undefined): SessionState | null {
  if (text === undefined || text.length > LARGEST_STATE) return null;
  const value: unknown = JSON.parse(text);
  return isState(value) ? value : null;
}

/** By hand: every listing of sessions comes here, and no start should have to load a library for it. */
function isState(value: unknown): value is SessionState {
  if (!isObject(value) || !isObject(value.portal)) return false;
  const { version, sid, pid, phase, startTime, targetName, iface, index, initiatorName, isid, portal } = value;
  const texts = [startTime, targetName, iface, initiatorName, isid, portal.address];
  return (
    version === 1 &&
    (phase === 'starting' || phase === 'ready') &&
    [sid, pid].every((number) => Number.isSafeInteger(number) && Number(number) >= 1) &&
    [portal.port, portal.tpgt, index].every((number) => Number.isSafeInteger(number)) &&
    texts.every((text) => typeof text === 'string') &&
    /^[0-9a-f]{12}$/.test(String(isid))
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Replaces the state as a whole. It names processes, so it need not outlive a crash of the machine. */
export async function writeState(folder: SessionFolder, state: SessionState): Promise<void> {
  const { default: writeFileAtomic } = await import('write-file-atomic');
  await writeFileAtomic(folder.state, JSON.stringify(state), { mode: 0o600, fsync: false });
}

/**
 * Makes the folder of a new session with the lowest number that no folder has. The folder appears with its state in it,
 * at once, so that nobody ever sees a session without an owner.
 */
export async function claimFolder(
  runDir: string,
  state: Omit<SessionState, 'sid'>,
): Promise<{ folder: SessionFolder; state: SessionState }> {
  const parent = join(runDir, 's');
  await makePrivateFolder(parent);
  await removeOldDrafts(parent);
  const draft = join(parent, `.new-${process.pid}-${draftNumber++}`);
  await mkdir(draft, { mode: 0o700 });
  try {
    for (;;) {
      const sid = lowestFree(await sessionIds(runDir));
      const claimed = { ...state, sid };
      await writeFile(join(draft, 'state.json'), JSON.stringify(claimed), { mode: 0o600 });
      const folder = sessionFolder(runDir, sid);
      if (await renamed(draft, folder.path)) return { folder, state: claimed };
    }
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (error instanceof AppError) throw error;
    throw new AppError('ERR_DATABASE', `cannot make a session folder in ${parent}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
let draftNumber = 0;

/** Drafts whose makers were killed before they could give them a number. */
async function removeOldDrafts(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = /^\.new-(\d+)-\d+$/.exec(name)?.[1];
    if (pid !== undefined && processStartTime(Number(pid)) === null)
      await rm(join(parent, name), { recursive: true, force: true });
  }
}

/** Removes the folder and everything in it. */
export async function removeFolder(folder: SessionFolder): Promise<void> {
  await rm(folder.path, { recursive: true, force: true });
}

/** Field 22 of /proc/PID/stat, or null if there is no such process. */
export function processStartTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in field 2 may hold anything, also spaces and brackets; the last bracket ends it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; only its parent has not looked yet.
    return /^[ZXx]$/.test(fields[0] ?? '') ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

/** Whether the process that a state names still runs. */
export function ownerLives(owner: OwnerProcess): boolean {
  return processStartTime(owner.pid) === owner.startTime;
}

/** This process as the owner of a folder or a claim. */
export function ourselves(): OwnerProcess {
  return { pid: process.pid, startTime: processStartTime(process.pid) ?? '' };
}

async function makePrivateFolder(path: string): Promise<void> {
  try {
    checkTrustedFolder(dirname(path));
    if ((await mkdir(path, { recursive: true, mode: 0o700 })) !== undefined) await chmod(path, 0o700);
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      if (((await handle.stat()).mode & 0o077) !== 0) await handle.chmod(0o700);
      checkTrustedFolder(path);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('ERR_ACCESS', `cannot use run folder ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: 'choose another with --run-dir or LUNCTL_RUN_DIR',
    });
  }
}

/** False if the target exists already: rename(2) replaces only an empty folder, and none is ever empty. */
async function renamed(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
}

function lowestFree(taken: readonly number[]): number {
  let sid = 1;
  for (const number of taken) if (number === sid) sid++;
  return sid;
}
