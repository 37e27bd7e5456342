// Names for devices that stay the same: by-path/ip-ADDRESS:PORT-iscsi-TARGET-lun-N[-partM] in the run folder, as udev has
// them for the kernel's initiator. A kernel name like nbd0 belongs to whoever comes first.
import { mkdir, readdir, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Portal } from './info.js';

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

/** Makes the links of one LUN those of `device` and its partitions' nodes (`/dev/nbd0p1`), and of nothing else. */
export async function putLinks(
  runDir: string,
  owner: LinkOwner,
  lun: number,
  { device, partitions }: { readonly device: string; readonly partitions: readonly string[] },
): Promise<void> {
  const folder = linkFolder(runDir);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await dropLinks(runDir, owner, lun);
  await put(folder, linkName(owner, lun), device);
  for (const node of partitions) {
    const number = /p(\d+)$/.exec(node)?.[1];
    if (number !== undefined) await put(folder, linkName(owner, lun, Number(number)), node);
  }
}

/** Removes the links of one LUN, or of the whole session. */
export async function dropLinks(runDir: string, owner: LinkOwner, lun?: number): Promise<void> {
  const folder = linkFolder(runDir);
  const start = prefix(owner);
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(start)) continue;
    const found = /^(\d+)(-part\d+)?$/.exec(name.slice(start.length));
    if (found !== null && (lun === undefined || Number(found[1]) === lun))
      await rm(join(folder, name), { force: true });
  }
}

async function put(folder: string, name: string, to: string): Promise<void> {
  const fresh = join(folder, `.new-${process.pid}`);
  await rm(fresh, { force: true });
  await symlink(to, fresh);
  await rename(fresh, join(folder, name));
}

/** A portal that was given as something else than an address must not lead out of the folder. */
function prefix({ targetName, portal }: LinkOwner): string {
  return `ip-${portal.address}:${portal.port}-iscsi-${targetName}-lun-`.replace(/[/\0]/g, '_');
}
