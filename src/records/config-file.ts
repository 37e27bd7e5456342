// iscsid.conf: the defaults of new records. Read as it is, never written.
import { join } from 'node:path';
import { messageOf } from '../util/errors.js';
import { readTextFile } from './files.js';
import { parseRecordText } from './format.js';
import { IFACE_KEYS, keysOf, NODE_KEYS, OTHER_KEYS, SENDTARGETS_KEYS } from './keys.js';

export interface ConfigFile {
  /** Only what the file sets. */
  readonly values: ReadonlyMap<string, string>;
  /** The line of each. */
  readonly lines: ReadonlyMap<string, number>;
  readonly warnings: readonly string[];
  readonly path: string;
}

export const CONFIG_KEYS: ReadonlySet<string> = new Set([
  ...keysOf(NODE_KEYS),
  ...keysOf(SENDTARGETS_KEYS),
  ...keysOf(IFACE_KEYS),
  ...OTHER_KEYS,
]);

/** Reads `configDir`/iscsid.conf. No file means no settings; one that cannot be read is a warning. */
export async function readConfigFile(configDir: string): Promise<ConfigFile> {
  const path = join(configDir, 'iscsid.conf');
  try {
    const text = await readTextFile(path, { followLinks: true });
    if (text === undefined) return { values: new Map(), lines: new Map(), warnings: [], path };
    const { pairs, lines, warnings } = parseRecordText(text, path);
    const unknown = pairs
      .filter(([key]) => !CONFIG_KEYS.has(key))
      .map(([key]) => `${path}: unknown key ${key.slice(0, 64)}`);
    return { values: new Map(pairs), lines, warnings: [...warnings, ...unknown.slice(0, 8)], path };
  } catch (error) {
    return { values: new Map(), lines: new Map(), warnings: [`${messageOf(error)}; its settings are not used`], path };
  }
}
