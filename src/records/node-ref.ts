// Which record is meant: target, portal and interface, and the path names that open-iscsi derives from them.
import { join } from 'node:path';
import { checkIscsiName, isIscsiName } from '../iscsi/names.js';
import { AppError } from '../util/errors.js';

/** One way to one target. `tpgt` is −1 where nobody has told it. */
export interface NodeRef {
  readonly targetName: string;
  readonly address: string;
  readonly port: number;
  readonly tpgt: number;
  readonly iface: string;
}

export interface PortalRef {
  readonly address: string;
  readonly port: number;
}

export const DEFAULT_IFACE = 'default';

/**
 * The same reference, once every part of it is fit for a path name: names come from the network.
 * @throws AppError ERR_USAGE naming the part that is not
 */
export function checkNodeRef(ref: NodeRef): NodeRef {
  checkTargetName(ref.targetName);
  checkPortalRef(ref);
  if (!Number.isInteger(ref.tpgt) || ref.tpgt < -1 || ref.tpgt > 65_535) {
    throw new AppError('ERR_USAGE', `portal group tag ${ref.tpgt} is not in 0 to 65535`);
  }
  checkIfaceName(ref.iface);
  return ref;
}

/**
 * A target's name that may be a path name and part of a link's. iscsiadm keeps records under names that are no iSCSI
 * names, so those of a database are used as they are; what a portal answers has to pass `isIscsiName`.
 * @throws AppError ERR_USAGE
 */
export function checkTargetName(name: string): string {
  if (!isIscsiName(name) && !/^(?!\.{1,2}$)[\x21-\x2b\x2d\x2e\x30-\x7e]{1,223}$/.test(name)) checkIscsiName(name);
  return name;
}

/** @throws AppError ERR_USAGE for a name that is not fit for a path name */
export function checkIfaceName(name: string): void {
  if (/^(?!\.{1,2}$)[^/,\s\p{Cc}]{1,64}$/u.test(name)) return;
  throw new AppError('ERR_USAGE', 'the interface name cannot be a file name');
}

/** Addresses are IPv4, IPv6 without brackets, or host names; never a comma, a slash or a control character. */
export function checkPortalRef<T extends PortalRef>(ref: T): T {
  if (!/^[0-9A-Za-z._:%-]{1,253}$/.test(ref.address)) {
    throw new AppError('ERR_USAGE', 'the portal address is neither an IP address nor a host name');
  }
  if (!Number.isInteger(ref.port) || ref.port < 1 || ref.port > 65_535) {
    throw new AppError('ERR_USAGE', `port ${ref.port} is not in 1 to 65535`);
  }
  return ref;
}

/** `ADDRESS,PORT,TPGT/IFACE` below nodes/TARGET, or the older `ADDRESS,PORT` where no tag is known. */
export function nodePath(root: string, ref: NodeRef): string {
  const { targetName, tpgt, iface } = checkNodeRef(ref);
  const path = join(root, 'nodes', targetName, portalName(ref));
  return tpgt === -1 ? path : join(path, iface);
}

/** The folder of a discovery record. */
export function sendTargetsFolder(root: string, portal: PortalRef): string {
  const { address, port } = checkPortalRef(portal);
  return join(root, 'send_targets', `${address},${port}`);
}

/** The folder of an iSNS server's record. */
export function isnsFolder(root: string, server: PortalRef): string {
  const { address, port } = checkPortalRef(server);
  return join(root, 'isns', `${address},${port}`);
}

/** Name of the link in a discovery record's folder that stands for a node record. */
export function linkName(ref: NodeRef): string {
  const { targetName, address, port, tpgt, iface } = checkNodeRef(ref);
  return [targetName, address, port, tpgt, iface].join(',');
}

/** The reverse of `linkName`; undefined for a name that is none. */
export function parseLinkName(name: string): NodeRef | undefined {
  const [targetName, address, port, tpgt, iface, ...rest] = name.split(',');
  if (targetName === undefined || address === undefined || iface === undefined || rest.length > 0) return undefined;
  return validRef({ targetName, address, port: decimal(port), tpgt: decimal(tpgt), iface });
}

/** `ADDRESS,PORT` or `ADDRESS,PORT,TPGT` as a folder entry; undefined for anything else. */
export function parsePortalName(name: string): { address: string; port: number; tpgt: number | undefined } | undefined {
  const [address, port, tpgt, ...rest] = name.split(',');
  if (address === undefined || port === undefined || rest.length > 0) return undefined;
  const ref = { address, port: decimal(port), tpgt: tpgt === undefined ? undefined : decimal(tpgt) };
  if (ref.tpgt !== undefined && !(ref.tpgt >= 0 && ref.tpgt <= 65_535)) return undefined;
  try {
    return checkPortalRef(ref);
  } catch {
    return undefined;
  }
}

/** By target, then by the name of its portal and the interface, all as texts: the order in which iscsiadm lists records. */
export function compareRefs(a: NodeRef, b: NodeRef): number {
  return order(a.targetName, b.targetName) || order(portalName(a), portalName(b)) || order(a.iface, b.iface);
}

/** What a portal's folder is called, or the file of an older record without a tag. */
function portalName({ address, port, tpgt }: NodeRef): string {
  return tpgt === -1 ? `${address},${port}` : `${address},${port},${tpgt}`;
}

export function sameRef(a: NodeRef, b: NodeRef): boolean {
  return compareRefs(a, b) === 0;
}

function order(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function validRef(ref: NodeRef): NodeRef | undefined {
  try {
    return checkNodeRef(ref);
  } catch {
    return undefined;
  }
}

/** A plain decimal number, or NaN: `Number` alone takes '0x1', '' and ' 1 '. */
function decimal(text: string | undefined): number {
  return text !== undefined && /^(0|[1-9]\d{0,9})$/.test(text) ? Number(text) : Number.NaN;
}
