// The BSD lock of a disk, which keeps udev and udisks from looking at it, and from making and removing nodes, while a program
// changes it: systemd.io/BLOCK_DEVICE_LOCKING. It is taken by flock(1), which then becomes that program.

/** What flock(1) ends with when somebody else keeps the lock; no program that it runs for us uses this status. */
export const LOCKED = 73;
/** udev holds the lock for as long as it looks at a disk. */
const LOCK_SECONDS = 30;

/** What stands in front of a command that shall hold the lock of the whole disk `path`. */
export function lockArguments(path: string): string[] {
  return ['flock', '--no-fork', '--timeout', String(LOCK_SECONDS), '--conflict-exit-code', String(LOCKED), path];
}
