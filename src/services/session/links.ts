// Names for devices that stay the same: by-path/ip-ADDRESS:PORT-iscsi-TARGET-lun-N[-partM] in the run folder, as udev has
// them for the kernel's initiator, and for root in udev's own folder too. A kernel name like nbd0 belongs to whoever comes
// first.
import { mkdir, readdir, readlink, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { diskSize } from '../../disk/sysfs.js';
import { isMissing } from '../../records/files.js';
import { isRoot } from '../../util/user.js';
import type { Portal } from './info.js';

/** udev's folder of links by path. Where /dev/disk is missing nobody looks there, and nothing is made. */
const UDEV_FOLDER = '/dev/disk/by-path';

/** Which session the names belong to. */
export interface LinkOwner {
  readonly targetName: string;
  readonly portal: Pick<Portal, 'address' | 'port'>;
}

/** The folder of all links. */
export function linkFolder(runDir: string): string {
  return join(runDir, 'by-path');
}

/** The link's name for a LUN, or for one of its partitions. */
export function linkName(owner: LinkOwner, lun: number, partition?: number): string {
  return `${prefix(owner)}${lun}${partition === undefined ? '' : `-part${partition}`}`;
}

/**
 * Makes the links of one LUN those of `device` and its partitions' nodes (`/dev/nbd0p1`), and of nothing else. In udev's
 * folder a name that leads to another living device, or is no link, stays what it is.
 */
export async function putLinks(
  runDir: string,
  owner: LinkOwner,
  lun: number,
  { device, partitions }: { readonly device: string; readonly partitions: readonly string[] },
  udevFolder = UDEV_FOLDER,
): Promise<void> {
  const folder = linkFolder(runDir);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const links = new Map([[linkName(owner, lun), device]]);
  for (const node of partitions) {
    const number = /p(\d+)$/.exec(node)?.[1];
    if (number !== undefined) links.set(linkName(owner, lun, Number(number)), node);
  }
  await dropLinks(runDir, owner, lun, udevFolder);
  for (const [name, to] of links) await put(folder, name, to);
  if (!isRoot()) return;
  await mkdir(udevFolder).catch(() => {});
  for (const [name, to] of links) {
    // A folder that is not there or cannot be written to is no reason to do without the device.
    if (await isVacant(join(udevFolder, name))) await put(udevFolder, name, to).catch(() => {});
  }
}

/** Removes the links of one LUN, or of the whole session. */
export async function dropLinks(
  runDir: string,
  owner: LinkOwner,
  lun?: number,
  udevFolder = UDEV_FOLDER,
): Promise<void> {
  const folder = linkFolder(runDir);
  const start = prefix(owner);
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(start)) continue;
    const found = /^(\d+)(-part\d+)?$/.exec(name.slice(start.length));
    if (found === null || (lun !== undefined && Number(found[1]) !== lun)) continue;
    // Ours is the one that leads where the link in the run folder does, which goes last: a killed process may come back to it.
    const to = await target(join(folder, name));
    const twin = join(udevFolder, name);
    if (isRoot() && to !== null && (await target(twin)) === to) await rm(twin, { force: true }).catch(() => {});
    await rm(join(folder, name), { force: true });
  }
}

async function put(folder: string, name: string, to: string): Promise<void> {
  const fresh = join(folder, `.new-${process.pid}`);
  await rm(fresh, { force: true });
  await symlink(to, fresh);
  await rename(fresh, join(folder, name));
}

/** Nothing is there, or a link to a device that is gone or has no medium: nbd0 stays as a node when it is disconnected. */
async function isVacant(path: string): Promise<boolean> {
  const to = await target(path);
  const name = /^\/dev\/((nbd|loop)\d+)$/.exec(to ?? '')?.[1];
  if (name !== undefined) return diskSize(name) === 0;
  return stat(path).then(() => false, isMissing);
}

/** Where a link leads by its own text; null if it is no link. */
async function target(path: string): Promise<string | null> {
  try {
    return resolve(dirname(path), await readlink(path));
  } catch {
    return null;
  }
}

/** A portal that was given as something else than an address must not lead out of the folder. */
function prefix({ targetName, portal }: LinkOwner): string {
  return `ip-${portal.address}:${portal.port}-iscsi-${targetName}-lun-`.replace(/[/\0]/g, '_');
}
