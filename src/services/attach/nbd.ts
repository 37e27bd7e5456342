// Attaches an export to the kernel's NBD client, /dev/nbdN: by netlink where the optional koffi works, else by nbd-client.
// Once connected, the kernel owns the sockets, and the only process that stays is the guard for a worker that is killed.
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { ensureNode, partitionNodes, settlePartitions } from '../../disk/nodes.js';
import { checkInterrupted, runTool } from '../../disk/run.js';
import { diskSize, sysAttribute, usersOf } from '../../disk/sysfs.js';
import { delay } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import { isRoot } from '../../util/user.js';
import type { Attachment, AttachRequest } from './attachment.js';
import { type AttachGuard, guardNbd } from './guard.js';
import { type KernelNbd, kernelNbd, requestTimeoutS } from './kernel-nbd.js';
import { disconnectNbd, isFree, isOurs, type NbdDevice, nbdDeviceOf, nbdIndex, requireWay } from './nbd-device.js';
import { removeAttachRecord, writeAttachRecord } from './record.js';

const OTHER_WAYS = 'use --attach fuse (slower, as root) or --attach none (NBD URI only)';
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
  await requireWay();
}

async function loadModule(): Promise<void> {
  try {
    await runTool('modprobe', ['--', 'nbd'], { timeoutMs: 10_000 });
  } catch (error) {
    throw new AppError('ERR_DRIVER_MISSING', 'this kernel has no nbd module (modprobe nbd failed)', {
      cause: error,
      hint: `load it (modprobe nbd; for a container, on its host), or ${OTHER_WAYS}`,
    });
  }
  if (!existsSync('/sys/module/nbd')) {
    throw new AppError('ERR_DRIVER_MISSING', 'modprobe nbd succeeded, but the kernel shows no nbd driver', {
      hint: OTHER_WAYS,
    });
  }
}

/** See `attachDevice`. */
export async function attachNbd(request: AttachRequest): Promise<Attachment> {
  await requireNbd();
  const kernel = await kernelNbd();
  const device = await (kernel === null ? connectFree(request) : connectByNetlink(kernel, request));
  const guard = guardNbd(device);
  try {
    await waitForSize(device, request.sizeBytes, request.signal);
    // Without udev and devtmpfs nobody makes the node.
    await ensureNode(device.name, sysAttribute(device.name, 'dev') ?? '', { signal: request.signal });
    await settlePartitions(device.name, { signal: request.signal });
    checkInterrupted(request.signal);
  } catch (error) {
    await disconnect(device);
    await guard.release();
    removeAttachRecord(request.runDir, request.exportName);
    throw error;
  }
  return attachment(device, guard, request);
}

/** The kernel chooses the device. Until that is known, the record names it by its identifier. */
async function connectByNetlink(kernel: KernelNbd, request: AttachRequest): Promise<NbdDevice> {
  const { runDir, exportName } = request;
  const backend = `lunctl-${randomUUID()}`;
  await record(request, { name: null, connectPid: null, backend });
  try {
    const name = `nbd${await kernel.connect(request, backend)}`;
    const connectPid = sysAttribute(name, 'pid');
    const shown = sysAttribute(name, 'backend');
    // Kernels before 5.14 know of no identifier.
    const isStranger = shown !== null && shown !== backend;
    if (connectPid === null || isStranger) throw dropped(name);
    const device = { name, connectPid, backend: shown };
    await record(request, device);
    return device;
  } catch (error) {
    const left = nbdDeviceOf(backend);
    if (left !== null) await disconnectNbd(left);
    removeAttachRecord(runDir, exportName);
    throw error;
  }
}

function dropped(name: string): AppError {
  return new AppError('ERR_HELPER', `/dev/${name} was connected, but the kernel has dropped it`);
}

/** Takes the first free device. Another program may take the same one in between: the kernel decides, and we go on. */
async function connectFree(request: AttachRequest): Promise<NbdDevice> {
  for (let index = 0; index < MAX_DEVICES; index++) {
    const name = `nbd${index}`;
    if (!isFree(name)) continue;
    await record(request, { name, connectPid: null, backend: null });
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
      await disconnect({ name, connectPid: client, backend: null });
      if (!isFree(name) && !request.signal?.aborted) continue;
      removeAttachRecord(request.runDir, request.exportName);
      throw error;
    }
    const connectPid = sysAttribute(name, 'pid');
    if (connectPid === null) {
      removeAttachRecord(request.runDir, request.exportName);
      throw dropped(name);
    }
    const device = { name, connectPid, backend: null };
    await record(request, device);
    return device;
  }
  throw new AppError('ERR_DRIVER_MISSING', `no free nbd device among ${MAX_DEVICES}`);
}

/** nbd-client 3.24. One connection goes without -timeout: the kernel would drop the device while a session recovers. */
export function connectArguments(request: Omit<AttachRequest, 'mode'>, path: string): string[] {
  const timeoutS = requestTimeoutS(request.connections ?? 1);
  return [
    ...['-unix', request.socketPath, path],
    ...['-N', request.exportName],
    ...['-b', String(request.blockSize)],
    ...['-C', String(request.connections ?? 1)],
    ...(timeoutS === 0 ? [] : ['-timeout', String(timeoutS)]),
    ...(request.readOnly ? ['-R'] : []),
  ];
}

async function waitForSize(device: NbdDevice, sizeBytes: number, signal?: AbortSignal): Promise<void> {
  const deadline = performance.now() + SIZE_MS;
  while (diskSize(device.name) !== sizeBytes) {
    if (performance.now() > deadline || !isOurs(device)) {
      const size = diskSize(device.name);
      throw new AppError('ERR_HELPER', `/dev/${device.name} shows ${size} bytes instead of ${sizeBytes}`);
    }
    await delay(POLL_MS, signal);
  }
}

function attachment(device: NbdDevice, guard: AttachGuard, request: AttachRequest): Attachment {
  const path = `/dev/${device.name}`;
  let detached = false;
  return {
    mode: 'nbd',
    path,
    partitions: () => partitionNodes(device.name),
    rescan: () => settlePartitions(device.name),
    async grow(sizeBytes) {
      if (diskSize(device.name) < sizeBytes) {
        await resize(device, sizeBytes);
        await waitForSize(device, sizeBytes);
      }
      return settlePartitions(device.name);
    },
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

/** Disconnects a device that is ours and waits until the kernel has let it go. */
async function disconnect(device: NbdDevice): Promise<void> {
  if (isOurs(device)) await disconnectNbd(device.name);
}

/** The kernel refuses another size for a device whose identifier is not ours; without one nothing is to be relied on. */
async function resize({ name, backend }: NbdDevice, sizeBytes: number): Promise<void> {
  const kernel = backend === null ? null : await kernelNbd();
  if (kernel === null || backend === null) throw new AppError('ERR_NOT_SUPPORTED', `/dev/${name} keeps its size`);
  await kernel.resize(nbdIndex(name), sizeBytes, backend);
}

async function record(
  { runDir, exportName }: AttachRequest,
  { name, connectPid, backend }: { [K in keyof NbdDevice]: NbdDevice[K] | null },
): Promise<void> {
  const path = name === null ? null : `/dev/${name}`;
  await writeAttachRecord(runDir, { mode: 'nbd', exportName, path, connectPid, backend, backingFile: null });
}
