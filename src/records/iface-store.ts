// Interface records, ifaces/NAME: from which address and under which initiator name a session is made.
import { join } from 'node:path';
import { AppError, messageOf } from '../util/errors.js';
import { printable } from '../util/printable.js';
import { namesIn, readTextFile, removeFile, writeTextFile } from './files.js';
import { parseRecordText, recordFileText } from './format.js';
import { IFACE_KEYS, keysOf } from './keys.js';
import { checkIfaceName, DEFAULT_IFACE } from './node-ref.js';
import type { Listing } from './node-store.js';
import { RecordValues } from './values.js';

export interface IfaceRecord {
  readonly name: string;
  /** Keys `iface.…`. */
  readonly values: RecordValues;
}

const IFACE_ORDER = keysOf(IFACE_KEYS);
/** open-iscsi has these without a file: they cannot be changed. */
export const BUILT_IN_IFACES: ReadonlyMap<string, string> = new Map([
  [DEFAULT_IFACE, 'tcp'],
  ['iser', 'iser'],
]);

/** An interface record by its name. @throws AppError ERR_USAGE when there is none, ERR_DATABASE for one that cannot be read */
export async function readIface(root: string, name: string): Promise<IfaceRecord> {
  const record = await findIface(root, name);
  if (record !== undefined) return record;
  const known = [...BUILT_IN_IFACES.keys(), ...(await namesIn(join(root, 'ifaces')))];
  throw new AppError('ERR_USAGE', `Could not read iface info for ${name}.`, {
    hint: `the interfaces are ${known.join(', ')}; each but the first two is a file in ${join(root, 'ifaces')}`,
  });
}

/** The same, undefined when there is none. */
export async function findIface(root: string, name: string): Promise<IfaceRecord | undefined> {
  const path = ifacePath(root, name);
  const builtIn = BUILT_IN_IFACES.get(name);
  const text = builtIn === undefined ? await readTextFile(path) : `iface.transport_name = ${builtIn}`;
  if (text === undefined) return undefined;
  const values = newIfaceValues(name);
  for (const [key, value] of parseRecordText(text, path).pairs) if (key.startsWith('iface.')) values.set(key, value);
  values.set('iface.iscsi_ifacename', name);
  return { name, values };
}

/** What an interface record says before anything is set. */
export function newIfaceValues(name: string): RecordValues {
  const values = new RecordValues(IFACE_ORDER, IFACE_KEYS);
  values.set('iface.iscsi_ifacename', name);
  return values;
}

/** Those with a file, sorted, then the built-in ones. */
export async function listIfaces(root: string): Promise<Listing<IfaceRecord>> {
  const items: IfaceRecord[] = [];
  const warnings: string[] = [];
  const names = (await namesIn(join(root, 'ifaces'))).filter((name) => !BUILT_IN_IFACES.has(name));
  for (const name of [...names, ...BUILT_IN_IFACES.keys()]) {
    try {
      const record = await findIface(root, name);
      if (record !== undefined) items.push(record);
    } catch (error) {
      warnings.push(`ifaces/${printable(name)}: ${messageOf(error)}; skipped`);
    }
  }
  return { items, warnings };
}

export async function writeIface(root: string, { name, values }: IfaceRecord): Promise<void> {
  await writeTextFile(root, ifacePath(root, name), recordFileText(values));
}

/** Removes the record itself; the node records that are bound to it are the caller's. */
export async function deleteIfaceFile(root: string, name: string): Promise<void> {
  await removeFile(ifacePath(root, name));
}

function ifacePath(root: string, name: string): string {
  checkIfaceName(name);
  return join(root, 'ifaces', name);
}
