// Whether a LUN is one more way to a disk that is written to already: then no second device is made, since two caches
// that do not know of each other destroy a file system. SPC-4 §7.8.5, RFC 7143 §4.2.7.1.
import { join } from 'node:path';
import type { LunInfo } from '../../initiator/probe.js';
import { withDatabaseLock } from '../../records/lock.js';
import { messageOf } from '../../util/errors.js';
import { diskUsers } from './control.js';
import { type DiskClaim, type LivingClaim, readClaims } from './disk-claims.js';
import type { SessionInfo } from './info.js';
import { listSessions, type SessionList } from './registry.js';

/** A LUN of session `sid` in search of others like it. */
export interface Candidate {
  readonly sid: number;
  readonly targetName: string;
  readonly info: Pick<LunInfo, 'lun' | 'designator' | 'worldwide'>;
}

/** What is known of another LUN. */
type Known = Pick<DiskClaim, 'targetName' | 'lun' | 'designator'>;

/**
 * Whether both are one disk. Names tell that if nobody else may give them; others (tgt's, istgt's) only within one
 * target, whose name is worldwide, and at one LUN.
 */
export function isSameDisk({ targetName, info }: Candidate, other: Known): boolean {
  const { lun, designator, worldwide } = info;
  if (other.designator !== designator) return false;
  return (worldwide && designator !== '') || (other.targetName === targetName && other.lun === lun);
}

/** Why the candidate may not be written to, in one line, or null. */
export function secondPath(candidate: Candidate, claims: readonly LivingClaim[]): string | null {
  const { sid, info } = candidate;
  const other = claims.find((claim) => isSameDisk(candidate, claim) && !(claim.sid === sid && claim.lun === info.lun));
  return other === undefined ? null : `second path to a disk that is ${other.use}`;
}

/**
 * Writes the claim on a disk unless it is written to by another path; why it is, in words, or null. `claim` may have been
 * called all the same. `shared`: nobody is asked. @throws AppError ERR_DATABASE if others are at it for 30 s
 */
export async function claimDisk(
  runDir: string,
  candidate: Candidate,
  { shared, signal }: { readonly shared: boolean; readonly signal?: AbortSignal | undefined },
  claim: () => void,
): Promise<string | null> {
  const second = await whileComparing(runDir, signal, () => {
    // As the files say at this very moment: under the lock nothing older counts.
    const other = shared ? null : secondPath(candidate, readClaims(runDir));
    if (other === null) claim();
    return other;
  });
  return second ?? (shared ? null : usersElsewhere(runDir, candidate));
}

/** One comparison of paths, with what follows from it, at a time on this host. */
function whileComparing<T>(runDir: string, signal: AbortSignal | undefined, work: () => T): Promise<T> {
  const options = { linkDir: null, signal: signal ?? new AbortController().signal };
  return withDatabaseLock(join(runDir, 'compare'), options, async () => work());
}

/**
 * The NBD clients and disk commands that write to the same disk through other sessions, in words, or null.
 * To be asked once the disk is claimed: from then on no new one can.
 */
async function usersElsewhere(runDir: string, candidate: Candidate): Promise<string | null> {
  const list = await listSessions({ runDir });
  for (const session of list.sessions) {
    if (session.sid === candidate.sid) continue;
    for (const { lun } of sameDisks(candidate, session)) {
      const user = await usersOf(runDir, session.sid, lun);
      if (user !== null) return user;
    }
  }
  return silentRival(candidate, list);
}

function sameDisks(candidate: Candidate, { targetName, devices }: SessionInfo): SessionInfo['devices'] {
  return devices.filter(({ lun, designator }) => isSameDisk(candidate, { targetName, lun, designator }));
}

async function usersOf(runDir: string, sid: number, lun: number): Promise<string | null> {
  try {
    const { writers, commands } = await diskUsers({ runDir }, sid, { lun, partition: null });
    if (writers > 0) return `${writers} NBD clients of session ${sid} may write to the same disk`;
    return commands ? `a disk command works on the same disk in session ${sid}` : null;
  } catch (error) {
    return `session ${sid} has the same disk and does not say who uses it: ${messageOf(error)}`;
  }
}

/** A session to the same target that is up but does not answer may have clients that write. */
function silentRival({ sid, targetName }: Candidate, { silent }: SessionList): string | null {
  const other = silent.find(
    ({ sid: number, state }) => number !== sid && state.phase === 'ready' && state.targetName === targetName,
  );
  return other === undefined ? null : `session ${other.sid} to the same target does not answer and may have clients`;
}
