// What many LUNs and partitions hold, read through the sessions' workers: so a LUN without a device is looked into like
// any other, no root is needed, and a target that does not answer holds up only its own disks.
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type Content, NO_CONTENT } from '../../disk/probe.js';
import { contentsOf } from '../../disk/probe-many.js';
import { checkInterrupted } from '../../disk/run.js';
import { sideBySide } from '../../util/side-by-side.js';
import { commandFolder, removeCommandFolder } from '../attach/abandoned.js';
import { LARGEST_HEAD, MOST_HEADS, readHeads } from '../session/control.js';
import type { DiskContext } from './access.js';

/** A whole LUN or a partition of it; bytes. */
export interface Leaf {
  readonly sid: number;
  readonly lun: number;
  readonly offset: number;
  readonly sizeBytes: number;
}

const SESSIONS_AT_ONCE = 8;
/** What every file system can make a sparse file of; nothing that is looked for depends on more. */
const LARGEST_FILE = 2 ** 42;

/** In the order of `leaves`; null where it cannot be read in time. */
export async function contentsOfLeaves(
  leaves: readonly Leaf[],
  context: DiskContext,
): Promise<readonly (Content | null)[]> {
  const found = new Array<Content | null>(leaves.length).fill(null);
  const indexes = leaves.map((_, i) => i);
  const bySession = [...new Set(leaves.map(({ sid }) => sid))].map((sid) =>
    indexes.filter((i) => leaves[i]?.sid === sid),
  );
  // By its name the next disk command knows whose it was, if this one is killed.
  const parent = commandFolder(context.paths.runDir);
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(`${parent}/look-`);
  try {
    const work = sideBySide(bySession, SESSIONS_AT_ONCE, async (mine) => {
      for (let at = 0; at < mine.length; at += MOST_HEADS) {
        const chunk = mine.slice(at, at + MOST_HEADS);
        const contents = await look(
          chunk.map((i) => leaves[i] as Leaf),
          folder,
          context,
        );
        for (const [k, i] of chunk.entries()) found[i] = contents[k] ?? null;
        // Its target does not answer, and would not the next time.
        if (contents.every((content) => content === null)) return;
      }
    });
    await Promise.allSettled(work);
    checkInterrupted(context.signal);
    return found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    removeCommandFolder(parent);
  }
}

/** Of one session. */
async function look(
  leaves: readonly Leaf[],
  folder: string,
  context: DiskContext,
): Promise<readonly (Content | null)[]> {
  const ranges = leaves.map(({ lun, offset, sizeBytes }) => ({
    lun,
    offset,
    length: Math.min(sizeBytes, LARGEST_HEAD),
  }));
  const heads = await readHeads(context.paths, leaves[0]?.sid ?? 0, ranges, context);
  const at = new Map<number, Content | null>();
  const files = leaves.flatMap(({ sid, lun, offset, sizeBytes }, i) => {
    const head = heads[i];
    if (head === null || head === undefined) return [];
    if (head.every((byte) => byte === 0)) {
      at.set(i, NO_CONTENT);
      return [];
    }
    const path = `${folder}/${sid}-${lun}-${offset}-${sizeBytes}`;
    writeFileSync(path, head, { mode: 0o600 });
    truncateSync(path, Math.min(sizeBytes, LARGEST_FILE));
    return [{ i, path }];
  });
  const contents = await contentsOf(
    files.map(({ path }) => path),
    context,
  );
  for (const [k, { i, path }] of files.entries()) {
    at.set(i, contents[k] ?? null);
    rmSync(path);
  }
  return leaves.map((_, i) => at.get(i) ?? null);
}
