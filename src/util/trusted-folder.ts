// Whether a folder can be trusted to hold what decides over processes and devices: nobody but this user and root may be
// able to put anything in its place.
import { lstatSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { AppError, messageOf } from './errors.js';
import { userId } from './user.js';

const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/**
 * Throws ERR_ACCESS if another user owns `path` or anything on the way to it, or may write there (a sticky folder like
 * /tmp is no harm above what is ours). What does not exist yet is passed over. `path` must be absolute.
 */
export function checkTrustedFolder(path: string): void {
  const us = userId();
  for (const step of [...stepsTo(path), ...stepsTo(realPath(path))]) {
    const found = lstatSync(step, { throwIfNoEntry: false });
    if (found === undefined) continue;
    if (found.uid !== us && found.uid !== 0) throw distrust(path, `${step} belongs to user ${found.uid}`);
    const open = !found.isSymbolicLink() && (found.mode & WRITABLE_BY_OTHERS) !== 0 && (found.mode & STICKY) === 0;
    if (open) throw distrust(path, `other users may write to ${step}`);
  }
}

/** `path` and every folder above it. */
function stepsTo(path: string): string[] {
  const above = dirname(path);
  return above === path ? [path] : [...stepsTo(above), path];
}

/** Where symbolic links lead to; `path` itself where there is nothing yet. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return path;
    throw distrust(path, messageOf(error));
  }
}

function distrust(path: string, why: string): AppError {
  return new AppError('ERR_ACCESS', `will not use folder ${path}: ${why}`, {
    hint: 'use a folder that only you can write to',
  });
}
