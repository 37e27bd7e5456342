// What a `lunctl nbd` keeps below the run folder, `n/<pid>`: its ISID, which no session may use beside it, the claim on
// its disk, and its socket. It all ends with the process.
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkTrustedFolder } from '../../util/trusted-folder.js';
import { type OwnerProcess, ourselves, ownerLives } from '../session/folder.js';

export interface OneShotFolder {
  readonly path: string;
  readonly socket: string;
}

interface Owner extends OwnerProcess {
  /** 12 hexadecimal digits. */
  readonly isid: string;
}

const parentOf = (runDir: string): string => join(runDir, 'n');

/** Makes the folder of this process. To be called under the lock of the run folder. */
export async function makeOneShotFolder(runDir: string, isid: string): Promise<OneShotFolder> {
  const path = join(parentOf(runDir), String(process.pid));
  await mkdir(path, { recursive: true, mode: 0o700 });
  const owner: Owner = { ...ourselves(), isid };
  await writeFile(join(path, 'owner.json'), JSON.stringify(owner), { mode: 0o600 });
  return { path, socket: join(path, 'nbd.sock') };
}

/** The ISIDs in use by other calls that live. Under the lock of the run folder. */
export function oneShotIsids(runDir: string): string[] {
  return entriesOf(runDir).flatMap(({ owner }) => (owner === null ? [] : [owner.isid]));
}

/** Removes what calls that were killed have left. Under the lock of the run folder: none is being made. */
export async function removeDeadOneShots(runDir: string): Promise<void> {
  for (const { path, owner } of entriesOf(runDir)) if (owner === null) await rm(path, { recursive: true, force: true });
}

/** Each folder, with its owner if that one lives. */
function entriesOf(runDir: string): { path: string; owner: Owner | null }[] {
  const parent = parentOf(runDir);
  const names = namesIn(parent).filter((name) => /^\d+$/.test(name));
  if (names.length > 0) checkTrustedFolder(parent);
  return names.map((name) => ({ path: join(parent, name), owner: readOwner(join(parent, name, 'owner.json')) }));
}

function readOwner(path: string): Owner | null {
  try {
    const { pid, startTime, isid } = JSON.parse(readFileSync(path, 'utf8')) as Owner;
    return ownerLives({ pid, startTime }) ? { pid, startTime, isid } : null;
  } catch {
    return null;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
