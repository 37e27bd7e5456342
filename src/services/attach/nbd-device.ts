// A connected device of the kernel's NBD client: what tells it from another one of the same name, and its end.
import { readdirSync } from 'node:fs';
import { removeStaleNodes } from '../../disk/nodes.js';
import { hasTool, missingTool, runTool } from '../../disk/run.js';
import { diskSize, kernelPartitions, sysAttribute } from '../../disk/sysfs.js';
import { delay } from '../../transport/timers.js';
import { AppError } from '../../util/errors.js';
import { kernelNbd } from './kernel-nbd.js';

const DISCONNECT_MS = 15_000;
const RELEASE_MS = 5000;
const POLL_MS = 10;

export interface NbdDevice {
  /** `nbd0` */
  readonly name: string;
  /** The process or thread that connected it, as in /sys/block/nbd0/pid. */
  readonly connectPid: string;
  /** What it was given in /sys/block/nbd0/backend; null if it was connected without (the file is empty), or Linux is < 5.14. */
  readonly backend: string | null;
}

/** Whether the kernel's device is still the one that was connected then: names are reused. */
export function isOurs({ name, connectPid, backend }: NbdDevice): boolean {
  return sysAttribute(name, 'pid') === connectPid && (backend === null || sysAttribute(name, 'backend') === backend);
}

/** The connected device with that identifier, `nbd0`, or null. */
export function nbdDeviceOf(backend: string): string | null {
  const names = readdirSync('/sys/block').filter((name) => /^nbd\d+$/.test(name));
  return names.find((name) => sysAttribute(name, 'backend') === backend) ?? null;
}

/** A device that does not exist yet is free too: the kernel makes it on request. */
export function isFree(name: string): boolean {
  return sysAttribute(name, 'pid') === null && diskSize(name) === 0;
}

/** `0` for `nbd0`. */
export function nbdIndex(name: string): number {
  return Number(name.slice('nbd'.length));
}

/**
 * Disconnects a device, by netlink or else nbd-client, and waits until the kernel has let it go. Whose it is has been
 * checked by the caller. `between` takes away what still holds the device: it may wait for requests that only the
 * disconnection ends.
 */
export async function disconnectNbd(name: string, between = async (): Promise<void> => {}): Promise<void> {
  const nodes = kernelPartitions(name).map((partition) => `/dev/${partition.name}`);
  const kernel = await kernelNbd();
  if (kernel !== null) await kernel.disconnect(nbdIndex(name));
  else await runTool('nbd-client', ['-d', `/dev/${name}`], { timeoutMs: DISCONNECT_MS });
  await between();
  const deadline = performance.now() + RELEASE_MS;
  while (sysAttribute(name, 'pid') !== null && performance.now() < deadline) await delay(POLL_MS);
  removeStaleNodes(name, nodes);
}

/** Throws ERR_DRIVER_MISSING without both ways to the kernel's client. */
export async function requireWay(): Promise<void> {
  if (hasTool('nbd-client') || (await kernelNbd()) !== null) return;
  const { message, hint } = missingTool('nbd-client');
  throw new AppError('ERR_DRIVER_MISSING', `${message}, and the optional npm package koffi does not work here`, {
    ...(hint && { hint }),
  });
}
