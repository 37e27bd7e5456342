// Node records on disk: nodes/TARGET/ADDRESS,PORT,TPGT/IFACE. A bad one is a warning, and the others work.
import { readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { messageOf } from '../util/errors.js';
import { printable } from '../util/printable.js';
import { fileError, isMissing, readTextFile, removeFile, removeFolder, writeLink, writeTextFile } from './files.js';
import { parseRecordText, recordFileText } from './format.js';
import { keysOf, NODE_KEYS } from './keys.js';
import {
  checkNodeRef,
  checkTargetName,
  compareRefs,
  DEFAULT_IFACE,
  isnsFolder,
  linkName,
  type NodeRef,
  nodePath,
  parsePortalName,
  sendTargetsFolder,
} from './node-ref.js';
import { RecordValues } from './values.js';

export interface NodeRecord {
  readonly ref: NodeRef;
  readonly values: RecordValues;
}

/** What was found, and one line for each thing that was skipped. */
export interface Listing<T> {
  readonly items: readonly T[];
  readonly warnings: readonly string[];
}

const NODE_ORDER = keysOf(NODE_KEYS);

/** Every node record below `root`, sorted. A database that does not exist is empty. */
export async function listNodes(root: string): Promise<Listing<NodeRecord>> {
  const items: NodeRecord[] = [];
  const warnings: string[] = [];
  for (const targetName of await entries(join(root, 'nodes'))) {
    try {
      checkTargetName(targetName);
    } catch {
      warnings.push(`${shown(root, join(root, 'nodes', targetName))}: not named like a target; skipped`);
      continue;
    }
    await listTarget(root, targetName, items, warnings);
  }
  items.sort((a, b) => compareRefs(a.ref, b.ref));
  return { items, warnings };
}

async function listTarget(root: string, targetName: string, items: NodeRecord[], warnings: string[]): Promise<void> {
  const folder = join(root, 'nodes', targetName);
  for (const name of await entries(folder, warnings, root)) {
    const portal = parsePortalName(name);
    if (portal === undefined) {
      warnings.push(`${shown(root, join(folder, name))}: not named ADDRESS,PORT,TPGT; skipped`);
      continue;
    }
    const { address, port, tpgt } = portal;
    const base = { targetName, address, port };
    if (tpgt === undefined) {
      await add({ ...base, tpgt: -1, iface: DEFAULT_IFACE }, root, items, warnings);
      continue;
    }
    for (const iface of await entries(join(folder, name), warnings, root)) {
      await add({ ...base, tpgt, iface }, root, items, warnings);
    }
  }
}

async function add(ref: NodeRef, root: string, items: NodeRecord[], warnings: string[]): Promise<void> {
  try {
    const read = await readNode(root, ref);
    if (read === undefined) return;
    items.push(read.record);
    warnings.push(...read.warnings);
  } catch (error) {
    warnings.push(`${messageOf(error)}; record skipped`);
  }
}

/**
 * One record, or undefined when there is none.
 * @throws AppError ERR_DATABASE when it is unreadable or says that it is another's
 */
export async function readNode(
  root: string,
  ref: NodeRef,
): Promise<{ record: NodeRecord; warnings: readonly string[] } | undefined> {
  const path = nodePath(root, ref);
  const text = await readTextFile(path);
  if (text === undefined) return undefined;
  const { pairs, warnings } = parseRecordText(text, shown(root, path));
  const values = new RecordValues(NODE_ORDER, pairs);
  // Of what a crash or another program has emptied nothing is left to use.
  if (values.get('node.name') === undefined) throw fileError(`cannot use ${path}`, new Error('it names no target'));
  for (const [key, expected] of identity(ref)) {
    const found = values.get(key);
    if (found !== undefined && found !== expected) {
      throw fileError(`cannot use ${path}`, new Error(`its ${key} is not what its path says`));
    }
    values.set(key, expected);
  }
  // An old-style path does not name the interface; the record does.
  const iface = ref.tpgt === -1 ? values.text('iface.iscsi_ifacename') || ref.iface : ref.iface;
  return { record: { ref: checkNodeRef({ ...ref, iface }), values }, warnings };
}

/** The keys that a path determines. The interface is not among them in an old-style record. */
function identity(ref: NodeRef): readonly (readonly [string, string])[] {
  return [
    ['node.name', ref.targetName],
    ['node.tpgt', String(ref.tpgt)],
    ...(ref.tpgt === -1 ? [] : ([['iface.iscsi_ifacename', ref.iface]] as const)),
    ['node.conn[0].address', ref.address],
    ['node.conn[0].port', String(ref.port)],
  ];
}

/** Writes a record; the keys that its path determines are set from the path. */
export async function writeNode(root: string, { ref, values }: NodeRecord): Promise<void> {
  for (const [key, value] of identity(ref)) values.set(key, value);
  await writeTextFile(root, nodePath(root, ref), recordFileText(values));
}

/** Removes a record, the link that its discovery made, and the folders that this leaves empty. */
export async function deleteNode(root: string, { ref, values }: NodeRecord): Promise<void> {
  const path = nodePath(root, ref);
  await removeFile(path);
  await removeDiscoveryLink(root, { ref, values });
  for (let folder = dirname(path); folder !== join(root, 'nodes'); folder = dirname(folder)) {
    if (!(await removeFolder(folder))) break;
  }
}

/** Removes the link to a record from the folder of the discovery that it says it comes from. */
export async function removeDiscoveryLink(root: string, record: NodeRecord): Promise<void> {
  const path = discoveryLink(root, record);
  if (path !== undefined) await removeFile(path);
}

/** Makes the link that stands for a record in the folder of its discovery. One without a tag has none. */
export async function makeDiscoveryLink(root: string, record: NodeRecord): Promise<void> {
  const path = discoveryLink(root, record);
  if (path !== undefined) await writeLink(root, path, dirname(nodePath(root, record.ref)));
}

/** Folders of links by what node.discovery_type says; those of a portal have a folder for each portal below them. */
const LINK_FOLDERS: ReadonlyMap<string, string> = new Map([
  ['static', 'static'],
  ['fw', 'fw'],
]);

function discoveryLink(root: string, { ref, values }: NodeRecord): string | undefined {
  if (ref.tpgt === -1) return undefined;
  const type = values.text('node.discovery_type');
  const folder = LINK_FOLDERS.get(type);
  if (folder !== undefined) return join(root, folder, linkName(ref));
  const origin = originOf(values);
  if (origin === undefined) return undefined;
  if (type === 'send_targets') return join(sendTargetsFolder(root, origin), linkName(ref));
  return type === 'isns' ? join(isnsFolder(root, origin), linkName(ref)) : undefined;
}

/** The SendTargets portal that a record says it was found through. */
export function discoveryOrigin(values: RecordValues): { address: string; port: number } | undefined {
  return values.text('node.discovery_type') === 'send_targets' ? originOf(values) : undefined;
}

function originOf(values: RecordValues): { address: string; port: number } | undefined {
  const name = `${values.text('node.discovery_address')},${values.text('node.discovery_port')}`;
  const portal = parsePortalName(name);
  return portal?.tpgt === undefined ? portal : undefined;
}

/** Names in a folder, sorted. One that does not exist has none; one that cannot be read is a warning, or an error. */
async function entries(folder: string, warnings?: string[], root = folder): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (isMissing(error) && warnings === undefined) return [];
    const failure = fileError(`cannot list ${shown(root, folder)}`, error);
    if (warnings === undefined) throw failure;
    warnings.push(`${failure.message}; skipped`);
    return [];
  }
}

function shown(root: string, path: string): string {
  return printable(relative(root, path) || path);
}
