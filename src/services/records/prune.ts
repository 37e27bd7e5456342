// Takes what is of no use out of the database, see records/stale.
import { dirname, join } from 'node:path';
import { removeFile, removeFolder } from '../../records/files.js';
import { linkName } from '../../records/node-ref.js';
import { deleteNode, readNode } from '../../records/node-store.js';
import { type Stale, staleLeftovers, staleRecords } from '../../records/stale.js';
import type { DeleteOptions } from './edit-nodes.js';
import { type DatabasePaths, editing } from './locked.js';

export interface Pruned {
  /** What was removed, or would be. */
  readonly removed: readonly Stale[];
  /** Records that would go, but that a session uses. */
  readonly kept: readonly Stale[];
}

/** @throws AppError ERR_ACCESS, ERR_DATABASE */
export async function pruneRecords(
  paths: DatabasePaths,
  { inUse, dryRun }: DeleteOptions,
  signal: AbortSignal,
): Promise<Pruned> {
  const root = paths.dbDir;
  return await editing(paths, signal, { dryRun }, async () => {
    const records = await staleRecords(root);
    const kept = records.filter(({ ref }) => ref !== null && inUse(ref));
    const going = records.filter((one) => !kept.includes(one));
    // The links to the records that go, go with them.
    const gone = new Set(going.flatMap(({ ref }) => (ref === null ? [] : linkName(ref))));
    const removed = [...going, ...(await staleLeftovers(root, gone))];
    if (!dryRun) for (const one of removed) await remove(root, one);
    return { removed, kept };
  });
}

async function remove(root: string, { kind, path, ref }: Stale): Promise<void> {
  const read = kind === 'orphan' && ref !== null ? await readNode(root, ref) : undefined;
  if (read !== undefined) return await deleteNode(root, read.record);
  if (kind === 'folder') await removeFolder(join(root, path));
  else await removeFile(join(root, path));
  if (kind === 'unreadable' || kind === 'folder') await removeEmptyAbove(root, path);
}

/** The folders of a portal and of a target, if nothing is in them any more. */
async function removeEmptyAbove(root: string, path: string): Promise<void> {
  for (let folder = dirname(path); folder !== 'nodes' && folder !== '.'; folder = dirname(folder)) {
    if (!(await removeFolder(join(root, folder)))) return;
  }
}
