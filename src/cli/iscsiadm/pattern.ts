// What -T, -p and -I say together: which records or sessions are meant, matched as iscsiadm does.
import { DEFAULT_PORT } from '../../iscsi/portal.js';
import type { Call } from './call.js';

/** As open-iscsi has it for "nobody has told". */
const NO_TAG = -1;

export interface PortalWord {
  /** Without brackets; '' matches every address. */
  readonly address: string;
  /** Null where none was given. What is no number is 0, as strtoul has it. */
  readonly port: number | null;
  /** −1 where none was given. */
  readonly tpgt: number;
}

/** An absent part matches everything. */
export interface Pattern {
  readonly targetName?: string | undefined;
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  /** Counts for new records alone. */
  readonly tpgt: number;
  readonly iface?: string | undefined;
  /** One session alone. */
  readonly sid?: number | undefined;
}

/** `HOST[:PORT][,TPGT]`, IPv6 bare or in brackets, read as leniently as iscsiadm does; undefined for an open bracket. */
export function readPortalWord(word: string): PortalWord | undefined {
  let address: string;
  let rest: string;
  if (word.startsWith('[') && !word.includes('.')) {
    const end = word.indexOf(']');
    if (end === -1) return undefined;
    address = word.slice(1, end);
    rest = word.slice(end + 1);
  } else {
    const colon = word.indexOf(':');
    const bareIPv6 = !word.includes('.') && word.indexOf(':', colon + 1) > colon && colon !== -1;
    const end = bareIPv6 || colon === -1 ? word.indexOf(',') : colon;
    address = end === -1 ? word : word.slice(0, end);
    rest = end === -1 ? '' : word.slice(end);
  }
  const [, port, tpgt] = /^[^:,]*(?::([^,]*))?(?:,(.*))?$/s.exec(rest) ?? [];
  return {
    address,
    port: port === undefined ? null : leadingNumber(port),
    tpgt: tpgt === undefined ? NO_TAG : leadingNumber(tpgt),
  };
}

/** As strtoul(3). */
function leadingNumber(text: string): number {
  return Number.parseInt(text, 10) || 0;
}

/** The portal of -p, or undefined. Without a port it is port 3260. */
export function portalOf({ options }: Pick<Call, 'options'>): (PortalWord & { readonly port: number }) | undefined {
  const word = options.text('p');
  const portal = word === undefined ? undefined : readPortalWord(word);
  return portal && { ...portal, port: portal.port ?? DEFAULT_PORT };
}

/** What the options of mode node mean. */
export function patternOf(call: Pick<Call, 'options'>): Pattern {
  const { options } = call;
  const portal = portalOf(call);
  return {
    targetName: options.text('T') || undefined,
    address: portal?.address || undefined,
    port: portal?.port,
    tpgt: portal?.tpgt ?? NO_TAG,
    iface: options.all('I')[0],
  };
}

interface Way {
  readonly targetName: string;
  readonly address: string;
  readonly port: number;
  readonly iface: string;
  /** Of a session. */
  readonly sid?: number;
}

/** For listings: names and addresses as they are written. */
export function matchesByText(pattern: Pattern, way: Way): boolean {
  return matchesRest(pattern, way) && (pattern.address === undefined || pattern.address === way.address);
}

/** For changes, logins and logouts: an address also fits if both names lead to the same one. */
export async function matches(pattern: Pattern, way: Way): Promise<boolean> {
  if (!matchesRest(pattern, way)) return false;
  if (pattern.address === undefined || pattern.address === way.address) return true;
  const { sameAddress } = await import('../../transport/same-address.js');
  return await sameAddress(pattern.address, way.address);
}

function matchesRest({ targetName, port, iface, sid }: Pattern, way: Way): boolean {
  return (
    (sid === undefined || way.sid === undefined || sid === way.sid) &&
    (targetName === undefined || targetName === way.targetName) &&
    (port === undefined || port === way.port) &&
    (iface === undefined || iface === way.iface)
  );
}
