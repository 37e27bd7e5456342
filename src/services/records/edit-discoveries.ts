// Discovery records made, changed and removed with what they have found; and all kinds of them listed.
import { type Change, checkChanges, type Ignored } from '../../records/changes.js';
import { readConfigFile } from '../../records/config-file.js';
import {
  type DiscoveryRecord,
  deleteSendTargets,
  type IsnsRecord,
  linkedNodes,
  listIsns,
  readSendTargets,
  writeSendTargets,
} from '../../records/discovery-store.js';
import { newSendTargetsValues } from '../../records/new-record.js';
import { checkPortalRef, type NodeRef, type PortalRef } from '../../records/node-ref.js';
import { deleteNode, listNodes, readNode } from '../../records/node-store.js';
import type { ValueChange } from '../../records/values.js';
import { AppError } from '../../util/errors.js';
import type { DeleteOptions, UpdateOptions } from './edit-nodes.js';
import { type DatabasePaths, editing, locked } from './locked.js';
import { listDiscoveries } from './records.js';

/** What has been found by each kind of discovery. */
export interface AllDiscoveries {
  readonly sendTargets: readonly { readonly portal: PortalRef; readonly nodes: readonly NodeRef[] }[];
  readonly isns: readonly IsnsRecord[];
  /** Made by hand. */
  readonly static: readonly NodeRef[];
  readonly firmware: readonly NodeRef[];
  readonly warnings: readonly string[];
}

export async function listAllDiscoveries(paths: DatabasePaths): Promise<AllDiscoveries> {
  const { items: sendTargets, warnings } = await listDiscoveries(paths);
  const isns = await listIsns(paths.dbDir);
  const { items: nodes } = await listNodes(paths.dbDir);
  const foundBy = (type: string) =>
    nodes.filter(({ values }) => values.text('node.discovery_type') === type).map(({ ref }) => ref);
  return {
    sendTargets,
    isns: isns.items,
    // Not by their links: a record without a tag has none, and iscsiadm lists it.
    static: foundBy('static'),
    firmware: foundBy('fw'),
    warnings: [...warnings, ...isns.warnings],
  };
}

/** Makes the record of a SendTargets portal, anew if it is there, as iscsiadm does. What it has found stays. */
export async function addDiscovery(
  paths: DatabasePaths,
  portal: PortalRef,
  signal: AbortSignal,
): Promise<DiscoveryRecord> {
  const { address, port } = checkPortalRef(portal);
  return await locked(paths, signal, async () => {
    const { values: config } = await readConfigFile(paths.configDir);
    const record = { portal: { address, port }, values: newSendTargetsValues(portal, config) };
    await writeSendTargets(paths.dbDir, record);
    return record;
  });
}

/**
 * Sets keys of a portal's record. `strict` as in `checkChanges`.
 * @throws RefusedChange; AppError ERR_NOT_FOUND when there is none
 */
export async function updateDiscovery(
  paths: DatabasePaths,
  portal: PortalRef,
  changes: readonly Change[],
  signal: AbortSignal,
  { strict = false, dryRun }: UpdateOptions = {},
): Promise<UpdatedDiscovery> {
  return await editing(paths, signal, { dryRun }, async () => {
    const record = await requireDiscovery(paths, portal);
    const checked = checkChanges('discovery', changes, { strict });
    const changed = record.values.setAll(checked.changes);
    if (!dryRun) await writeSendTargets(paths.dbDir, record);
    return { record, changed, ignored: checked.ignored };
  });
}

export interface UpdatedDiscovery {
  readonly record: DiscoveryRecord;
  readonly changed: readonly ValueChange[];
  readonly ignored: readonly Ignored[];
}

/**
 * Removes a portal's record and the node records that it has found. Those that a session uses stay, and are `kept`.
 * @throws AppError ERR_NOT_FOUND when there is none
 */
export async function deleteDiscovery(
  paths: DatabasePaths,
  portal: PortalRef,
  { inUse, dryRun }: DeleteOptions,
  signal: AbortSignal,
): Promise<{ readonly deleted: readonly NodeRef[]; readonly kept: readonly NodeRef[] }> {
  return await editing(paths, signal, { dryRun }, async () => {
    await requireDiscovery(paths, portal);
    const refs = await linkedNodes(paths.dbDir, portal);
    const kept = refs.filter(inUse);
    const deleted = refs.filter((ref) => !inUse(ref));
    if (dryRun) return { deleted, kept };
    for (const ref of deleted) {
      const read = await readNode(paths.dbDir, ref).catch(() => undefined);
      if (read !== undefined) await deleteNode(paths.dbDir, read.record);
    }
    await deleteSendTargets(paths.dbDir, portal);
    return { deleted, kept };
  });
}

/** @throws AppError ERR_NOT_FOUND */
export async function requireDiscovery(
  paths: Pick<DatabasePaths, 'dbDir'>,
  portal: PortalRef,
): Promise<DiscoveryRecord> {
  const read = await readSendTargets(paths.dbDir, portal);
  if (read !== undefined) return read.record;
  throw new AppError('ERR_NOT_FOUND', `Discovery record [${portal.address},${portal.port}] not found.`, {
    hint: 'lunctl discovery list',
  });
}
