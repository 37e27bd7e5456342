// Who runs this process.

/** The user id of this process; 0 where the system has none. */
export function userId(): number {
  return process.getuid?.() ?? 0;
}

/** Whether this process may use kernel devices, mounts and the system's folders. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}
