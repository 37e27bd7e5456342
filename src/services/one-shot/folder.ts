// What a `lunctl nbd` keeps below the run folder, `n/<pid>`: its ISID, which no session may use beside it, the claim on
// its disk, and its socket. It all ends with the process.
import { readFileSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { namesIn } from '../../util/names-in.js';
import { checkTrustedFolder } from '../../util/trusted-folder.js';
import { type OwnerProcess, ourselves, ownerLives, processStartTime } from '../session/folder.js';

export interface OneShotFolder {
  readonly path: string;
  readonly socket: string;
}

interface Owner extends OwnerProcess {
  /** 12 hexadecimal digits. */
  readonly isid: string;
}

const DRAFT = '.new-';
const parentOf = (runDir: string): string => join(runDir, 'n');

/** Makes the folder of this process. It appears with its owner in it, so that nobody takes it for one that is left. */
export async function makeOneShotFolder(runDir: string, isid: string): Promise<OneShotFolder> {
  const path = join(parentOf(runDir), String(process.pid));
  const draft = join(parentOf(runDir), `${DRAFT}${process.pid}`);
  for (const old of [path, draft]) await rm(old, { recursive: true, force: true });
  await mkdir(draft, { recursive: true, mode: 0o700 });
  const owner: Owner = { ...ourselves(), isid };
  await writeFile(join(draft, 'owner.json'), JSON.stringify(owner), { mode: 0o600 });
  await rename(draft, path);
  return { path, socket: join(path, 'nbd.sock') };
}

/** The ISIDs in use by other calls that live. Under the lock of the run folder. */
export function oneShotIsids(runDir: string): string[] {
  return entriesOf(runDir).flatMap(({ owner }) => (owner === null ? [] : [owner.isid]));
}

/** Removes what calls that were killed have left. Returns the folders that it has removed. */
export async function removeDeadOneShots(runDir: string): Promise<string[]> {
  const dead = entriesOf(runDir).flatMap(({ path, owner }) => (owner === null ? [path] : []));
  const drafts = namesIn(parentOf(runDir)).flatMap((name) => {
    const pid = name.startsWith(DRAFT) ? Number(name.slice(DRAFT.length)) : null;
    return pid !== null && processStartTime(pid) === null ? [join(parentOf(runDir), name)] : [];
  });
  for (const path of [...dead, ...drafts]) await rm(path, { recursive: true, force: true });
  return dead;
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
