// The initiator's port name, ISID (RFC 7143 §4.4.3): the same for the same path after every restart, never shared by two.
import { createHash } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeIsid, randomIsidPart } from '../../iscsi/isid.js';
import type { Paths } from '../paths.js';
import type { LoginRequest } from './info.js';

/** What one ISID stands for. */
export type NexusKey = Pick<LoginRequest, 'initiatorName' | 'targetName' | 'portal' | 'iface' | 'index'>;

/**
 * The ISID for a login. Its qualifier follows from the path alone, so that a session whose run folder was lost is
 * reinstated by the next one and not left beside it; where a live session has it already, the next one up is taken.
 */
export function isidFor(random: number, key: NexusKey, taken: ReadonlySet<string>): Buffer {
  const { address, port, tpgt } = key.portal;
  const path = [key.initiatorName, key.targetName, tpgt, key.iface, address, port];
  const name = JSON.stringify(key.index ? [...path, key.index] : path);
  const first = createHash('sha256').update(name).digest().readUInt16BE(0);
  for (let step = 0; step < 65_536; step++) {
    const isid = makeIsid(random, (first + step) % 65_536);
    if (!taken.has(isid.toString('hex'))) return isid;
  }
  throw new Error('65536 sessions have taken every ISID qualifier');
}

/**
 * The 24-bit random part, made once per database and kept in its file `isid`. Where the database cannot be written, the
 * run folder keeps it.
 */
export async function isidRandomPart(paths: Pick<Paths, 'dbDir' | 'runDir'>): Promise<number> {
  const folders = [paths.dbDir, paths.runDir];
  for (const folder of folders) {
    const kept = await readPart(folder);
    if (kept !== null) return kept;
  }
  for (const folder of folders) {
    const made = await makePart(folder);
    if (made !== null) return made;
  }
  return randomIsidPart();
}

async function readPart(folder: string): Promise<number | null> {
  const text = await readFile(join(folder, 'isid'), 'utf8').catch(() => '');
  return /^[0-9a-f]{6}\n?$/.test(text) ? Number.parseInt(text, 16) : null;
}

/** Null if it cannot be kept here. The file appears whole; of several that make one at the same time the first wins. */
async function makePart(folder: string): Promise<number | null> {
  const part = randomIsidPart();
  const fresh = join(folder, `isid.${process.pid}.${part}`);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(fresh, `${part.toString(16).padStart(6, '0')}\n`, { mode: 0o600, flag: 'wx' });
    await link(fresh, join(folder, 'isid'));
    return part;
  } catch {
    return readPart(folder);
  } finally {
    await rm(fresh, { force: true }).catch(() => {});
  }
}
