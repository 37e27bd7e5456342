// A link by which scripts find lunctl-iscsiadm under the name of open-iscsi's own program: made when asked for, never else.
import { lstatSync, readlinkSync, statSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { AppError, messageOf } from '../util/errors.js';

const NAME = 'iscsiadm';

export interface ShimLink {
  /** The link, absolute. */
  readonly path: string;
  /** False: it was there already. */
  readonly changed: boolean;
}

/**
 * Makes `folder`/iscsiadm a link to `program`, an absolute path. With `dryRun` it only says what it would do.
 * @throws AppError ERR_REFUSED for anything else of that name, ERR_USAGE for what is no folder, ERR_ACCESS
 */
export function installShim(program: string, folder: string, { dryRun = false } = {}): ShimLink {
  const path = join(resolve(folder), NAME);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new AppError('ERR_USAGE', `${folder} is not a folder`);
  }
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSymbolicLink() && readlinkSync(path) === program) return { path, changed: false };
  if (found !== undefined) {
    throw new AppError('ERR_REFUSED', `${path} exists and is not ours`, {
      hint: 'name a folder that comes earlier in PATH, such as /usr/local/sbin',
    });
  }
  if (!dryRun) link(program, path);
  return { path, changed: true };
}

function link(program: string, path: string): void {
  try {
    symlinkSync(program, path);
  } catch (cause) {
    throw new AppError('ERR_ACCESS', `cannot make ${path}: ${messageOf(cause)}`, { cause });
  }
}
