// `discovery list -P 1`, in iscsiadm's layout: four kinds of discovery, of which only SendTargets is known here.
import { nodeTree, type PathText } from './iscsiadm.js';

interface DiscoveryText {
  readonly portal: { readonly address: string; readonly port: number };
  readonly nodes: readonly PathText[];
}

const NONE = 'No targets found.\n';

export function discoveryTree(discoveries: readonly DiscoveryText[]): string {
  const found = discoveries
    .map(({ portal, nodes }) => `DiscoveryAddress: ${portal.address},${portal.port}\n${nodeTree(nodes)}`)
    .join('');
  return `SENDTARGETS:\n${found === '' ? NONE : found}iSNS:\n${NONE}STATIC:\n${NONE}FIRMWARE:\n${NONE}`;
}
