// Tables of the record database: nodes, portals that have been asked, and what a portal has answered.
import { formatAddress } from '../../iscsi/portal.js';
import type { IfaceRecord, NodeRecord, NodeRef, PortalRef } from '../../services/records/records.js';
import type { Listing } from './listing.js';
import { orDash } from './text.js';

/** `node list`: one line for each record. */
export const NODES: Listing<NodeRecord> = [
  { head: 'PORTAL', about: 'where the target is reached', text: ({ ref }) => formatAddress(ref) },
  { head: 'TPGT', about: 'target portal group tag', align: 'right', text: ({ ref }) => tagText(ref.tpgt) },
  { head: 'TARGET', about: 'name of the target', text: ({ ref }) => ref.targetName },
  { head: 'IFACE', about: 'interface record', text: ({ ref }) => ref.iface },
  { head: 'STARTUP', about: 'manual, automatic or onboot', text: ({ values }) => values.text('node.startup') },
  valueColumn('AUTH', 'None or CHAP', 'node.session.auth.authmethod'),
  valueColumn('USER', 'CHAP user name', 'node.session.auth.username'),
  valueColumn('FOUND', 'how the record came to be', 'node.discovery_type'),
  valueColumn('SESSIONS', 'how many sessions a login makes', 'node.session.nr_sessions'),
  valueColumn('REPLACE', 'seconds that I/O waits for a lost connection', 'node.session.timeo.replacement_timeout'),
];

function valueColumn(head: string, about: string, key: string) {
  return { head, about, text: ({ values }: NodeRecord) => orDash(values.text(key)), extra: true } as const;
}

function tagText(tpgt: number): string {
  return tpgt === -1 ? '-' : String(tpgt);
}

interface AskedPortal {
  readonly type: 'sendtargets' | 'isns';
  readonly portal: PortalRef;
  readonly nodes: readonly NodeRef[];
}

/** `discovery list`: one line for each portal that has been asked. */
export const DISCOVERIES: Listing<AskedPortal> = [
  { head: 'PORTAL', about: 'the portal', text: ({ portal }) => formatAddress(portal) },
  { head: 'TYPE', about: 'how it was asked', text: ({ type }) => type },
  { head: 'NODES', about: 'records of what it named', align: 'right', text: ({ nodes }) => String(nodes.length) },
  {
    head: 'TARGETS',
    about: 'the targets that it named last',
    text: ({ nodes }) => orDash([...new Set(nodes.map(({ targetName }) => targetName))].join(',')),
  },
];

/** What a portal names: one way to a target. */
export interface FoundTarget {
  readonly address: string;
  readonly port: number;
  readonly tpgt: number;
  readonly targetName: string;
}

/** `discovery sendtargets`: one line for each way to a target. */
export const FOUND: Listing<FoundTarget> = [
  { head: 'PORTAL', about: 'where the target is reached', text: (target) => formatAddress(target) },
  { head: 'TPGT', about: 'target portal group tag', align: 'right', text: ({ tpgt }) => String(tpgt) },
  { head: 'TARGET', about: 'name of the target', text: ({ targetName }) => targetName },
];

/** `iface list`: one line for each interface record. */
export const IFACES: Listing<IfaceRecord> = [
  { head: 'NAME', about: 'name of the record', text: ({ name }) => name },
  ifaceColumn('TRANSPORT', 'tcp, or what needs a kernel', 'transport_name'),
  ifaceColumn('ADDRESS', 'where connections come from', 'ipaddress'),
  ifaceColumn('NETDEV', 'network device whose address they come from', 'net_ifacename'),
  ifaceColumn('HWADDRESS', 'hardware address of that device', 'hwaddress'),
  ifaceColumn('INITIATOR', 'initiator name to log in with', 'initiatorname'),
];

function ifaceColumn(head: string, about: string, key: string) {
  return { head, about, text: ({ values }: IfaceRecord) => orDash(values.text(`iface.${key}`)) } as const;
}
