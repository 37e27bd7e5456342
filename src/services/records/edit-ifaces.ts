// Interface records made, changed and removed, and the node records that hold copies of them.
import { type Change, checkChanges, type Ignored, RefusedChange } from '../../records/changes.js';
import { recordFileText } from '../../records/format.js';
import {
  BUILT_IN_IFACES,
  deleteIfaceFile,
  findIface,
  type IfaceRecord,
  listIfaces as listIfaceFiles,
  newIfaceValues,
  readIface,
  writeIface,
} from '../../records/iface-store.js';
import { bindIface } from '../../records/new-record.js';
import { checkIfaceName, type NodeRef } from '../../records/node-ref.js';
import { deleteNode, type Listing, listNodes, type NodeRecord, writeNode } from '../../records/node-store.js';
import type { ValueChange } from '../../records/values.js';
import { AppError } from '../../util/errors.js';
import { type DeleteOptions, type NewRecordOptions, sessionUses, type UpdateOptions } from './edit-nodes.js';
import { type DatabasePaths, editing } from './locked.js';

/** Those with a file, sorted, then the built-in ones, default and iser. */
export async function listIfaces(paths: Pick<DatabasePaths, 'dbDir'>): Promise<Listing<IfaceRecord>> {
  return await listIfaceFiles(paths.dbDir);
}

/** The node records that are bound to an interface. */
export async function boundNodes(paths: Pick<DatabasePaths, 'dbDir'>, name: string): Promise<readonly NodeRecord[]> {
  const { items } = await listNodes(paths.dbDir);
  return items.filter(({ ref }) => ref.iface === name);
}

/**
 * Makes an interface record.
 * @throws RefusedChange, AppError ERR_USAGE
 */
export async function addIface(
  paths: DatabasePaths,
  name: string,
  signal: AbortSignal,
  { replace = true, changes = [], dryRun }: NewRecordOptions = {},
): Promise<IfaceRecord> {
  refuseBuiltIn(name);
  const record = { name, values: newIfaceValues(name) };
  const checked = checkChanges('iface', changes, { strict: true });
  setBound(record, checked.changes);
  return await editing(paths, signal, { dryRun }, async () => {
    if (!replace && (await findIface(paths.dbDir, name)) !== undefined) {
      throw new AppError('ERR_USAGE', `interface ${name} exists`, {
        hint: `lunctl iface set ${name} KEY=VALUE changes it`,
      });
    }
    if (!dryRun) await writeIface(paths.dbDir, record);
    return record;
  });
}

/**
 * Sets keys of an interface, and of the node records that are bound to it. `strict` as in `checkChanges`.
 * @throws RefusedChange; AppError ERR_USAGE when there is no such interface
 */
export async function updateIface(
  paths: DatabasePaths,
  name: string,
  changes: readonly Change[],
  signal: AbortSignal,
  { strict = false, dryRun }: UpdateOptions = {},
): Promise<UpdatedIface> {
  refuseBuiltIn(name);
  return await editing(paths, signal, { dryRun }, async () => {
    const record = await readIface(paths.dbDir, name);
    const checked = checkChanges('iface', changes, { strict });
    const changed = setBound(record, checked.changes);
    const bound = await boundNodes(paths, name);
    const result = { record, changed, nodes: bound.map(({ ref }) => ref), ignored: checked.ignored };
    if (dryRun) return result;
    await writeIface(paths.dbDir, record);
    for (const node of bound) {
      const before = recordFileText(node.values);
      bindIface(node.values, record);
      if (recordFileText(node.values) !== before) await writeNode(paths.dbDir, node);
    }
    return result;
  });
}

export interface UpdatedIface {
  readonly record: IfaceRecord;
  readonly changed: readonly ValueChange[];
  /** The node records that are bound to it. */
  readonly nodes: readonly NodeRef[];
  readonly ignored: readonly Ignored[];
}

/**
 * Removes an interface and the node records that are bound to it; returns those. Nothing is removed while a session
 * uses one of them.
 * @throws RefusedChange; AppError ERR_USAGE when there is none, ERR_SESSION_EXISTS
 */
export async function deleteIface(
  paths: DatabasePaths,
  name: string,
  { inUse, dryRun }: DeleteOptions,
  signal: AbortSignal,
): Promise<readonly NodeRef[]> {
  refuseBuiltIn(name);
  return await editing(paths, signal, { dryRun }, async () => {
    await readIface(paths.dbDir, name);
    const bound = await boundNodes(paths, name);
    const used = bound.find(({ ref }) => inUse(ref));
    if (used !== undefined) throw sessionUses(used.ref);
    if (!dryRun) {
      for (const node of bound) await deleteNode(paths.dbDir, node);
      await deleteIfaceFile(paths.dbDir, name);
    }
    return bound.map(({ ref }) => ref);
  });
}

function refuseBuiltIn(name: string): void {
  checkIfaceName(name);
  if (!BUILT_IN_IFACES.has(name)) return;
  throw new RefusedChange(
    'special-iface',
    name,
    '',
    `interface ${name} is built in: it has no file and does not change`,
  );
}

/** An interface is bound by a network device or by a hardware address: open-iscsi takes no change from one to the other. */
const BINDINGS = ['iface.net_ifacename', 'iface.hwaddress'];

function setBound(record: IfaceRecord, changes: readonly Change[]): ValueChange[] {
  return changes.flatMap((change) => {
    checkBinding(record, change);
    return record.values.setAll([change]);
  });
}

function checkBinding({ name, values }: IfaceRecord, [key, value]: Change): void {
  const other = BINDINGS.includes(key) ? BINDINGS.find((one) => one !== key) : undefined;
  if (other !== undefined && value !== '' && values.text(other) !== '') {
    const message = `interface ${name} is bound by ${other} already`;
    throw new RefusedChange('binding', key, other, message, `lunctl iface set ${name} ${other}= frees it`);
  }
}
