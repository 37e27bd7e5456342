// Proof that a device is the LUN it is taken for, right before something on it is destroyed. Names and device numbers
// prove nothing: both are reused.
import { createHash, randomInt } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { AppError } from '../util/errors.js';
import { runTool } from './run.js';
import { kernelName, mounts, sysAttribute } from './sysfs.js';

/** What must be true of the device. */
export type Claim =
  | { readonly kind: 'fuse'; readonly path: string; readonly backingFile: string }
  | {
      readonly kind: 'nbd';
      readonly path: string;
      /** The process that connected the device, as in /sys/block/nbdN/pid. */
      readonly connectPid: string;
      /** What it was given in /sys/block/nbdN/backend when it was connected; null if nothing is to be found there. */
      readonly backend: string | null;
      readonly sizeBytes: number;
      /** Where partitions start, in bytes: what tells two copies of one disk apart is written there. */
      readonly starts: readonly number[];
      /** Whether the session's worker reads bytes with this SHA-256 (hexadecimal) there. */
      readonly confirm: (offset: number, length: number, sha256: string) => Promise<boolean>;
    };

/** Holds the device open, so that it cannot become another one, until `release`. */
export interface Hold {
  release(): Promise<void>;
}

const PROBE_BYTES = 4096;
/** Compared at random places where the first one is blank. */
const MORE_BLOCKS = 4;
/** From the start of a partition to the superblocks of file systems: ext4 and xfs, btrfs. */
const SUPERBLOCKS = [0, 65_536];
/** How often a block is compared that is being written. */
const MOST_COMPARED = 3;
const PROBE_MS = 60_000;

/**
 * Opens the device, proves that it is what the claim says, and keeps it open. To be called right before each
 * destructive step and released after it.
 * @throws AppError ERR_USAGE when it is another device, ERR_BUSY when it is gone.
 */
export async function holdDevice(claim: Claim, signal?: AbortSignal): Promise<Hold> {
  const handle = await openDevice(claim.path);
  try {
    if (claim.kind === 'fuse') proveLoop(claim.path, claim.backingFile);
    else await proveNbd(claim, signal);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return { release: () => handle.close() };
}

async function openDevice(path: string): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (cause) {
    throw new AppError('ERR_BUSY', `${path} cannot be opened: it has been detached`, { cause });
  }
  if ((await handle.stat()).isBlockDevice()) return handle;
  await handle.close();
  throw notOurs(path, 'it is no block device');
}

function proveLoop(path: string, backingFile: string): void {
  const backing = sysAttribute(kernelName(path), 'loop/backing_file');
  if (backing !== backingFile) throw notOurs(path, `it shows ${backing ?? 'nothing'} instead of ${backingFile}`);
  const folder = backingFile.slice(0, backingFile.lastIndexOf('/'));
  const isFuse = mounts().some(({ target, fsType }) => target === folder && /^fuse\b/.test(fsType));
  if (!isFuse) throw notOurs(path, `${folder} is no FUSE mount any more`);
}

async function proveNbd(claim: Claim & { kind: 'nbd' }, signal: AbortSignal | undefined): Promise<void> {
  const { path } = claim;
  if (sysAttribute(kernelName(path), 'pid') !== claim.connectPid)
    throw notOurs(path, 'it has been connected by another process');
  if (claim.backend !== null && sysAttribute(kernelName(path), 'backend') !== claim.backend)
    throw notOurs(path, 'it has been connected again');
  if (!(await holdsSameBytes(path, claim, signal))) throw notOurs(path, 'it holds other bytes than the LUN');
}

/**
 * Compares the names that the disk's table and its file systems carry, and a random block, with those of the LUN. Zeros say
 * nothing, since most of a young disk holds them: then its last block and a few more are compared too. Two blank disks of one
 * size cannot be told apart by reading.
 */
export async function holdsSameBytes(
  path: string,
  { sizeBytes, starts, confirm }: Pick<Claim & { kind: 'nbd' }, 'sizeBytes' | 'starts' | 'confirm'>,
  signal?: AbortSignal,
): Promise<boolean> {
  const length = Math.min(PROBE_BYTES, sizeBytes);
  const blocks = Math.floor(sizeBytes / length);
  const compare = (offset: number) =>
    sharedBytes(
      () => readDirect(path, { offset, length }, signal),
      (sha256) => confirm(offset, length, sha256),
    );
  for (const offset of [0, ...starts].flatMap((start) => SUPERBLOCKS.map((far) => start + far))) {
    if (offset + length <= sizeBytes && (await compare(offset)) === null) return false;
  }
  const bytes = await compare(randomInt(blocks) * length);
  if (bytes === null || bytes.some((byte) => byte !== 0)) return bytes !== null;
  const more = Array.from({ length: MORE_BLOCKS }, () => randomInt(blocks) * length);
  for (const offset of [sizeBytes - length, ...more]) if ((await compare(offset)) === null) return false;
  return true;
}

/**
 * What the device and the LUN both hold in one block, or null where they differ. A mounted file system may write the block
 * between the two reads: if the device shows that it has changed, and only then, it is compared again. A block of a free
 * disk stands still, and has no second chance.
 */
async function sharedBytes(
  read: () => Promise<Buffer>,
  confirm: (sha256: string) => Promise<boolean>,
): Promise<Buffer | null> {
  let bytes = await read();
  for (let compared = 1; ; compared++) {
    if (await confirm(createHash('sha256').update(bytes).digest('hex'))) return bytes;
    const before = bytes;
    if (compared === MOST_COMPARED) return null;
    bytes = await read();
    if (bytes.equals(before)) return null;
  }
}

/** Direct, so that the bytes come from the worker behind the device and not from the page cache. */
async function readDirect(
  path: string,
  { offset, length }: { offset: number; length: number },
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const args = [`if=${path}`, `bs=${length}`, `skip=${offset}`, 'count=1', 'iflag=direct,skip_bytes', 'status=none'];
  const { stdout } = await runTool('dd', args, { encoding: 'hex', timeoutMs: PROBE_MS, signal });
  if (stdout.length !== 2 * length) throw new AppError('ERR_HELPER', `${path} cannot be read at byte ${offset}`);
  return Buffer.from(stdout, 'hex');
}

function notOurs(path: string, why: string): AppError {
  return new AppError('ERR_USAGE', `${path} is not the disk of this session: ${why}; nothing was changed`);
}
