// Who writes to which disk, across sessions: a file for each device node and each disk command in its session's folder.
// It stands there before the first write and names the process that it ends with, so nobody has to be asked.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { namesIn } from '../../util/names-in.js';
import { type OwnerProcess, ownerLives } from './folder.js';

/** A disk that is written to by one path, and by what. */
export interface DiskClaim {
  readonly targetName: string;
  readonly lun: number;
  readonly designator: string;
  /** In words: `attached as /dev/nbd0`. */
  readonly use: string;
}

/** A claim as it is found. */
export interface LivingClaim extends DiskClaim {
  /** 0 for a claim outside of sessions. */
  readonly sid: number;
}

/** What names a claim within its session: the LUN alone for a device, with the number of the hold for a command. */
export function claimName(lun: number, hold?: number): string {
  return hold === undefined ? `claim-${lun}.json` : `claim-${lun}-${hold}.json`;
}

/** Makes a claim in a session's folder, or replaces it; it ends with `owner`. It appears whole. */
export function writeClaim(folder: string, name: string, claim: DiskClaim, owner: OwnerProcess): void {
  const draft = join(folder, `.${name}`);
  writeFileSync(draft, JSON.stringify({ ...claim, pid: owner.pid, startTime: owner.startTime }), { mode: 0o600 });
  renameSync(draft, join(folder, name));
}

export function dropClaim(folder: string, name: string): void {
  rmSync(join(folder, name), { force: true });
}

/** Every claim of a living process below `runDir`: of sessions, and of `lunctl nbd`, which has no session number. */
export function readClaims(runDir: string): LivingClaim[] {
  const ofSessions = claimsBelow(join(runDir, 's'), Number);
  return [...ofSessions, ...claimsBelow(join(runDir, 'n'), () => 0)];
}

function claimsBelow(parent: string, sidOf: (folder: string) => number): LivingClaim[] {
  const folders = namesIn(parent).filter((name) => /^\d+$/.test(name));
  return folders.flatMap((folder) => {
    const names = namesIn(join(parent, folder)).filter((name) => /^claim-\d+(-\d+)?\.json$/.test(name));
    return names.flatMap((name) => readClaim(sidOf(folder), join(parent, folder, name)) ?? []);
  });
}

/** Null where it has just been dropped, or its process has ended. */
function readClaim(sid: number, path: string): LivingClaim | null {
  try {
    const { pid, startTime, targetName, lun, designator, use } = JSON.parse(readFileSync(path, 'utf8'));
    return ownerLives({ pid, startTime }) ? { sid, targetName, lun, designator, use } : null;
  } catch {
    return null;
  }
}
