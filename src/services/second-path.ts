// Whether a LUN is one more way to a disk that a device has been made of already: then no second device is made, since
// two caches that do not know of each other destroy a file system. SPC-4 §7.8.5, RFC 7143 §4.2.7.1.
import type { LunInfo } from '../initiator/probe.js';
import type { SessionInfo } from './session-info.js';
import { listSessions, type SilentSession } from './session-registry.js';

/** A disk that a session, maybe our own, has made a device of. */
export interface AttachedDisk {
  readonly targetName: string;
  readonly lun: number;
  readonly designator: string;
  readonly path: string;
}

/** A LUN in search of others like it. */
export interface Candidate {
  readonly targetName: string;
  readonly info: Pick<LunInfo, 'lun' | 'designator' | 'worldwide'>;
}

/**
 * The device that the same disk is attached as, or undefined. Names tell that two disks are one if nobody else may give
 * them; others (tgt's, istgt's) only within one target, whose name is worldwide, and at one LUN.
 */
export function otherPath({ targetName, info }: Candidate, disks: readonly AttachedDisk[]): string | undefined {
  const { lun, designator, worldwide } = info;
  return disks.find((disk) => {
    if (disk.designator !== designator) return false;
    return (worldwide && designator !== '') || (disk.targetName === targetName && disk.lun === lun);
  })?.path;
}

export interface Surroundings {
  readonly disks: readonly AttachedDisk[];
  /** Sessions that could not be asked. */
  readonly silent: readonly SilentSession[];
}

/** What the sessions below `runDir`, but for `sid`, have attached. */
export async function attachedElsewhere(runDir: string, sid: number): Promise<Surroundings> {
  const { sessions, silent } = await listSessions({ runDir });
  return {
    disks: sessions.filter((session) => session.sid !== sid).flatMap(attachedBy),
    silent: silent.filter((session) => session.sid !== sid),
  };
}

function attachedBy({ targetName, devices }: SessionInfo): AttachedDisk[] {
  return devices.flatMap(({ lun, designator, path }) => (path === null ? [] : [{ targetName, lun, designator, path }]));
}

/**
 * The session to the same target that does not answer and may have attached its LUNs, or be about to; of two logins at
 * the same time the earlier one (lower number) goes first.
 */
export function unknownRival(
  { targetName, sid }: { readonly targetName: string; readonly sid: number },
  silent: readonly SilentSession[],
): SilentSession | undefined {
  return silent.find(
    ({ state, sid: other }) => state.targetName === targetName && (state.phase === 'ready' || other < sid),
  );
}
