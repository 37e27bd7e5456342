// Use cases on the record database: choose records, take up what a discovery found, keep credentials.

import { isIscsiName } from '../../iscsi/names.js';
import { readPortal } from '../../iscsi/portal.js';
import { type ConfigFile, readConfigFile } from '../../records/config-file.js';
import {
  applyDiscovery,
  type DiscoveryRecord,
  type Found,
  linkedNodes,
  listSendTargets,
  type RecordChange,
  readSendTargets,
  writeSendTargets,
} from '../../records/discovery-store.js';
import { type IfaceRecord, readIface } from '../../records/iface-store.js';
import { newNodeValues, newSendTargetsValues } from '../../records/new-record.js';
import { checkPortalRef, DEFAULT_IFACE, type NodeRef, type PortalRef } from '../../records/node-ref.js';
import { type Listing, listNodes, type NodeRecord, writeNode } from '../../records/node-store.js';
import { AppError } from '../../util/errors.js';
import type { CredentialPair } from '../secret-rules.js';
import { setDiscoveryCredentials } from './auth.js';
import { type DatabasePaths, locked } from './locked.js';

export type { ConfigFile, DiscoveryRecord, IfaceRecord, NodeRecord, NodeRef, PortalRef, RecordChange };

/** Which records are meant. An absent part matches all. */
export interface NodeSelector {
  readonly targetName?: string | undefined;
  /** Port null matches every port. */
  readonly portal?: { readonly address: string; readonly port: number | null } | undefined;
}

/** The records that match, sorted. Bad ones are warnings. */
export async function selectNodes(paths: DatabasePaths, selector: NodeSelector = {}): Promise<Listing<NodeRecord>> {
  const { items, warnings } = await listNodes(paths.dbDir);
  return { items: items.filter(({ ref }) => matches(ref, selector)), warnings };
}

function matches(ref: NodeRef, { targetName, portal }: NodeSelector): boolean {
  if (targetName !== undefined && ref.targetName !== targetName) return false;
  if (portal === undefined) return true;
  return (
    ref.address.toLowerCase() === portal.address.toLowerCase() && (portal.port === null || portal.port === ref.port)
  );
}

/**
 * A record that is in no database: what a login to a known portal needs, with the settings of iscsid.conf and, unless it
 * is null, of an interface record.
 */
export function temporaryNode(
  targetName: string,
  portal: PortalRef,
  config: ConfigFile,
  iface: IfaceRecord | null = null,
): NodeRecord {
  const { address, port } = checkPortalRef(portal);
  const ref = { targetName, address, port, tpgt: -1, iface: iface?.name ?? DEFAULT_IFACE };
  const values = newNodeValues(ref, null, config.values);
  for (const [key, value] of iface?.values ?? []) values.set(key, value);
  return { ref, values };
}

/** An interface record by its name, see `readIface`. */
export async function selectIface(paths: DatabasePaths, name: string): Promise<IfaceRecord> {
  return await readIface(paths.dbDir, name);
}

/** iscsid.conf, see `readConfigFile`. */
export async function readConfig(paths: DatabasePaths): Promise<ConfigFile> {
  return await readConfigFile(paths.configDir);
}

/** The portals that have been asked for targets, each with what it answered last. */
export async function listDiscoveries(
  paths: DatabasePaths,
): Promise<Listing<{ readonly portal: PortalRef; readonly nodes: readonly NodeRef[] }>> {
  const { items, warnings } = await listSendTargets(paths.dbDir);
  const found = [];
  for (const { portal } of items) found.push({ portal, nodes: await linkedNodes(paths.dbDir, portal) });
  return { items: found, warnings };
}

/** The record of one portal, or undefined. */
export async function readDiscovery(paths: DatabasePaths, portal: PortalRef): Promise<DiscoveryRecord | undefined> {
  return (await readSendTargets(paths.dbDir, portal))?.record;
}

