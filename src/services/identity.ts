// Who this host is: the initiator name of initiatorname.iscsi, made once where there is none.
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { checkIscsiName } from '../iscsi/names.js';
import { readTextFile, syncFolder } from '../records/files.js';
import { AppError, messageOf } from '../util/errors.js';
import type { Paths } from './paths.js';

export interface Identity {
  readonly initiatorName: string;
  /** The file that holds it, or null when it could not be saved and holds for this call only. */
  readonly path: string | null;
  /** Made by this call. */
  readonly created: boolean;
}

const FILE = 'initiatorname.iscsi';
/** Names that we make; the rest is 48 random bits. */
const PREFIX = 'iqn.2026-11.io.lunctl:';

/**
 * The name of this host: from the configuration folder, else from the database folder, else a new one, saved in the
 * first of the two that can be written, for its owner alone.
 * @throws AppError ERR_DATABASE when a file exists without a name, ERR_USAGE when its name is none
 */
export async function readIdentity(paths: Pick<Paths, 'configDir' | 'dbDir'>): Promise<Identity> {
  const found = await findIdentity(paths);
  if (found !== undefined) return found;
  const folders = foldersOf(paths);
  const made = `${PREFIX}${randomBytes(6).toString('hex')}`;
  for (const folder of folders) {
    const saved = await save(folder, made);
    if (saved !== undefined) return saved;
  }
  return { initiatorName: made, path: null, created: true };
}

/** The same, but undefined where there is none yet. */
export async function findIdentity(paths: Pick<Paths, 'configDir' | 'dbDir'>): Promise<Identity | undefined> {
  for (const folder of foldersOf(paths)) {
    const found = await readName(join(folder, FILE));
    if (found !== undefined) return found;
  }
  return undefined;
}

function foldersOf({ configDir, dbDir }: Pick<Paths, 'configDir' | 'dbDir'>): string[] {
  return [...new Set([configDir, dbDir])];
}

async function readName(path: string): Promise<Identity | undefined> {
  const text = await readTextFile(path, { followLinks: true });
  if (text === undefined) return undefined;
  const line = /^[ \t]*InitiatorName[ \t]*=[ \t]*(\S+)[ \t]*$/m.exec(text);
  if (line === null) {
    throw new AppError('ERR_DATABASE', `${path} names no initiator`, {
      hint: `add a line InitiatorName=${PREFIX}${randomBytes(6).toString('hex')}`,
    });
  }
  try {
    return { initiatorName: checkIscsiName(line[1] ?? ''), path, created: false };
  } catch (error) {
    throw new AppError('ERR_USAGE', `${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Undefined where it cannot be saved. Of two that make a name at once, the first wins and both use it. */
async function save(folder: string, initiatorName: string): Promise<Identity | undefined> {
  const path = join(folder, FILE);
  const temporary = join(folder, `.lunctl-${process.pid}-${randomBytes(4).toString('hex')}`);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(`InitiatorName=${initiatorName}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(temporary, path);
    await syncFolder(folder);
    return { initiatorName, path, created: true };
  } catch {
    return await readName(path);
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
}
