// iscsiadm's own texts, byte for byte: what the scripts that call it have learnt to read.

import { RECORD_VERSION } from '../../records/format.js';
import { SECRET_KEYS } from '../../records/keys.js';
import { printable } from '../../util/printable.js';

/** Where a session or a record leads. */
export interface PathText {
  readonly targetName: string;
  readonly address: string;
  readonly port: number;
  /** −1 where it is not known. */
  readonly tpgt: number;
  readonly iface: string;
}

/** `ADDRESS:PORT,TPGT`. iscsiadm prints a tag that is not known as 4294967295. */
export function portalText({ address, port, tpgt }: Pick<PathText, 'address' | 'port' | 'tpgt'>): string {
  return `${bracketed(address)}:${port},${tpgt >>> 0}`;
}

/** IPv6 in brackets, which iscsiadm puts around everything that has no dot: around a name without a domain too. */
function bracketed(address: string): string {
  return address.includes(':') || !address.includes('.') ? `[${address}]` : address;
}

/** A line of the list of records and of a discovery's answer. */
export function nodeLine(path: Omit<PathText, 'iface'>): string {
  return `${portalText(path)} ${printable(path.targetName)}\n`;
}

/**
 * The same as a tree: target, portals below it, interfaces below those. Paths of one target stand together. A tag that is
 * not known is −1 here. `eachPortal`: a portal is named again for every interface, as mode node has it.
 */
export function nodeTree(paths: readonly PathText[], { eachPortal = false } = {}): string {
  let text = '';
  let target = '';
  let portal = '';
  for (const path of paths) {
    if (path.targetName !== target) text += `Target: ${printable(path.targetName)}\n`;
    const again = path.targetName === target && portalText(path) === portal;
    if (eachPortal || !again) text += `\tPortal: ${portalInTree(path)}\n`;
    text += `\t\tIface Name: ${path.iface}\n`;
    target = path.targetName;
    portal = portalText(path);
  }
  return text;
}

/** An interface with the targets and portals of the records that are bound to it. Paths of one target stand together. */
export function ifaceTree(iface: string, paths: readonly PathText[]): string {
  let text = `Iface: ${iface}\n`;
  let target = '';
  for (const path of paths) {
    if (path.targetName !== target) text += `\tTarget: ${printable(path.targetName)}\n`;
    text += `\t\tPortal: ${portalInTree(path)}\n`;
    target = path.targetName;
  }
  return text;
}

/** `ADDRESS:PORT,TPGT` with the tag as it is. */
function portalInTree({ address, port, tpgt }: Pick<PathText, 'address' | 'port' | 'tpgt'>): string {
  return `${bracketed(address)}:${port},${tpgt}`;
}

/** A line of the list of discovery records. */
export function discoveryLine({ address, port }: { address: string; port: number }, kind = 'sendtargets'): string {
  return `${address}:${port} via ${kind}\n`;
}

/**
 * A record as it is shown: every key of `table` in its order, then what else the record holds. Secrets are masked
 * unless `showSecrets`.
 */
export function recordText(
  values: Iterable<readonly [string, string]>,
  table: readonly (readonly [string, string])[],
  { showSecrets }: { showSecrets: boolean },
): string {
  let text = `# BEGIN RECORD ${RECORD_VERSION}\n`;
  for (const [key, value] of withDefaults(values, table)) text += `${key} = ${shownValue(key, value, showSecrets)}\n`;
  return `${text}# END RECORD\n`;
}

/** Every key of `table` in its order, with the record's value or the default; then the record's other keys. */
export function withDefaults(
  values: Iterable<readonly [string, string]>,
  table: readonly (readonly [string, string])[],
): Map<string, string> {
  const own = new Map(values);
  const merged = new Map(table.map(([key, fallback]) => [key, own.get(key) ?? fallback]));
  for (const [key, value] of own) merged.set(key, value);
  return merged;
}

/** A record's value for eyes: `<empty>`, or `********` for a secret. */
export function shownValue(key: string, value: string, showSecrets: boolean): string {
  if (value === '') return '<empty>';
  return SECRET_KEYS.has(key) && !showSecrets ? '********' : printable(value);
}

/** `[iface: …, target: …, portal: ADDRESS,PORT]`, the name of one way to a target in messages. */
export function pathName({ iface, targetName, address, port }: Omit<PathText, 'tpgt'>): string {
  return `[iface: ${iface}, target: ${printable(targetName)}, portal: ${address},${port}]`;
}

/** `multiple`: it is one of several sessions by the same path. */
export function loginStartLine(path: Omit<PathText, 'tpgt'>, { multiple = false } = {}): string {
  return `Logging in to ${pathName(path)}${multiple ? ' (multiple)' : ''}\n`;
}

export function loginDoneLine(path: Omit<PathText, 'tpgt'>): string {
  return `Login to ${pathName(path)} successful.\n`;
}

/** Why a login makes no session: the record has all that it asks for. */
export function alreadyPresent({ iface }: Pick<PathText, 'iface'>, wanted: number, present: number): string {
  return `${iface}: ${wanted} session${wanted === 1 ? '' : 's'} requested, but ${present} already present`;
}

/** `[sid: …, target: …, portal: ADDRESS,PORT]`, the name of a session in messages. */
export function sessionName({ sid, targetName, address, port }: SessionName): string {
  return `[sid: ${sid}, target: ${printable(targetName)}, portal: ${address},${port}]`;
}
interface SessionName extends Pick<PathText, 'targetName' | 'address' | 'port'> {
  readonly sid: number;
}

export function logoutStartLine(session: SessionName): string {
  return `Logging out of session ${sessionName(session)}\n`;
}

export function logoutDoneLine(session: SessionName): string {
  return `Logout of ${sessionName(session)} successful.\n`;
}

/** What a session has counted, in iscsiadm's order; what only a kernel's initiator could count stays 0. */
export function statsText(session: SessionName, { eh_abort_cnt, ...counters }: StatsCounters): string {
  const lines = (values: object) => Object.entries(values).map(([name, value]) => `\t${name}: ${value}\n`);
  const extended = { tx_sendpage_failures: 0, rx_discontiguous_hdr: 0, eh_abort_cnt };
  return [
    `Stats for session ${sessionName(session)}\n`,
    ...['iSCSI SNMP:\n', ...lines(counters)],
    ...['iSCSI Extended:\n', ...lines(extended)],
  ].join('');
}
interface StatsCounters {
  readonly eh_abort_cnt: number;
}

/** A line of the list of interface records. */
export function ifaceLine({ name, values }: IfaceText): string {
  const keys = ['transport_name', 'hwaddress', 'ipaddress', 'net_ifacename', 'initiatorname'];
  const parts = keys.map((key) => shownValue(key, values.text(`iface.${key}`), false));
  return `${printable(name)} ${parts.join(',')}\n`;
}
interface IfaceText {
  readonly name: string;
  readonly values: { readonly text: (key: string) => string };
}

/** A line of the list of sessions. */
export function sessionLine(session: Omit<PathText, 'iface'> & { readonly sid: number }): string {
  return `tcp: [${session.sid}] ${portalText(session)} ${printable(session.targetName)} (non-flash)\n`;
}
