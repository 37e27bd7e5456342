// `discovery list -P 1`, in iscsiadm's layout: the four kinds of discovery.
import { nodeTree, type PathText } from './iscsiadm.js';

interface Address {
  readonly address: string;
  readonly port: number;
}

interface DiscoveriesText {
  readonly sendTargets: readonly { readonly portal: Address; readonly nodes: readonly PathText[] }[];
  readonly isns: readonly { readonly server: Address; readonly nodes: readonly PathText[] }[];
  readonly static: readonly PathText[];
  readonly firmware: readonly PathText[];
}

const NONE = 'No targets found.\n';

export function discoveryTree({ sendTargets, isns, static: byHand, firmware }: DiscoveriesText): string {
  const asked = (at: Address, nodes: readonly PathText[]) =>
    `DiscoveryAddress: ${at.address},${at.port}\n${nodeTree(nodes)}`;
  const parts = [
    ['SENDTARGETS', sendTargets.map(({ portal, nodes }) => asked(portal, nodes)).join('')],
    ['iSNS', isns.map(({ server, nodes }) => asked(server, nodes)).join('')],
    ['STATIC', nodeTree(byHand)],
    ['FIRMWARE', nodeTree(firmware)],
  ] as const;
  return parts.map(([head, text]) => `${head}:\n${text === '' ? NONE : text}`).join('');
}
