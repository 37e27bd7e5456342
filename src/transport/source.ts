// The local address that an outgoing connection is bound to: as given, or one of a network interface.
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { AppError } from '../util/errors.js';

/**
 * Where connections come from: the first of the three that is set counts. An interface stands for its addresses as they
 * are when a connection is made. It does not tie packets to that interface: Node has no SO_BINDTODEVICE, so the routes
 * for the address still decide where they leave.
 */
export interface Source {
  /** IPv4 or IPv6, of this host; a link-local one may carry its %zone. */
  readonly address?: string;
  /** Name of a network interface. */
  readonly netdev?: string;
  /** Hardware address of a network interface, as 52:54:00:12:34:56. */
  readonly hwaddress?: string;
}

type Interfaces = ReturnType<typeof networkInterfaces>;

/** The address to bind to for a connection to `remote`, of its family. @throws AppError ERR_CONNECT if there is none */
export function sourceAddress(
  source: Source,
  remote: string,
  interfaces: () => Interfaces = networkInterfaces,
): string {
  const family = isIP(remote);
  if (source.address !== undefined) {
    if (isIP(source.address) === family) return source.address;
    throw noSource(`${source.address} cannot be the source of a connection to ${remote}`);
  }
  const all = interfaces();
  const name = source.netdev ?? nameOf(source.hwaddress ?? '', all);
  if (name === undefined) throw noSource(`no interface that is up has hardware address ${source.hwaddress}`);
  const usable = (all[name] ?? []).filter((entry) => entry.family === `IPv${family}`).map(({ address }) => address);
  // A link-local address talks to its own link only, and nothing else talks to a link-local one.
  const found = usable.find((address) => isLinkLocal(address) === isLinkLocal(remote));
  if (found === undefined) throw noSource(`interface ${name} has no IPv${family} address for ${remote}, or is not up`);
  return isLinkLocal(found) ? `${found}%${name}` : found;
}

function nameOf(hwaddress: string, interfaces: Interfaces): string | undefined {
  const wanted = hwaddress.toLowerCase();
  return Object.entries(interfaces).find(([, entries]) => entries?.some(({ mac }) => mac === wanted))?.[0];
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address);
}

function noSource(message: string): AppError {
  return new AppError('ERR_CONNECT', message, {
    retriable: true,
    hint: 'the iface record says where connections come from: iface.ipaddress, iface.net_ifacename, iface.hwaddress',
  });
}
