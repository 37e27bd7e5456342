// What has become of records, one line each.
import { formatPortal } from '../../iscsi/portal.js';
import type { ValueChange } from '../../records/values.js';
import { printable } from '../../util/printable.js';
import { type PathText, shownValue } from './iscsiadm.js';

/** What was done; in a dry run, what would be. */
export function didText(did: 'added' | 'changed' | 'removed' | 'kept', dryRun: boolean): string {
  return dryRun && did !== 'kept' ? `would be ${did}` : did;
}

/** `added: 10.0.0.1:3260,1 iqn… (interface if1)`. */
export function nodeDone(did: string, path: PathText): string {
  const iface = path.iface === 'default' ? '' : ` (interface ${path.iface})`;
  const portal = formatPortal({ ...path, tpgt: path.tpgt === -1 ? null : path.tpgt });
  return `${did}: ${portal} ${printable(path.targetName)}${iface}\n`;
}

/** Below a changed record: `  KEY: OLD -> NEW`. */
export function valueLines(changed: readonly ValueChange[]): string {
  const shown = (key: string, value: string) => shownValue(key, value, false);
  return changed.map(({ key, from, to }) => `  ${key}: ${shown(key, from)} -> ${shown(key, to)}\n`).join('');
}

/** The same for JSON: null is no value. */
export function valueJson(changed: readonly ValueChange[]) {
  const shown = (key: string, value: string) => (value === '' ? null : shownValue(key, value, false));
  return changed.map(({ key, from, to }) => ({ key, from: shown(key, from), to: shown(key, to) }));
}
