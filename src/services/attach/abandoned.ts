// What disk commands without a device have made below the run folder, and what those of them that were killed have left.
import { rmSync } from 'node:fs';
import { messageOf } from '../../util/errors.js';
import { namesIn } from '../../util/names-in.js';
import { cleanedUp } from './cleaned-up.js';
import { removeLeftovers } from './leftovers.js';

/** Beside the sessions and not inside one, so that a killed command cannot be in the way of a logout. */
export function commandFolders(runDir: string): string {
  return `${runDir}/disk`;
}

/** By its name a folder tells which process it belongs to. */
export function commandFolder(
  runDir: string,
  { pid, startTime }: { readonly pid: number; readonly startTime: string },
) {
  return `${commandFolders(runDir)}/${pid}-${startTime}`;
}

/** Removes and names what belongs to processes that do not live. Never throws. */
export async function removeAbandoned(
  runDir: string,
  lives: (owner: { readonly pid: number; readonly startTime: string }) => boolean,
): Promise<void> {
  for (const name of namesIn(commandFolders(runDir))) {
    const [pid, startTime = ''] = name.split('-');
    if (!/^\d+-\d+$/.test(name) || lives({ pid: Number(pid), startTime })) continue;
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
