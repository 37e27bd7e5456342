// Attaches an export without the kernel's NBD client: nbdfuse shows it as a file, a loop device makes that a disk.
import { accessSync, constants, existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { partitionNodes, settlePartitions } from '../../disk/nodes.js';
import {
  type BackgroundTool,
  checkInterrupted,
  hasTool,
  missingTool,
  type RunOptions,
  runTool,
  startTool,
} from '../../disk/run.js';
import { kernelName, mounts, usersOf } from '../../disk/sysfs.js';
import type { Tool } from '../../disk/tools.js';
import { delay } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import { isRoot } from '../../util/user.js';
import type { Attachment, AttachRequest } from './attachment.js';
import { dropLoops, isOwnLoop, makeLoop, type OwnLoop } from './loop.js';
import { removeAttachRecord, writeAttachRecord } from './record.js';

const FILE_MS = 10_000;
const RELEASE_MS = 5000;
const POLL_MS = 10;

/** Throws unless this process can make FUSE mounts and loop devices. */
export function requireFuse(): void {
  if (!isRoot()) {
    throw new AppError('ERR_ACCESS', 'making a loop device needs root', {
      hint: 'run it as root, or use --attach none and the NBD URI',
    });
  }
  requireFuseFile();
  if (!existsSync('/dev/loop-control')) throw new AppError('ERR_DRIVER_MISSING', 'this kernel has no loop devices');
}

/** Throws unless nbdfuse can work here; it needs no root. */
export function requireFuseFile(): void {
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch (error) {
    const there = existsSync('/dev/fuse');
    const message = there ? 'only root may use /dev/fuse here' : 'this kernel has no FUSE: there is no /dev/fuse';
    const help = there ? 'run it as root, or chmod 666 /dev/fuse as root' : 'modprobe fuse';
    throw new AppError('ERR_DRIVER_MISSING', message, {
      cause: error,
      hint: `${help}; or use --attach none and the NBD URI`,
    });
  }
  for (const tool of ['nbdfuse', 'fusermount3'] as const satisfies Tool[]) {
    if (hasTool(tool)) continue;
    const missing = missingTool(tool);
    throw new AppError('ERR_DRIVER_MISSING', missing.message, { ...(missing.hint && { hint: missing.hint }) });
  }
}

/** See `attachDevice`. */
export async function attachFuse(request: AttachRequest): Promise<Attachment> {
  requireFuse();
  const file = await mountExport(request);
  let loop: OwnLoop | undefined;
  try {
    await record(request, file.path, null);
    loop = await makeLoop(file.path, request);
    await record(request, file.path, loop);
    await settlePartitions(kernelName(loop.path), { signal: request.signal });
    checkInterrupted(request.signal);
    return attachment(loop, file, request);
  } catch (error) {
    await release(file, loop, request, true);
    throw error;
  }
}

/** Takes the loop device and the file away. `force`: whoever uses them. */
async function release(
  file: ExportFile,
  own: OwnLoop | undefined,
  request: AttachRequest,
  force: boolean,
): Promise<void> {
  await dropLoops(file.path, { own, force });
  await file.unmount({ force });
  removeAttachRecord(request.runDir, request.exportName);
}

export interface ExportFile {
  /** The file that holds the export's bytes. */
  readonly path: string;
  /** Settles when nbdfuse ends, wanted or not. */
  readonly ended: Promise<AppError>;
  /** Unmounts and reaps nbdfuse. Throws ERR_BUSY while the file is open, unless `force`. Idempotent. */
  unmount(options?: { readonly force?: boolean }): Promise<void>;
}

/**
 * Shows an NBD export as a file below `runDir`, at its full size when this returns. Works without root. Undoes
 * everything when it fails.
 */
export async function mountExport(
  request: Omit<AttachRequest, 'mode' | 'blockSize'> & Pick<RunOptions, 'diesWithUs'>,
): Promise<ExportFile> {
  const folder = `${request.runDir}/fuse-${request.exportName}`;
  const path = `${folder}/${request.exportName}`;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const process = await startTool('nbdfuse', nbdfuseArguments(request, path), request).catch((error: unknown) => {
    rmdirSync(folder);
    throw error;
  });
  const file = exportFile(path, folder, process);
  try {
    await waitForFile(path, process, request);
    return file;
  } catch (error) {
    await file.unmount({ force: true });
    throw error;
  }
}

/** The number of connections is left to nbdfuse, which takes several where the server says that they agree. */
export function nbdfuseArguments(
  request: Pick<AttachRequest, 'socketPath' | 'exportName' | 'readOnly'>,
  path: string,
): string[] {
  const uri = `nbd+unix:///${request.exportName}?socket=${encodeURIComponent(request.socketPath)}`;
  return [...(request.readOnly ? ['-r'] : []), '--', path, uri];
}

async function waitForFile(
  path: string,
  nbdfuse: BackgroundTool,
  request: Pick<AttachRequest, 'sizeBytes' | 'signal'>,
): Promise<void> {
  const died = { error: undefined as AppError | undefined };
  void nbdfuse.ended.then((error) => {
    died.error = error;
  });
  const deadline = performance.now() + FILE_MS;
  for (;;) {
    checkInterrupted(request.signal);
    const size = await stat(path).then(
      (stats) => stats.size,
      () => null,
    );
    if (size === request.sizeBytes) return;
    if (died.error !== undefined) throw died.error;
    if (size !== null || performance.now() > deadline) {
      throw new AppError('ERR_HELPER', `nbdfuse shows ${size ?? 'no'} bytes instead of ${request.sizeBytes}`);
    }
    await delay(POLL_MS, request.signal);
  }
}

function exportFile(path: string, folder: string, nbdfuse: BackgroundTool): ExportFile {
  let done = false;
  return {
    path,
    ended: nbdfuse.ended,
    async unmount({ force = false } = {}) {
      if (done) return;
      await unmountFuse(folder, force);
      // It ends by itself once it is unmounted; asking covers the one that never got as far as mounting.
      await nbdfuse.stop();
      await unmountFuse(folder, true);
      rmdirSync(folder);
      done = true;
    },
  };
}

/** Unmounts the FUSE file system at `folder` if there is one. `force` detaches it even while in use. */
export async function unmountFuse(folder: string, force: boolean): Promise<void> {
  const deadline = performance.now() + (force ? POLL_MS : RELEASE_MS);
  while (mounts().some((mount) => mount.target === folder)) {
    try {
      await runTool('fusermount3', ['-u', '--', folder], { timeoutMs: RELEASE_MS });
    } catch (error) {
      if (performance.now() < deadline) {
        await delay(POLL_MS);
        continue;
      }
      if (!force) throw new AppError('ERR_BUSY', `${folder} is still in use`, { cause: error });
      await runTool('fusermount3', ['-u', '-z', '--', folder], { timeoutMs: RELEASE_MS });
    }
  }
}

function attachment(loop: OwnLoop, file: ExportFile, request: AttachRequest): Attachment {
  const { path } = loop;
  const name = kernelName(path);
  /** From here on the end of nbdfuse is our own doing. */
  let ending = false;
  let gone = false;
  const users = async () => ((await isOwnLoop(loop)) ? usersOf(name) : null);
  return {
    mode: 'fuse',
    path,
    partitions: () => partitionNodes(name),
    rescan: () => settlePartitions(name),
    grow: () => Promise.reject(new AppError('ERR_NOT_SUPPORTED', `${path} keeps its size`)),
    inUse: users,
    lost: file.ended.then(async (error) => {
      if (ending) return new Promise<AppError>(() => {});
      ending = gone = true;
      await release(file, loop, request, true);
      return error;
    }),
    async detach({ force = false } = {}) {
      if (gone) return;
      const user = force ? null : await users();
      if (user !== null) throw new AppError('ERR_BUSY', `${path} cannot be detached: ${user}`);
      ending = true;
      await release(file, loop, request, force);
      gone = true;
    },
  };
}

async function record(request: AttachRequest, backingFile: string, loop: OwnLoop | null): Promise<void> {
  const { runDir, exportName } = request;
  const { path, backing } = loop ?? { path: null, backing: null };
  const ofNbd = { connectPid: null, backend: null };
  await writeAttachRecord(runDir, { mode: 'fuse', exportName, path, ...ofNbd, backingFile, backing });
}
