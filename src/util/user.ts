// Who runs this process.

/** The user id of this process; 0 where the system has none. */
import { readFileSync } from 'node:fs';

export function userId(): number {
  return process.getuid?.() ?? 0;
}

/** Whether this process may use kernel devices, mounts and the system's folders. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** CAP_SYS_RESOURCE, which ext4 wants of who resizes it while it is mounted; root of a container may lack it. */
export const CAP_SYS_RESOURCE = 24;

/** Whether this process has one of capabilities(7) now, by its number. */
export function hasCapability(number: number): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> BigInt(number)) & 1n) === 1n;
}