export interface DiscoveryOutcome {
  readonly portal: PortalRef;
  readonly found: readonly Found[];
  /** Bound to these; default: the interface named default. */
  readonly ifaces?: readonly IfaceRecord[];
  readonly config: ConfigFile;
  /** See DiscoverAndRecord. */
  readonly onlyNew?: string;
  /** Kept in the discovery record, when not null. */
  readonly save: CredentialPair | null;
  readonly inUse: (ref: NodeRef) => boolean;
  /** Told of each record that would have been removed, were it not in use. */
  readonly onKept?: (ref: NodeRef) => void;
  /** What may be done; default: everything, or with `onlyNew` only that. */
  readonly operations?: ReadonlySet<RecordChange['what']>;
  readonly signal: AbortSignal;
}

/** Makes the records follow a portal's answer: new ones, changed ones, and the end of those it no longer names. */
export async function recordDiscovery(
  paths: DatabasePaths,
  outcome: DiscoveryOutcome,
): Promise<{ changes: RecordChange[]; skipped: string[] }> {
  const { portal, config, save, inUse, onlyNew } = outcome;
  const meant = outcome.found.filter(({ targetName }) => onlyNew === undefined || targetName === onlyNew);
  const usable = meant.filter(isUsable);
  const skipped = meant.filter((found) => !isUsable(found)).map((found) => found.targetName);
  const changes = await locked(paths, outcome.signal, async () => {
    if (save !== null) {
      const values = (await readDiscovery(paths, portal))?.values ?? newSendTargetsValues(portal, config.values);
      setDiscoveryCredentials(values, save);
      await writeSendTargets(paths.dbDir, { portal, values });
    }
    const operations = outcome.operations ?? new Set(onlyNew === undefined ? ALL_OPERATIONS : (['new'] as const));
    const { ifaces, onKept } = outcome;
    const bound = { ...(ifaces && { ifaces }), ...(onKept && { onKept }) };
    return await applyDiscovery(paths.dbDir, {
      ...{ portal, found: usable, config: config.values, operations, inUse },
      ...bound,
    });
  });
  return { changes, skipped };
}

const ALL_OPERATIONS = ['new', 'update', 'delete'] as const;

/** A target names itself and its addresses: both must pass before they become path names. */
function isUsable({ targetName, address, port }: Found): boolean {
  const host = address.includes(':') ? `[${address}]` : address;
  return isIscsiName(targetName) && readPortal(`${host}:${port}`) !== null;
}

/**
 * Makes the records of one path to a target log in at boot. Returns those changed, and `found` false where there is none.
 */
export async function saveAutomaticStartup(
  paths: DatabasePaths,
  path: PathOfSession,
  signal: AbortSignal,
): Promise<{ readonly found: readonly NodeRecord[]; readonly changed: boolean }> {
  return await locked(paths, signal, async () => {
    const found = await recordsOfPath(paths, path);
    const manual = found.filter(({ values }) => values.text(STARTUP) !== 'automatic');
    for (const record of manual) {
      record.values.set(STARTUP, 'automatic');
      await writeNode(paths.dbDir, record);
    }
    return { found, changed: manual.length > 0 };
  });
}

const STARTUP = 'node.startup';

/** What a session and its record have in common. */
export interface PathOfSession {
  readonly targetName: string;
  readonly portal: { readonly address: string; readonly port: number };
  readonly iface: string;
}

/** The records that a session can have been made from. */
export async function recordsOfPath(paths: DatabasePaths, path: PathOfSession): Promise<readonly NodeRecord[]> {
  return onPath((await selectNodes(paths)).items, path);
}

/** The same of records that have been read. */
export function onPath(records: readonly NodeRecord[], { targetName, portal, iface }: PathOfSession): NodeRecord[] {
  return records.filter(({ ref }) => ref.iface === iface && matches(ref, { targetName, portal }));
}

/** @throws AppError ERR_NOT_FOUND, iscsiadm's text and code for an empty selection */
export function requireRecords<T>(records: readonly T[]): readonly T[] {
  if (records.length > 0) return records;
  throw new AppError('ERR_NOT_FOUND', 'No records found', { hint: 'lunctl discovery sendtargets -p HOST makes them' });
}
