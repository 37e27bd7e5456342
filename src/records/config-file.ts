// iscsid.conf: the defaults of new records. Read as it is, never written.
import { join } from 'node:path';
import { messageOf } from '../util/errors.js';
import { readTextFile } from './files.js';
import { parseRecordText } from './format.js';
import { IFACE_KEYS, keysOf, NODE_KEYS, OTHER_KEYS, SENDTARGETS_KEYS } from './keys.js';

export interface ConfigFile {
  /** Only what the file sets. */
  readonly values: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
  readonly path: string;
}

const KNOWN = new Set([...keysOf(NODE_KEYS), ...keysOf(SENDTARGETS_KEYS), ...keysOf(IFACE_KEYS), ...OTHER_KEYS]);

/** Reads `configDir`/iscsid.conf. No file means no settings; one that cannot be read is a warning. */
export async function readConfigFile(configDir: string): Promise<ConfigFile> {
  const path = join(configDir, 'iscsid.conf');
  try {
    const text = await readTextFile(path, { followLinks: true });
    if (text === undefined) return { values: new Map(), warnings: [], path };
    const { pairs, warnings } = parseRecordText(text, path);
    const unknown = pairs.filter(([key]) => !KNOWN.has(key)).map(([key]) => `${path}: unknown key ${key.slice(0, 64)}`);
    return { values: new Map(pairs), warnings: [...warnings, ...unknown.slice(0, 8)], path };
  } catch (error) {
    return { values: new Map(), warnings: [`${messageOf(error)}; its settings are not used`], path };
  }
}
