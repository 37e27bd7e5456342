// Discovery records: send_targets/ADDRESS,PORT/st_config, with a link to each node record found through it.
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../util/errors.js';
import { printable } from '../util/printable.js';
import { namesIn, readTextFile, removeFile, removeFolder, writeTextFile } from './files.js';
import { parseRecordText, recordFileText } from './format.js';
import { type IfaceRecord, readIface } from './iface-store.js';
import { keysOf, SENDTARGETS_KEYS } from './keys.js';
import { bindIface, newNodeValues, newSendTargetsValues, refreshNodeValues, setOrigin } from './new-record.js';
import {
  DEFAULT_IFACE,
  linkName,
  type NodeRef,
  type PortalRef,
  parseLinkName,
  parsePortalName,
  sameRef,
  sendTargetsFolder,
} from './node-ref.js';
import { deleteNode, type Listing, makeDiscoveryLink, readNode, removeDiscoveryLink, writeNode } from './node-store.js';
import { RecordValues } from './values.js';

export interface DiscoveryRecord {
  readonly portal: PortalRef;
  readonly values: RecordValues;
}

/** One record that a discovery changed. */
export interface RecordChange {
  readonly what: 'new' | 'update' | 'delete';
  readonly ref: NodeRef;
}

const ST_ORDER = keysOf(SENDTARGETS_KEYS);
const ST_CONFIG = 'st_config';

/** The SendTargets portals that have been asked before, sorted. */
export async function listSendTargets(root: string): Promise<Listing<DiscoveryRecord>> {
  const items: DiscoveryRecord[] = [];
  const warnings: string[] = [];
  for (const name of await namesIn(join(root, 'send_targets'))) {
    const portal = parsePortalName(name);
    if (portal === undefined || portal.tpgt !== undefined) {
      warnings.push(`send_targets/${printable(name)}: not named ADDRESS,PORT; skipped`);
      continue;
    }
    try {
      const read = await readSendTargets(root, portal);
      if (read === undefined) continue;
      items.push(read.record);
      warnings.push(...read.warnings);
    } catch (error) {
      warnings.push(`${messageOf(error)}; record skipped`);
    }
  }
  return { items, warnings };
}

/** The record of one portal, or undefined when it has never been asked. */
export async function readSendTargets(
  root: string,
  portal: PortalRef,
): Promise<{ record: DiscoveryRecord; warnings: readonly string[] } | undefined> {
  const folder = sendTargetsFolder(root, portal);
  const found = (await readAt(join(folder, ST_CONFIG))) ?? ((await isFlat(folder)) ? await readAt(folder) : undefined);
  if (found === undefined) return undefined;
  const { pairs, warnings } = parseRecordText(found.text, found.path);
  const { address, port } = portal;
  return { record: { portal: { address, port }, values: new RecordValues(ST_ORDER, pairs) }, warnings };
}

async function readAt(path: string): Promise<{ path: string; text: string } | undefined> {
  const text = await readTextFile(path);
  return text === undefined ? undefined : { path, text };
}

/** Old releases of open-iscsi had a file where there is a folder now. */
async function isFlat(folder: string): Promise<boolean> {
  return (await lstat(folder).catch(() => undefined))?.isFile() ?? false;
}

/** Writes the record; one in the old flat form becomes a folder, as with iscsiadm. */
export async function writeSendTargets(root: string, { portal, values }: DiscoveryRecord): Promise<void> {
  const folder = sendTargetsFolder(root, portal);
  if (await isFlat(folder)) await removeFile(folder);
  await writeTextFile(root, join(folder, ST_CONFIG), recordFileText(values));
}

/** Removes the record of a portal, its links, and its folder. The node records stay: see `linkedNodes`. */
export async function deleteSendTargets(root: string, portal: PortalRef): Promise<void> {
  const folder = sendTargetsFolder(root, portal);
  if (await isFlat(folder)) return await removeFile(folder);
  for (const name of await namesIn(folder)) await removeFile(join(folder, name));
  await removeFolder(folder);
}

/** The node records that were found through a portal, by its links. */
export async function linkedNodes(root: string, portal: PortalRef): Promise<NodeRef[]> {
  const refs = [];
  for (const name of await namesIn(sendTargetsFolder(root, portal))) {
    const ref = name === ST_CONFIG ? undefined : parseLinkName(name);
    if (ref !== undefined) refs.push(ref);
  }
  return refs;
}

/** An iSNS server that open-iscsi's tools ask; read only. */
export interface IsnsRecord {
  readonly server: PortalRef;
  readonly nodes: readonly NodeRef[];
}

/** The iSNS servers that open-iscsi knows, sorted, each with what it has answered last. */
export async function listIsns(root: string): Promise<Listing<IsnsRecord>> {
  const items: IsnsRecord[] = [];
  const warnings: string[] = [];
  for (const name of await namesIn(join(root, 'isns'))) {
    const server = parsePortalName(name);
    if (server === undefined || server.tpgt !== undefined) {
      warnings.push(`isns/${printable(name)}: not named ADDRESS,PORT; skipped`);
      continue;
    }
    const { address, port } = server;
    const inside = await namesIn(join(root, 'isns', name));
    // What a deleted record has left behind is none.
    if (!inside.includes('isns_config')) continue;
    items.push({ server: { address, port }, nodes: inside.flatMap((link) => parseLinkName(link) ?? []) });
  }
  return { items, warnings };
}

