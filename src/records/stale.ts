// What in the database is of no use any more: records that cannot be read or that their discovery no longer names, links
// to nothing, and empty folders. Only looked at here; see services/records/prune. Temporary files of killed writers go with the lock.
import { lstat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { AppError } from '../util/errors.js';
import { readSendTargets } from './discovery-store.js';
import { isMissing, namesIn } from './files.js';
import {
  checkNodeRef,
  DEFAULT_IFACE,
  linkName,
  type NodeRef,
  nodePath,
  parseLinkName,
  parsePortalName,
  sendTargetsFolder,
} from './node-ref.js';
import { discoveryOrigin, readNode } from './node-store.js';

export interface Stale {
  readonly kind: 'unreadable' | 'orphan' | 'link' | 'folder';
  /** Relative to the database. */
  readonly path: string;
  /** Why nothing needs it. */
  readonly reason: string;
  /** For records. */
  readonly ref: NodeRef | null;
}

/** Records that are of no use. @throws AppError ERR_ACCESS for what may not be read */
export async function staleRecords(root: string): Promise<Stale[]> {
  const stale: Stale[] = [];
  for (const ref of await everyRef(root)) {
    const path = relative(root, nodePath(root, ref));
    try {
      const read = await readNode(root, ref);
      const reason =
        read === undefined ? null : await orphanReason(root, read.record.ref, discoveryOrigin(read.record.values));
      if (read !== undefined && reason !== null) stale.push({ kind: 'orphan', path, reason, ref: read.record.ref });
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'ERR_DATABASE') throw error;
      // A folder or a pipe in the place of a record is somebody's riddle, not ours to remove.
      const file = await lstat(join(root, path)).catch(() => undefined);
      if (file?.isFile()) stale.push({ kind: 'unreadable', path, reason: error.message, ref });
    }
  }
  return stale;
}

/** Every path below nodes/ that a record may have. */
async function everyRef(root: string): Promise<NodeRef[]> {
  const refs: NodeRef[] = [];
  const add = (ref: NodeRef) => {
    try {
      refs.push(checkNodeRef(ref));
    } catch {
      // Not named like a record: a listing says so, and it stays.
    }
  };
  for (const targetName of await namesIn(join(root, 'nodes'))) {
    for (const name of await namesIn(join(root, 'nodes', targetName))) {
      const portal = parsePortalName(name);
      if (portal === undefined) continue;
      const { address, port, tpgt } = portal;
      if (tpgt === undefined) add({ targetName, address, port, tpgt: -1, iface: DEFAULT_IFACE });
      else
        for (const iface of await namesIn(join(root, 'nodes', targetName, name)))
          add({ targetName, address, port, tpgt, iface });
    }
  }
  return refs;
}

async function orphanReason(
  root: string,
  ref: NodeRef,
  origin: { readonly address: string; readonly port: number } | undefined,
): Promise<string | null> {
  // A record without a tag has no link; one that was made by hand belongs to nobody but who made it.
  if (origin === undefined || ref.tpgt === -1) return null;
  const name = `${origin.address},${origin.port}`;
  if ((await readSendTargets(root, origin).catch(() => null)) === undefined)
    return `found through ${name}, which is no longer asked`;
  const link = await lstat(join(sendTargetsFolder(root, origin), linkName(ref))).catch(() => undefined);
  return link === undefined ? `found through ${name}, which no longer names it` : null;
}

/** Links whose record is gone, and folders with nothing in them. `gone`: records that count as gone, by `linkName`. */
export async function staleLeftovers(root: string, gone: ReadonlySet<string> = new Set()): Promise<Stale[]> {
  const stale: Stale[] = [];
  for (const folder of await linkFolders(root)) {
    for (const name of await namesIn(join(root, folder))) {
      const ref = parseLinkName(name);
      if (ref === undefined || (!gone.has(name) && (await exists(nodePath(root, ref))))) continue;
      stale.push({ kind: 'link', path: join(folder, name), reason: 'its record is gone', ref: null });
    }
  }
  return [...stale, ...(await emptyFolders(root))];
}

async function linkFolders(root: string): Promise<string[]> {
  const below = async (kind: string) => (await namesIn(join(root, kind))).map((name) => join(kind, name));
  return ['static', 'fw', ...(await below('send_targets')), ...(await below('isns'))];
}

async function emptyFolders(root: string): Promise<Stale[]> {
  const empty: Stale[] = [];
  for (const target of await namesIn(join(root, 'nodes'))) {
    const inside = await namesIn(join(root, 'nodes', target));
    const paths = inside.length === 0 ? [join('nodes', target)] : inside.map((name) => join('nodes', target, name));
    for (const path of paths) {
      if (await isEmptyFolder(join(root, path)))
        empty.push({ kind: 'folder', path, reason: 'nothing is in it', ref: null });
    }
  }
  return empty;
}

async function isEmptyFolder(path: string): Promise<boolean> {
  const info = await lstat(path).catch(() => undefined);
  return info?.isDirectory() === true && (await namesIn(path)).length === 0;
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    return !isMissing(error);
  }
}
