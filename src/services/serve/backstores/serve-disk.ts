// The disks of `serve FILE=SIZE …` as storage objects.
import { randomBytes } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { StorageObject } from '../../../saveconfig/model.js';
import { AppError } from '../../../util/errors.js';
import type { ServeDisk } from '../options.js';
import { pathSerial, presentFile } from './file.js';

/** The storage object of one argument; its file may not exist yet. @throws AppError that names the argument */
export async function storageObject(disk: ServeDisk, targetName: string): Promise<StorageObject> {
  const plain = { attributes: {}, alua_tpgs: [] };
  if (disk.kind === 'ramdisk') {
    const wwn = randomBytes(16).toString('hex');
    return { ...plain, plugin: 'ramdisk', name: disk.name, wwn, size: disk.sizeBytes };
  }
  const path = resolve(disk.path);
  const found = await presentFile(path);
  const real = found === null ? join(await realpath(dirname(path)).catch(() => dirname(path)), basename(path)) : null;
  const wwn = pathSerial(targetName, real ?? (await realpath(path)));
  const named = { ...plain, name: basename(path).replace(/\.(img|raw)$/, ''), wwn, dev: path };
  if (disk.kind === 'block') return { ...named, plugin: 'block', readonly: false, write_back: true };
  if (found === null && disk.sizeBytes === null) {
    throw new AppError('ERR_NOT_FOUND', `${disk.path} does not exist`, { hint: sizeHint(disk.path) });
  }
  if (found?.size === 0 && found.isFile()) {
    throw new AppError('ERR_USAGE', `${disk.path} is empty`, { hint: sizeHint(disk.path) });
  }
  if (found?.isFile() && disk.sizeBytes !== null && found.size !== disk.sizeBytes) {
    throw new AppError(
      'ERR_USAGE',
      `${disk.path} has ${found.size} bytes, not ${disk.sizeBytes}; it is left as it is`,
      {
        hint: `give ${disk.path} without a size, or grow it with truncate -s`,
      },
    );
  }
  return { ...named, plugin: 'fileio', size: disk.sizeBytes ?? 0, write_back: true };
}

function sizeHint(path: string): string {
  return `${path}=10G makes it`;
}
