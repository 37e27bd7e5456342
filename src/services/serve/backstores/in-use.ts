// Whether somebody else has a file or device: the kernel's own target, or a loop device.
import type { BigIntStats } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../../util/errors.js';

/** Where the kernel's own target lists what it serves. */
const LIO_CORE = '/sys/kernel/config/target/core';
const BLOCK_DEVICES = '/sys/block';

/**
 * Refuses what the kernel's target serves already: a second server must not write it. It holds block devices exclusively,
 * but not files. @throws AppError ERR_BUSY
 */
export async function refuseKernelTarget(path: string, core = LIO_CORE): Promise<void> {
  const own = await stat(path, { bigint: true });
  for (const adapter of await names(core)) {
    for (const name of await names(join(core, adapter))) {
      if (!(await isSame(own, await text(join(core, adapter, name, 'udev_path'))))) continue;
      throw new AppError('ERR_BUSY', `${path} is backstore ${name} of the kernel's target`, {
        hint: 'remove it there with targetcli first',
      });
    }
  }
}

/** Refuses a file that is behind a loop device: what is mounted there would change under its file system. @throws AppError ERR_BUSY */
export async function refuseLoop(path: string): Promise<void> {
  const own = await stat(path, { bigint: true });
  for (const device of await names(BLOCK_DEVICES)) {
    if (!device.startsWith('loop')) continue;
    if (!(await isSame(own, await text(join(BLOCK_DEVICES, device, 'loop/backing_file'))))) continue;
    throw new AppError('ERR_BUSY', `${path} is in use as /dev/${device}`, {
      hint: `losetup -d /dev/${device} lets it go`,
    });
  }
}

function names(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}
async function text(file: string): Promise<string> {
  return (await readFile(file, 'utf8').catch(() => '')).trim();
}
/** The same file, or the same device under whatever name. */
async function isSame(own: BigIntStats, path: string): Promise<boolean> {
  if (path === '') return false;
  const other = await stat(path, { bigint: true }).catch(() => null);
  if (other === null) return false;
  if (own.isBlockDevice() && other.isBlockDevice()) return own.rdev === other.rdev;
  return own.dev === other.dev && own.ino === other.ino;
}
