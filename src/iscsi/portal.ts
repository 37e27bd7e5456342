// Network portals as text: HOST[:PORT][,TPGT] with IPv6 in brackets, RFC 7143 §13.8 (TargetAddress) and iscsiadm's -p.
import { AppError } from '../util/errors.js';
import { printable } from '../util/printable.js';

/** The port that IANA gave iSCSI. */
export const DEFAULT_PORT = 3260;

export interface Portal {
  /** A host name or an address, IPv6 without brackets. */
  readonly address: string;
  readonly port: number;
}

export interface PortalWithGroup extends Portal {
  /** Target portal group tag, 0 to 65535, or null when none was given. */
  readonly tpgt: number | null;
}

const BRACKETED = /^\[([^\]]*)\](?::(\d{1,5}))?(?:,(\d{1,5}))?$/;
const PLAIN = /^([^:,[\]]+)(?::(\d{1,5}))?(?:,(\d{1,5}))?$/;
const HOST = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$/;

/** Whether `text` is an IPv6 address, maybe with a zone (`fe80::1%eth0`). The URL parser knows the grammar. */
function isIPv6(text: string): boolean {
  const [address = '', zone] = text.split('%', 2);
  if (zone !== undefined && !/^[A-Za-z0-9._-]{1,32}$/.test(zone)) return false;
  return /^[0-9A-Fa-f:.]{2,45}$/.test(address) && address.includes(':') && URL.canParse(`http://[${address}]/`);
}

/** The one text of an address: IPv6 in lower case with its longest row of zeros left out, IPv4-mapped as IPv4, zones kept. */
export function canonicalAddress(address: string): string {
  if (!isIPv6(address)) return address;
  const [bare = '', zone] = address.split('%', 2);
  const text = new URL(`http://[${bare}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(text);
  if (mapped === null) return zone === undefined ? text : `${text}%${zone}`;
  const [high, low] = [mapped[1], mapped[2]].map((part) => Number.parseInt(part ?? '', 16));
  return [(high ?? 0) >> 8, (high ?? 0) & 0xff, (low ?? 0) >> 8, (low ?? 0) & 0xff].join('.');
}

/** The parts of a portal, port 3260 by default, or null when `text` is none. */
export function readPortal(text: string): PortalWithGroup | null {
  // An IPv6 address alone can be told from host and port by its second colon.
  if (isIPv6(text)) return { address: text, port: DEFAULT_PORT, tpgt: null };
  const match = BRACKETED.exec(text) ?? PLAIN.exec(text);
  if (match === null) return null;
  const [, address = '', port = String(DEFAULT_PORT), tpgt] = match;
  if (text.startsWith('[') ? !isIPv6(address) : !HOST.test(address)) return null;
  if (Number(port) < 1 || Number(port) > 65_535 || Number(tpgt ?? 0) > 65_535) return null;
  return { address, port: Number(port), tpgt: tpgt === undefined ? null : Number(tpgt) };
}

/** Like readPortal, but what is none throws AppError ERR_USAGE. */
export function parsePortal(text: string): PortalWithGroup {
  const portal = readPortal(text);
  if (portal !== null) return portal;
  throw new AppError('ERR_USAGE', `"${printable(text, 300)}" is not a portal`, {
    hint: 'write HOST, HOST:PORT or [IPV6]:PORT',
  });
}

/** A link-local IPv6 address without its zone, which leads nowhere (RFC 4007 §6). */
export function lacksZone(address: string): boolean {
  return /^fe[89ab][0-9a-f]:[^%]*$/i.test(address);
}

/** `host:port` or `[v6]:port`: where to connect, whatever its group. */
export function formatAddress({ address, port }: Portal): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The same with `,tpgt` if there is one. */
export function formatPortal(portal: Portal & { readonly tpgt?: number | null }): string {
  const group = portal.tpgt === undefined || portal.tpgt === null ? '' : `,${portal.tpgt}`;
  return `${formatAddress(portal)}${group}`;
}
