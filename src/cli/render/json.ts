// Objects that the JSON of several commands has in common.
import type { NodeRef } from '../../records/node-ref.js';

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
