// What disk commands without a device have made below the run folder, and what those of them that were killed have left.
import { rmdirSync, rmSync } from 'node:fs';
import { messageOf } from '../../util/errors.js';
import { namesIn } from '../../util/names-in.js';
import { ourselves, ownerLives } from '../session/folder.js';
import { cleanedUp } from './cleaned-up.js';
import { removeLeftovers } from './leftovers.js';

/** Beside the sessions and not inside one, so that a killed command cannot be in the way of a logout. */
function commandFolders(runDir: string): string {
  return `${runDir}/disk`;
}

/** Of this process. By its name the folder tells which process it belongs to. */
export function commandFolder(runDir: string): string {
  const { pid, startTime } = ourselves();
  return `${commandFolders(runDir)}/${pid}-${startTime}`;
}

/** Not with what is in it: that would be something else of this process, perhaps a mount. */
export function removeCommandFolder(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOTEMPTY')) throw error;
  }
}

/** Removes and names what belongs to processes that do not live. Never throws. */
export async function removeAbandoned(runDir: string): Promise<void> {
  for (const name of namesIn(commandFolders(runDir))) {
    const [pid, startTime = ''] = name.split('-');
    if (!/^\d+-\d+$/.test(name) || ownerLives({ pid: Number(pid), startTime })) continue;
    const folder = `${commandFolders(runDir)}/${name}`;
    const removed = await removeLeftovers(folder).catch((error: unknown) => [`left: ${messageOf(error)}`]);
    cleanedUp(`disk command ${pid}`, [...removed, ...removeFolder(folder)]);
  }
}

/** Another command may be at it too. */
function removeFolder(folder: string): string[] {
  try {
    rmSync(folder, { recursive: true });
    return [`removed ${folder}`];
  } catch {
    return [];
  }
}
