// Attaches an export to the kernel's NBD client, /dev/nbdN, by nbd-client over netlink: once connected, the kernel owns
// the socket, and the only process that stays is the guard for the case that the worker is killed.
import { existsSync } from 'node:fs';
import { partitionNodes, removeStaleNodes, settlePartitions } from '../../disk/nodes.js';
import { checkInterrupted, hasTool, missingTool, runTool } from '../../disk/run.js';
import { diskSize, kernelPartitions, sysAttribute, usersOf } from '../../disk/sysfs.js';
import { delay } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import { isRoot } from '../../util/user.js';
import type { Attachment, AttachRequest } from './attachment.js';
import { guardNbd } from './guard.js';
import { removeAttachRecord, writeAttachRecord } from './record.js';

const CONNECT_MS = 15_000;
const SIZE_MS = 5000;
const POLL_MS = 10;
/** The kernel makes devices beyond its nbds_max of 16 on request; more than this many are somebody's mistake. */
const MAX_DEVICES = 1024;

/** Throws unless this process can use the kernel's NBD client; loads the module if need be. */
export async function requireNbd(): Promise<void> {
  if (!isRoot()) {
    throw new AppError('ERR_ACCESS', 'attaching to /dev/nbdN needs root', {
      hint: 'run it as root, or use --attach none and the NBD URI',
    });
  }
  if (!existsSync('/sys/module/nbd')) await loadModule();
  if (!hasTool('nbd-client')) {
    const missing = missingTool('nbd-client');
    throw new AppError('ERR_DRIVER_MISSING', missing.message, { ...(missing.hint && { hint: missing.hint }) });
  }
}

async function loadModule(): Promise<void> {
  try {
    await runTool('modprobe', ['--', 'nbd'], { timeoutMs: 10_000 });
  } catch (error) {
    throw new AppError('ERR_DRIVER_MISSING', 'this kernel has no nbd module (modprobe nbd failed)', {
      cause: error,
      hint: 'use --attach fuse (slower, as root) or --attach none (NBD URI only)',
    });
  }
  if (!existsSync('/sys/module/nbd')) {
    throw new AppError('ERR_DRIVER_MISSING', 'modprobe nbd succeeded, but the kernel shows no nbd driver');
  }
}

/** See `attachDevice`. */
export async function attachNbd(request: AttachRequest): Promise<Attachment> {
  await requireNbd();
  const device = await connectFree(request);
  try {
    await waitForSize(device, request);
    await settlePartitions(device.name, { signal: request.signal });
    checkInterrupted(request.signal);
  } catch (error) {
    await disconnect(device);
    removeAttachRecord(request.runDir, request.exportName);
    throw error;
  }
  return attachment(device, request);
}

interface NbdDevice {
  readonly name: string;
  readonly connectPid: string;
}

/** Takes the first free device. Another program may take the same one in between: the kernel decides, and we go on. */
async function connectFree(request: AttachRequest): Promise<NbdDevice> {
  for (let index = 0; index < MAX_DEVICES; index++) {
    const name = `nbd${index}`;
    if (!isFree(name)) continue;
    await record(request, name, null);
    let client = '';
    try {
      await runTool('nbd-client', connectArguments(request, `/dev/${name}`), {
        timeoutMs: CONNECT_MS,
        signal: request.signal,
        onStart: (pid) => {
          client = String(pid);
        },
      });
    } catch (error) {
      // Interrupted or out of time, it may have connected the device nevertheless.
      await disconnect({ name, connectPid: client });
      if (!isFree(name) && !request.signal?.aborted) continue;
      removeAttachRecord(request.runDir, request.exportName);
      throw error;
    }
    const connectPid = sysAttribute(name, 'pid');
    if (connectPid === null) {
      removeAttachRecord(request.runDir, request.exportName);
      throw new AppError('ERR_HELPER', `nbd-client connected /dev/${name}, but the kernel has dropped it`);
    }
    await record(request, name, connectPid);
    return { name, connectPid };
  }
  throw new AppError('ERR_DRIVER_MISSING', `no free nbd device among ${MAX_DEVICES}`);
}

/** nbd-client 3.24. Never with -timeout: the kernel would drop the device while a session recovers. */
export function connectArguments(request: Omit<AttachRequest, 'mode'>, path: string): string[] {
  return [
    ...['-unix', request.socketPath, path],
    ...['-N', request.exportName],
    ...['-b', String(request.blockSize)],
    ...['-C', String(request.connections ?? 1)],
    ...(request.readOnly ? ['-R'] : []),
  ];
}

/** A device that does not exist yet is free too: nbd-client lets the kernel make it. */
function isFree(name: string): boolean {
  return sysAttribute(name, 'pid') === null && diskSize(name) === 0;
}

async function waitForSize(device: NbdDevice, request: AttachRequest): Promise<void> {
  const deadline = performance.now() + SIZE_MS;
  while (diskSize(device.name) !== request.sizeBytes) {
    if (performance.now() > deadline || !isOurs(device)) {
      const size = diskSize(device.name);
      throw new AppError('ERR_HELPER', `/dev/${device.name} shows ${size} bytes instead of ${request.sizeBytes}`);
    }
    await delay(POLL_MS, request.signal);
  }
}

function attachment(device: NbdDevice, request: AttachRequest): Attachment {
  const path = `/dev/${device.name}`;
  const guard = guardNbd(device.name, device.connectPid);
  let detached = false;
  return {
    mode: 'nbd',
    path,
    partitions: () => partitionNodes(device.name),
    rescan: () => settlePartitions(device.name),
    inUse: () => (isOurs(device) ? usersOf(device.name) : Promise.resolve(null)),
    lost: new Promise(() => {}),
    async detach({ force = false } = {}) {
      if (detached) return;
      const user = force || !isOurs(device) ? null : await usersOf(device.name);
      if (user !== null) throw new AppError('ERR_BUSY', `${path} cannot be detached: ${user}`);
      await disconnect(device);
      await guard.release();
      detached = true;
      removeAttachRecord(request.runDir, request.exportName);
    },
  };
}

/** Whether the kernel's device is still the one that we connected: names are reused. */
function isOurs(device: NbdDevice): boolean {
  return sysAttribute(device.name, 'pid') === device.connectPid;
}

/** Disconnects a device that is ours and waits until the kernel has let it go. */
async function disconnect(device: NbdDevice): Promise<void> {
  if (!isOurs(device)) return;
  await disconnectNbd(device.name);
}

/**
 * `nbd-client -d`, and waits until the kernel has let the device go. Whose it is has been checked by the caller. `between`
 * takes away what still holds the device: it may wait for requests that only the disconnection ends.
 */
export async function disconnectNbd(name: string, between = async (): Promise<void> => {}): Promise<void> {
  const nodes = kernelPartitions(name).map((partition) => `/dev/${partition.name}`);
  await runTool('nbd-client', ['-d', `/dev/${name}`], { timeoutMs: CONNECT_MS });
  await between();
  const deadline = performance.now() + SIZE_MS;
  while (sysAttribute(name, 'pid') !== null && performance.now() < deadline) await delay(POLL_MS);
  removeStaleNodes(name, nodes);
}

async function record(request: AttachRequest, name: string, connectPid: string | null): Promise<void> {
  const { runDir, exportName } = request;
  await writeAttachRecord(runDir, { mode: 'nbd', exportName, path: `/dev/${name}`, connectPid, backingFile: null });
}
