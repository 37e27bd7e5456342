// Node records made, changed and removed: under the database lock, read again inside it, for every face of the program.
import { type Change, checkChanges, type Ignored } from '../../records/changes.js';
import { readConfigFile } from '../../records/config-file.js';
import { readIface } from '../../records/iface-store.js';
import { bindIface, newNodeValues } from '../../records/new-record.js';
import { checkNodeRef, DEFAULT_IFACE, type NodeRef, type PortalRef } from '../../records/node-ref.js';
import {
  deleteNode,
  makeDiscoveryLink,
  type NodeRecord,
  readNode,
  removeDiscoveryLink,
  writeNode,
} from '../../records/node-store.js';
import type { ValueChange } from '../../records/values.js';
import { AppError, messageOf } from '../../util/errors.js';
import { type DatabasePaths, type EditOptions, editing } from './locked.js';

export interface AddNode {
  readonly targetName: string;
  readonly portal: PortalRef;
  /** −1 where it is not known: the record is a file ADDRESS,PORT then. */
  readonly tpgt: number;
  /** Name of an interface record; default: the interface named default. */
  readonly iface?: string | undefined;
}

export interface NewRecordOptions extends EditOptions {
  /** Whether a record that is there is made anew, as iscsiadm does; default true. */
  readonly replace?: boolean;
  /** Set in the new record; checked strictly. */
  readonly changes?: readonly Change[];
}

/**
 * Makes a record by hand, with the settings of iscsid.conf and of its interface. A record without a
 * tag gives way to one with it.
 * @throws AppError ERR_USAGE for a name, portal or interface that cannot be, and for a record that is not to be replaced
 */
export async function addNode(
  paths: DatabasePaths,
  { targetName, portal, tpgt, iface = DEFAULT_IFACE }: AddNode,
  signal: AbortSignal,
  { replace = true, changes = [], dryRun }: NewRecordOptions = {},
): Promise<NodeRecord> {
  const ref = checkNodeRef({ targetName, address: portal.address, port: portal.port, tpgt, iface });
  const checked = checkChanges('node', changes, { strict: true });
  return await editing(paths, signal, { dryRun }, async () => {
    const root = paths.dbDir;
    const bound = await readIface(root, iface);
    const older = await readNode(root, ref).catch(() => undefined);
    if (older !== undefined && !replace) {
      throw new AppError('ERR_USAGE', `the record of ${targetName} at ${portal.address},${portal.port} exists`, {
        hint: `lunctl node set ${targetName} KEY=VALUE changes it`,
      });
    }
    const { values: config } = await readConfigFile(paths.configDir);
    const record = { ref, values: newNodeValues(ref, null, config) };
    bindIface(record.values, bound);
    record.values.setAll(checked.changes);
    if (dryRun) return record;
    if (older !== undefined) await removeDiscoveryLink(root, older.record);
    await writeNode(root, record);
    await makeDiscoveryLink(root, record);
    const flat = tpgt === -1 ? undefined : await readNode(root, { ...ref, tpgt: -1 }).catch(() => undefined);
    if (flat !== undefined) await deleteNode(root, flat.record);
    return record;
  });
}

/** What came of one record. */
export interface Edited {
  readonly ref: NodeRef;
  /** The values that have changed. */
  readonly changed: readonly ValueChange[];
  /** Null when it is as it should be now. */
  readonly error: AppError | null;
}

export interface UpdatedNodes {
  readonly results: readonly Edited[];
  /** Words of lists that were left out. */
  readonly ignored: readonly Ignored[];
}

/**
 * Sets the same keys in each of `refs`. Nothing is written unless every change is one that records take; then each
 * record is tried. `strict` as in `checkChanges`.
 * @throws RefusedChange
 */
export async function updateNodes(
  paths: DatabasePaths,
  refs: readonly NodeRef[],
  changes: readonly Change[],
  signal: AbortSignal,
  { strict = false, dryRun }: UpdateOptions = {},
): Promise<UpdatedNodes> {
  const checked = checkChanges('node', changes, { strict });
  const results = await editEach(paths, refs, signal, { dryRun }, async (record) => {
    const changed = record.values.setAll(checked.changes);
    if (changed.length > 0 && !dryRun) await writeNode(paths.dbDir, record);
    return changed;
  });
  return { results, ignored: checked.ignored };
}

export interface UpdateOptions extends EditOptions {
  readonly strict?: boolean;
}

/**
 * Removes records with their links and the folders that this leaves empty. One that a session uses stays:
 * ERR_SESSION_EXISTS.
 */
export async function deleteNodes(
  paths: DatabasePaths,
  refs: readonly NodeRef[],
  { inUse, dryRun }: DeleteOptions,
  signal: AbortSignal,
): Promise<readonly Edited[]> {
  return await editEach(paths, refs, signal, { dryRun }, async (record) => {
    if (inUse(record.ref)) throw sessionUses(record.ref);
    if (!dryRun) await deleteNode(paths.dbDir, record);
    return [];
  });
}

export interface DeleteOptions extends EditOptions {
  readonly inUse: (ref: NodeRef) => boolean;
}

export function sessionUses({ targetName, address, port, iface }: NodeRef): AppError {
  const name = `${targetName} at ${address},${port} by interface ${iface}`;
  return new AppError('ERR_SESSION_EXISTS', `a session uses the record of ${name}`, {
    hint: `log out first: lunctl logout ${targetName}, or iscsiadm -m node -T ${targetName} --logout where it is the kernel's`,
  });
}

type Work = (record: NodeRecord) => Promise<readonly ValueChange[]>;

/** `work` on each record as it is now, under one lock. What fails for one does not keep the others. */
async function editEach(
  paths: DatabasePaths,
  refs: readonly NodeRef[],
  signal: AbortSignal,
  options: EditOptions,
  work: Work,
): Promise<readonly Edited[]> {
  return await editing(paths, signal, options, async () => {
    const results: Edited[] = [];
    for (const ref of refs) results.push(await editOne(paths.dbDir, ref, work));
    return results;
  });
}

async function editOne(root: string, ref: NodeRef, work: Work): Promise<Edited> {
  try {
    const read = await readNode(root, ref);
    if (read === undefined) throw new AppError('ERR_NOT_FOUND', `the record of ${ref.targetName} is gone`);
    return { ref, changed: await work(read.record), error: null };
  } catch (error) {
    const known = error instanceof AppError ? error : new AppError('ERR_DATABASE', messageOf(error), { cause: error });
    return { ref, changed: [], error: known };
  }
}
