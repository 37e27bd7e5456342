// Interface records, ifaces/NAME: from which address and under which initiator name a session is made.
import { join } from 'node:path';
import { AppError } from '../util/errors.js';
import { namesIn, readTextFile } from './files.js';
import { parseRecordText } from './format.js';
import { IFACE_KEYS, keysOf } from './keys.js';
import { checkIfaceName, DEFAULT_IFACE } from './node-ref.js';
import { RecordValues } from './values.js';

export interface IfaceRecord {
  readonly name: string;
  /** Keys `iface.…`. */
  readonly values: RecordValues;
}

const IFACE_ORDER = keysOf(IFACE_KEYS);
/** open-iscsi has these without a file. */
const BUILT_IN: ReadonlyMap<string, string> = new Map([
  [DEFAULT_IFACE, 'tcp'],
  ['iser', 'iser'],
]);

/** An interface record by its name. @throws AppError ERR_USAGE when there is none, ERR_DATABASE for one that cannot be read */
export async function readIface(root: string, name: string): Promise<IfaceRecord> {
  checkIfaceName(name);
  const path = join(root, 'ifaces', name);
  const builtIn = BUILT_IN.get(name);
  const text = builtIn === undefined ? await readTextFile(path) : `iface.transport_name = ${builtIn}`;
  if (text === undefined) {
    const known = [...BUILT_IN.keys(), ...(await namesIn(join(root, 'ifaces')))];
    throw new AppError('ERR_USAGE', `Could not read iface info for ${name}.`, {
      hint: `the interfaces are ${known.join(', ')}; each but the first two is a file in ${join(root, 'ifaces')}`,
    });
  }
  const values = new RecordValues(IFACE_ORDER, IFACE_KEYS);
  for (const [key, value] of parseRecordText(text, path).pairs) if (key.startsWith('iface.')) values.set(key, value);
  values.set('iface.iscsi_ifacename', name);
  return { name, values };
}
