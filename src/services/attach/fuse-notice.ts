// What a person must know who has a disk attached through FUSE, once after each start of the machine.
import { closeSync, openSync } from 'node:fs';

const FUSE_NOTICE =
  'attached through FUSE and a loop device: when memory runs out, a mounted file system can stall with it; ' +
  'the kernel module (modprobe nbd, --attach nbd) is faster and safer';

/** The notice for whoever is the first to ask below this run folder, which the machine loses when it goes down; else null. */
export function fuseNotice(runDir: string): string | null {
  try {
    closeSync(openSync(`${runDir}/fuse-noticed`, 'wx', 0o600));
    return FUSE_NOTICE;
  } catch {
    return null;
  }
}
