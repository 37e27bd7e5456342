// The mount tables that this process does not see: those of other mount namespaces (containers, services with private mounts),
// as far as the processes in them may be looked into.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface MountTable {
  /** A process that sees it. */
  readonly pid: number;
  /** As in proc_pid_mountinfo(5). */
  readonly text: string;
}

/** One for every other mount namespace in which a process runs; one that nothing runs in stays unseen. */
export function otherMountTables(): MountTable[] {
  const seen = new Set([namespaceOf('self')]);
  const found: MountTable[] = [];
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const namespace = namespaceOf(pid);
    if (namespace === null || seen.has(namespace)) continue;
    const text = tableOf(pid);
    if (text === null) continue;
    seen.add(namespace);
    found.push({ pid: Number(pid), text });
  }
  return found;
}

function namespaceOf(pid: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return null;
  }
}

/** Null for a process that has just ended: another one may be in the same namespace. */
function tableOf(pid: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
  } catch {
    return null;
  }
}
