// Objects that the JSON of several commands has in common.
import type { NodeRef } from '../../records/node-ref.js';
import { shownValue, withDefaults } from './iscsiadm.js';

/** One way to a target. Wherever a portal is named, it is an object of its own. */
export interface NodeJson {
  readonly targetName: string;
  readonly portal: { readonly address: string; readonly port: number; readonly tpgt: number };
  readonly iface: string;
}

export function nodeJson({ iface, ...way }: NodeRef): NodeJson {
  return { ...wayJson(way), iface };
}

/** The same without an interface. */
export function wayJson({ targetName, address, port, tpgt }: Omit<NodeRef, 'iface'>): Omit<NodeJson, 'iface'> {
  return { targetName, portal: { address, port, tpgt } };
}

/** A record in full: every key of `table` and what else is in it; null where there is no value. */
export function valuesJson(
  values: Iterable<readonly [string, string]>,
  table: readonly (readonly [string, string])[],
  showSecrets: boolean,
): Record<string, string | null> {
  const all = [...withDefaults(values, table)];
  return Object.fromEntries(
    all.map(([key, value]) => [key, value === '' ? null : shownValue(key, value, showSecrets)]),
  );
}
