// Where an export is served: a unix socket, TCP with TLS, or plain TCP on an address that no other host reaches.
import { lstatSync } from 'node:fs';
import { hostname } from 'node:os';
import { connectUnix, formatEndpoint } from '../../transport/connect.js';
import { isLoopback } from '../../transport/loopback.js';
import type { TlsAcceptor } from '../../transport/tls.js';
import { checkSocketPath } from '../../transport/unix-path.js';
import { AppError } from '../../util/errors.js';
import type { ExportServer, TcpAddress } from '../export-server.js';
import { nbdUri } from '../session/exports.js';

export type Place =
  /** `path` null: in the run folder. */
  | { readonly kind: 'unix'; readonly path: string | null }
  /** `tls` null: in plain text. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls: TlsAcceptor | null };

/** IANA's for NBD. */
const DEFAULT_PORT = 10_809;
const PROBE_MS = 2000;
const BRACKETED = /^\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?$/;
const PLAIN = /^([^:[\]/@\s]+)(?::(\d{1,5}))?$/;

/** ADDRESS, ADDRESS:PORT or [IPV6]:PORT; port 0 lets the system choose. @throws AppError ERR_USAGE */
export function parseListenAddress(text: string): { readonly host: string; readonly port: number } {
  // An IPv6 address alone can be told from host and port by its second colon.
  const match = BRACKETED.exec(text) ?? PLAIN.exec(text) ?? BRACKETED.exec(`[${text}]`);
  const [, host = '', port = String(DEFAULT_PORT)] = match ?? [];
  if (host === '' || !URL.canParse(`http://${formatEndpoint(host, Number(port))}/`)) {
    throw new AppError('ERR_USAGE', `"${text}" is no address to listen on`, {
      hint: 'write ADDRESS, ADDRESS:PORT or [IPV6]:PORT',
    });
  }
  return { host: host === 'localhost' ? '127.0.0.1' : host, port: Number(port) };
}

/**
 * Throws ERR_USAGE for plain text on an address that others reach, ERR_BUSY for a socket that somebody serves. A socket
 * that nobody serves is in nobody's way: it is replaced.
 */
export async function checkPlace(place: Place): Promise<void> {
  if (place.kind === 'tcp') {
    if (place.tls !== null || isLoopback(place.host)) return;
    throw new AppError('ERR_USAGE', `plain NBD is served on loopback addresses only, and ${place.host} is none`, {
      hint: 'add --tls-certificates DIR or --tls-psk FILE',
    });
  }
  if (place.path === null) return;
  checkSocketPath(place.path);
  const found = lstatSync(place.path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new AppError('ERR_USAGE', `${place.path} exists and is no socket`);
  const wire = await connectUnix(place.path, { timeoutMs: PROBE_MS }).catch(() => null);
  if (wire === null) return;
  wire.destroy();
  throw new AppError('ERR_BUSY', `cannot listen on ${place.path}: somebody serves it already`);
}

/** Who may connect without a proof, in words; null where nobody may. */
export function openTo(place: Place): string | null {
  if (place.kind === 'unix' || place.tls?.provesClients === true) return null;
  return isLoopback(place.host) ? 'every user of this host' : 'everybody who reaches this address';
}

/** `socket`: the path in the run folder. */
export function placeFor(place: Place, socket: string): string | TcpAddress {
  return place.kind === 'unix' ? (place.path ?? socket) : place;
}

/** The NBD URI of an export of `server`, as qemu, libnbd and nbd-client take it. */
export function uriAt(place: Place, server: ExportServer, exportName: string): string {
  if (place.kind === 'unix') return nbdUri(server.path, exportName);
  // A client needs a name of this host that it can reach; every address at once is none.
  const host = ['::', '0.0.0.0'].includes(server.path) ? hostname() : server.path;
  return `${place.tls === null ? 'nbd' : 'nbds'}://${formatEndpoint(host, server.port)}/${encodeURIComponent(exportName)}`;
}