export interface Found {
  readonly targetName: string;
  readonly address: string;
  readonly port: number;
  readonly tpgt: number;
}

export interface Discovery {
  readonly portal: PortalRef;
  readonly found: readonly Found[];
  /** The interfaces to bind the records to; default: the one named default. */
  readonly ifaces?: readonly IfaceRecord[];
  /** What iscsid.conf sets. */
  readonly config: ReadonlyMap<string, string>;
  /** What to do with the records; all three is what iscsiadm does by default. */
  readonly operations: ReadonlySet<RecordChange['what']>;
  /** Whether a session uses the record: then it is not deleted. */
  readonly inUse: (ref: NodeRef) => boolean;
  /** Told of each record that would have been deleted, were it not in use. */
  readonly onKept?: (ref: NodeRef) => void;
}

/**
 * Makes the records follow what a portal has answered. Call it under the database lock.
 * Returns the changes; records that are gone from the answer but in use stay, and are not among them.
 */
export async function applyDiscovery(root: string, discovery: Discovery): Promise<RecordChange[]> {
  const { portal, config, operations } = discovery;
  if ((await readSendTargets(root, portal)) === undefined) {
    await writeSendTargets(root, { portal, values: newSendTargetsValues(portal, config) });
  }
  const ifaces = new Map((discovery.ifaces ?? [await readIface(root, DEFAULT_IFACE)]).map((one) => [one.name, one]));
  const refs = uniqueRefs(discovery.found, [...ifaces.keys()]);
  const changes: RecordChange[] = [];
  for (const ref of refs) {
    const what = await store(root, ref, discovery, ifaces.get(ref.iface));
    if (what !== null) changes.push({ what, ref });
  }
  if (!operations.has('delete')) return changes;
  for (const old of await linkedNodes(root, portal)) {
    if (refs.some((ref) => sameRef(ref, old))) continue;
    if (discovery.inUse(old)) {
      discovery.onKept?.(old);
      continue;
    }
    const read = await readNode(root, old).catch(() => undefined);
    if (read !== undefined) {
      await deleteNode(root, read.record);
      changes.push({ what: 'delete', ref: old });
    }
    await removeFile(join(sendTargetsFolder(root, portal), linkName(old)));
  }
  return changes;
}

/** Writes one record and its link; null when there was nothing to do. */
async function store(
  root: string,
  ref: NodeRef,
  discovery: Discovery,
  iface: IfaceRecord | undefined,
): Promise<'new' | 'update' | null> {
  const { portal, config, operations } = discovery;
  // A record that cannot be used is replaced: the target has just said that it is there.
  const existing = await readNode(root, ref).catch(() => undefined);
  if (existing !== undefined) {
    if (!operations.has('update')) return null;
    const { values } = existing.record;
    const before = recordFileText(values);
    await removeForeignLink(root, { ref, values }, portal);
    refreshNodeValues(values, config);
    setOrigin(values, portal);
    bindIface(values, iface);
    if (recordFileText(values) !== before) await writeNode(root, { ref, values });
    await makeDiscoveryLink(root, { ref, values });
    return 'update';
  }
  if (!operations.has('new')) return null;
  const values = newNodeValues(ref, portal, config);
  bindIface(values, iface);
  const older = { ...ref, tpgt: -1 };
  const oldStyle = ref.iface !== DEFAULT_IFACE ? undefined : await readNode(root, older).catch(() => undefined);
  if (oldStyle !== undefined) for (const [key, value] of authOf(oldStyle.record.values)) values.set(key, value);
  await writeNode(root, { ref, values });
  await makeDiscoveryLink(root, { ref, values });
  // A record made by hand, without a tag, is the same way to the same target: the tag is known now.
  if (oldStyle !== undefined) await deleteNode(root, { ref: older, values: oldStyle.record.values });
  return 'new';
}

/** The record moves to the discovery that has found it last. */
async function removeForeignLink(
  root: string,
  record: { ref: NodeRef; values: RecordValues },
  portal: PortalRef,
): Promise<void> {
  const { values } = record;
  const same =
    values.text('node.discovery_address') === portal.address &&
    values.text('node.discovery_port') === String(portal.port);
  if (!same) await removeDiscoveryLink(root, record);
}

function authOf(values: RecordValues): [string, string][] {
  return [...values].filter(([key]) => key.startsWith('node.session.auth.'));
}

function uniqueRefs(found: readonly Found[], ifaces: readonly string[]): NodeRef[] {
  const refs = new Map<string, NodeRef>();
  for (const { targetName, address, port, tpgt } of found) {
    for (const iface of ifaces) {
      const ref = { targetName, address, port, tpgt, iface };
      refs.set(linkName(ref), ref);
    }
  }
  return [...refs.values()];
}
