// What other commands ask of a running session's worker, over its control socket.
import { callControl, ServerGone } from '../../transport/control.js';
import { AppError } from '../../util/errors.js';
import type { Paths } from '../paths.js';
import { ourselves, sessionFolder } from './folder.js';
import type { AttachMode, DeviceInfo } from './info.js';

/** Reading a table or a block; includes the target's own time. */
const COMMAND_MS = 35_000;
/** Making or removing a device node. */
const ATTACH_MS = 60_000;

export interface SessionCallOptions {
  readonly signal?: AbortSignal | undefined;
}

export type Where = Pick<Paths, 'runDir'>;

/** A range of a LUN and what some other way of reading it gave. Bytes; both numbers multiples of the block size. */
export interface BlockProof {
  readonly lun: number;
  readonly offset: number;
  /** At most 1 MiB. */
  readonly length: number;
  /** SHA-256 of those bytes, hexadecimal. */
  readonly sha256: string;
}

/** Whether the worker reads the same bytes from its LUN: whether a device node really is this LUN. */
export async function verifyBlock(
  paths: Where,
  sid: number,
  proof: BlockProof,
  options: SessionCallOptions = {},
): Promise<boolean> {
  const answer = await callSession(paths, sid, 'verify-block', proof, COMMAND_MS, options);
  return (answer as { same: boolean }).same;
}

/** Reads a LUN's partition table again, so that its `lunNpM` exports are those of now. Returns the device as it is then. */
export async function rescanPartitions(
  paths: Where,
  sid: number,
  lun: number,
  options: SessionCallOptions = {},
): Promise<DeviceInfo> {
  return (await callSession(paths, sid, 'rescan-partitions', { lun }, COMMAND_MS, options)) as DeviceInfo;
}

/** A whole LUN, or one of its partitions by number. */
export interface DiskPart {
  readonly lun: number;
  readonly partition: number | null;
}

/** Who may write to a LUN or partition beside the devices made of it. */
export interface DiskUsers {
  /** Connections of NBD clients. Those of our own devices and commands do not count. */
  readonly writers: number;
  /** Whether a disk command works on it without a device. */
  readonly commands: boolean;
}

export async function diskUsers(
  paths: Where,
  sid: number,
  part: DiskPart,
  options: SessionCallOptions = {},
): Promise<DiskUsers> {
  return (await callSession(paths, sid, 'disk-users', part, COMMAND_MS, options)) as DiskUsers;
}

/** What a disk command without a device is let in with. */
export interface DiskAdmission {
  /** Path of the NBD socket by which it writes. */
  readonly path: string;
  readonly hold: number;
}

/**
 * Lets this process write to what has no device. Until `helperDone`, or the end of this process, no other command and
 * no device is let in, and new clients of `nbd.sock` get the same blocks read-only. Throws ERR_BUSY while somebody else
 * writes to the disk, by this path or another.
 */
export async function helperSocket(
  paths: Where,
  sid: number,
  part: DiskPart,
  options: SessionCallOptions = {},
): Promise<DiskAdmission> {
  const request = { ...part, ...ourselves() };
  return (await callSession(paths, sid, 'helper-socket', request, COMMAND_MS, options)) as DiskAdmission;
}

/** Gives back what `helperSocket` gave. A session that has ended needs no word. */
export async function helperDone(paths: Where, sid: number, lun: number, hold: number): Promise<void> {
  await callSession(paths, sid, 'helper-done', { lun, hold }, COMMAND_MS, {}).catch((error: unknown) => {
    if (!(error instanceof AppError) || error.code !== 'ERR_SESSION_NOT_FOUND') throw error;
  });
}

/** How a LUN is to become a device. */
export interface AttachWishes {
  /** `auto` is nbd: without the module it fails, since a device is what is asked for. */
  readonly mode: Exclude<AttachMode, 'none'>;
  readonly readOnly?: boolean;
  /** NBD connections of a kernel device, 1 to 4; without it as at the login. */
  readonly connections?: number;
}

/** A LUN's device, and whether anything had to be done for it. */
export interface DeviceChange {
  readonly device: DeviceInfo;
  readonly changed: boolean;
}

/**
 * Makes a device node for a LUN; nothing is changed where there is one of the kind wished for. Throws ERR_BUSY for
 * another kind, a second path, or NBD clients that write; ERR_DRIVER_MISSING and ERR_ACCESS as `planAttach`. When this
 * process ends before the answer, or `signal` aborts, what has been made is taken away again.
 */
export async function attachLun(
  paths: Where,
  sid: number,
  { lun, ...wishes }: AttachWishes & { readonly lun: number },
  options: SessionCallOptions = {},
): Promise<DeviceChange> {
  try {
    return (await callSession(paths, sid, 'attach', { lun, ...wishes }, ATTACH_MS, options)) as DeviceChange;
  } catch (error) {
    // The worker undoes it by itself. This comes after that in turn, and takes away what was made while the answer was lost.
    if (options.signal?.aborted) await detachLun(paths, sid, lun).catch(() => {});
    throw error;
  }
}

/** Takes a LUN's device node away, if there is one; throws ERR_BUSY while it is mounted or held. */
export async function detachLun(
  paths: Where,
  sid: number,
  lun: number,
  options: SessionCallOptions = {},
): Promise<DeviceChange> {
  return (await callSession(paths, sid, 'detach', { lun }, ATTACH_MS, options)) as DeviceChange;
}

/** A superblock of btrfs, the one farthest in, begins at 64 KiB. Bytes. */
export const LARGEST_HEAD = 72 * 1024;
/** Of one request: what fits into an answer. */
export const MOST_HEADS = 64;
/** A worker that is well answers within 3 s, whatever its target does. */
const HEADS_MS = 10_000;

/** One place on a LUN. Bytes, multiples of its block size. */
export interface HeadRange {
  readonly lun: number;
  readonly offset: number;
  /** At most LARGEST_HEAD. */
  readonly length: number;
}

/** What is at those places, at most MOST_HEADS of them; null where the target does not answer in time. */
export async function readHeads(
  paths: Where,
  sid: number,
  ranges: readonly HeadRange[],
  options: SessionCallOptions = {},
): Promise<(Buffer | null)[]> {
  const answer = await callSession(paths, sid, 'read-heads', { ranges }, HEADS_MS, options);
  const { heads } = answer as { heads: (string | null)[] };
  return heads.map((head) => (head === null ? null : Buffer.from(head, 'base64')));
}

/** Asks the session's worker for `op`. Throws ERR_SESSION_NOT_FOUND where there is no worker any more. */
export async function callSession(
  { runDir }: Where,
  sid: number,
  op: string,
  params: object,
  timeoutMs: number,
  { signal }: SessionCallOptions,
): Promise<unknown> {
  try {
    return await callControl(sessionFolder(runDir, sid).controlSocket, op, params, { timeoutMs, signal });
  } catch (error) {
    throw error instanceof ServerGone
      ? new AppError('ERR_SESSION_NOT_FOUND', `session ${sid} has ended`, { cause: error })
      : error;
  }
}
