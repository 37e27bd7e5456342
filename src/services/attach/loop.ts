// The loop device over a FUSE file of ours: made, known again, and taken away.
import { basename } from 'node:path';
import { removeStaleNodes } from '../../disk/nodes.js';
import { runTool } from '../../disk/run.js';
import { diskSize, kernelName, kernelPartitions, loopDevices, sysAttribute } from '../../disk/sysfs.js';
import { delay } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import type { AttachRequest } from './attachment.js';

const RELEASE_MS = 5000;
/** With users that are not waited for the kernel keeps the device until the last of them has gone. */
const FORCED_MS = 300;
const POLL_MS = 10;

export interface OwnLoop {
  /** `/dev/loop0` */
  readonly path: string;
  /** The file behind it. */
  readonly file: string;
  /** Device and inode of that file: a lazy unmount by hand takes the path away, and the loop device goes on. */
  readonly backing: string;
}

/** Direct I/O keeps each block in memory once instead of twice; where FUSE refuses it, the loop device goes without. */
export async function makeLoop(file: string, request: AttachRequest): Promise<OwnLoop> {
  const common = ['--find', '--show', '--partscan', '--sector-size', String(request.blockSize)];
  const options = { signal: request.signal };
  const args = [...common, ...(request.readOnly ? ['--read-only'] : [])];
  let path: string;
  try {
    path = (await runTool('losetup', [...args, '--direct-io=on', '--', file], options)).stdout.trim();
  } catch (error) {
    if (request.signal?.aborted) throw error;
    await dropLoops(file);
    path = (await runTool('losetup', [...args, '--', file], options)).stdout.trim();
  }
  const name = kernelName(path);
  const blockSize = Number(sysAttribute(name, 'queue/logical_block_size'));
  if (!/^\/dev\/loop\d+$/.test(path) || sysAttribute(name, 'loop/backing_file') !== file) {
    throw new AppError('ERR_HELPER', `losetup answered ${path}, which is not a loop device on ${file}`);
  }
  if (diskSize(name) !== request.sizeBytes || blockSize !== request.blockSize) {
    throw new AppError('ERR_HELPER', `${path} has ${diskSize(name)} bytes in blocks of ${blockSize}`);
  }
  if (!request.readOnly) await makeWritable(path);
  return { path, file, backing: await backingOf(path) };
}

/** `blockdev --setro` outlives the disk that it was meant for: a later one under that number would refuse its writes. */
async function makeWritable(path: string): Promise<void> {
  const isReadOnly = () => sysAttribute(kernelName(path), 'ro') === '1';
  if (!isReadOnly()) return;
  await runTool('blockdev', ['--setrw', path], { timeoutMs: RELEASE_MS });
  if (isReadOnly()) throw new AppError('ERR_HELPER', `${path} is read-only, and its LUN is not`);
}

/** Whether the kernel's device of that name is still the one that we made: names are reused. */
export async function isOwnLoop({ path, file, backing }: OwnLoop): Promise<boolean> {
  const shown = sysAttribute(kernelName(path), 'loop/backing_file');
  if (shown === null || shown === file) return shown !== null;
  if (shown !== `/${basename(file)}`) return false;
  const now = await backingOf(path);
  // Once nbdfuse has gone too, nobody can ask for the file any more.
  return now === '' || now === backing;
}

/**
 * Detaches every loop device on `file`, and `own` even where its path has changed, and waits until the kernel has let them
 * go; one that is still open elsewhere goes with its last user. `force`: without waiting for that.
 */
export async function dropLoops(file: string, { own, force = false }: DropOptions = {}): Promise<void> {
  const deadline = performance.now() + (force ? FORCED_MS : RELEASE_MS);
  const isOurs = own !== undefined && (await isOwnLoop(own));
  for (const { name, backingFile } of loopDevices()) {
    if (backingFile !== file && !(isOurs && own.path === `/dev/${name}`)) continue;
    const nodes = kernelPartitions(name).map((partition) => `/dev/${partition.name}`);
    await runTool('losetup', ['--detach', `/dev/${name}`], { timeoutMs: RELEASE_MS });
    const isThere = () => sysAttribute(name, 'loop/backing_file') === backingFile;
    while (isThere() && performance.now() < deadline) await delay(POLL_MS);
    removeStaleNodes(name, nodes);
  }
}

interface DropOptions {
  readonly own?: OwnLoop | undefined;
  readonly force?: boolean;
}

/** `0:52 2`; empty where there is no such device. */
async function backingOf(path: string): Promise<string> {
  const columns = ['--list', '--noheadings', '--output', 'BACK-MAJ:MIN,BACK-INO'];
  const { stdout } = await runTool('losetup', [...columns, path], { timeoutMs: RELEASE_MS, okStatuses: [0, 1] });
  return stdout.trim().replaceAll(/\s+/g, ' ');
}
