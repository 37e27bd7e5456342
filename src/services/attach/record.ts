// What a worker has made of the system for one device, kept in the session's run folder: by it disk commands know the
// device again, and the next command cleans up after a worker that was killed.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import * as v from 'valibot';
import { namesIn } from '../../util/names-in.js';

const schema = v.object({
  mode: v.picklist(['nbd', 'fuse']),
  exportName: v.pipe(v.string(), v.regex(/^[a-zA-Z0-9_.-]{1,64}$/)),
  /** null until the device has been made. */
  path: v.nullable(v.pipe(v.string(), v.regex(/^\/dev\/(nbd|loop)[0-9]{1,6}$/))),
  /** nbd: the process that connected the device, as the kernel shows it in /sys/block/nbdN/pid. */
  connectPid: v.nullable(v.string()),
  /** nbd by netlink: what the kernel shows in /sys/block/nbdN/backend (Linux 5.14); it names the device even without a path. */
  backend: v.optional(v.nullable(v.string()), null),
  /** fuse: the file behind the loop device, by its path and by its device and inode. */
  backingFile: v.nullable(v.string()),
  backing: v.optional(v.nullable(v.string()), null),
});
export type AttachRecord = v.InferOutput<typeof schema>;

/** Files are 0600 in a folder that only the worker's user can enter. */
export async function writeAttachRecord(runDir: string, record: v.InferInput<typeof schema>): Promise<void> {
  const { default: writeFileAtomic } = await import('write-file-atomic');
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  // The devices do not outlive a crash of the machine, so the record need not either.
  await writeFileAtomic(recordPath(runDir, record.exportName), JSON.stringify(record), { mode: 0o600, fsync: false });
}

export function removeAttachRecord(runDir: string, exportName: string): void {
  rmSync(recordPath(runDir, exportName), { force: true });
}

/** All readable records of a session; none when the folder is not there. A damaged one is left out. */
export function readAttachRecords(runDir: string): AttachRecord[] {
  const records: AttachRecord[] = [];
  for (const name of namesIn(runDir)) {
    if (!/^attach-.*\.json$/.test(name)) continue;
    const record = parse(`${runDir}/${name}`);
    if (record !== null) records.push(record);
  }
  return records;
}

function parse(path: string): AttachRecord | null {
  try {
    const result = v.safeParse(schema, JSON.parse(readFileSync(path, 'utf8')));
    return result.success ? result.output : null;
  } catch {
    return null;
  }
}

function recordPath(runDir: string, exportName: string): string {
  return `${runDir}/attach-${exportName}.json`;
}
