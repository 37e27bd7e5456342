// NBD URIs: nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH, and nbds for TLS (the NBD project's uri.md).
import { AppError } from '../../util/errors.js';

const DEFAULT_PORT = 10_809;
const LONGEST_NAME = 4096;

export interface NbdUri {
  readonly address: { readonly host: string; readonly port: number } | { readonly path: string };
  readonly exportName: string;
  readonly tls: NbdUriTls | null;
}
export interface NbdUriTls {
  /** Of a pre-shared key. */
  readonly identity: string | null;
  /** A folder with ca-cert.pem and maybe client-cert.pem and client-key.pem. */
  readonly certificates: string | null;
  readonly pskFile: string | null;
  /** Name that the server's certificate is for, where that is not the one in the URI. */
  readonly hostname: string | null;
}

/** @throws AppError ERR_USAGE, which does not repeat the part before an `@` */
export function parseNbdUri(text: string): NbdUri {
  const match = /^(nbds?)(\+unix)?:\/\/([^/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(text);
  if (match === null) throw refusal('is written nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH');
  const [, scheme, unix, authority = '', path = '', query = ''] = match;
  const parameters = new URLSearchParams(query);
  const exportName = decode(path.slice(1));
  if (Buffer.byteLength(exportName) > LONGEST_NAME) throw refusal('has a name of more than 4096 bytes');
  const at = authority.lastIndexOf('@');
  const tls = scheme === 'nbds' ? tlsOf(at < 0 ? null : decode(authority.slice(0, at)), parameters) : null;
  const address =
    unix === undefined ? tcpAddress(authority.slice(at + 1)) : unixAddress(authority.slice(at + 1), parameters);
  for (const key of parameters.keys()) throw refusal(`has the parameter ${key}, which means nothing here`);
  return { address, exportName, tls };
}

function take(parameters: URLSearchParams, key: string): string | null {
  const value = parameters.get(key);
  parameters.delete(key);
  return value;
}
function tlsOf(identity: string | null, parameters: URLSearchParams): NbdUriTls {
  const certificates = take(parameters, 'tls-certificates');
  const pskFile = take(parameters, 'tls-psk-file');
  const hostname = take(parameters, 'tls-hostname');
  if ((certificates === null) === (pskFile === null)) {
    throw refusal('by TLS needs one of tls-certificates=FOLDER and tls-psk-file=FILE');
  }
  return { identity, certificates, pskFile, hostname };
}
function unixAddress(authority: string, parameters: URLSearchParams): { path: string } {
  const path = take(parameters, 'socket');
  if (authority !== '') throw refusal('over a unix socket has no host: nbd+unix:///EXPORT?socket=PATH');
  if (path === null || path === '') throw refusal('over a unix socket ends with ?socket=PATH');
  return { path };
}
function tcpAddress(authority: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(authority);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? DEFAULT_PORT);
  if (host === undefined || port < 1 || port > 65_535) throw refusal('needs a host: nbd://HOST[:PORT]/EXPORT');
  return { host, port };
}
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refusal('has a % that is no %XX');
  }
}
function refusal(what: string): AppError {
  return new AppError('ERR_USAGE', `an NBD URI ${what}`);
}
