// What an NBD server or client proves itself with by TLS, from files: certificates in the folder layout that libnbd and QEMU share,
// pre-shared keys in the format of GnuTLS's psktool.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { TlsAcceptor } from '../transport/tls.js';
import { TlsConnector } from '../transport/tls-connector.js';
import { AppError } from '../util/errors.js';
import { readPrivateFile, readPublicFile } from '../util/private-file.js';

/** Bundles of all the world's authorities have a quarter of this; a revocation list may be long. */
const LARGEST_PEM = 2 ** 20;
const LARGEST_PSK_FILE = 2 ** 20;
/** RFC 4279 §5.3 asks for 128 and 64 bytes. OpenSSL takes 256 of each, and an identity is no word that is typed. */
const LONGEST_IDENTITY = 128;
const LONGEST_KEY = 64;
/** psktool makes 32. Fewer than 16 can be guessed by whoever has seen one handshake. */
const SHORTEST_KEY = 16;

/**
 * From a folder with server-cert.pem, server-key.pem (for its owner alone) and, for the certificates of clients,
 * ca-cert.pem and ca-crl.pem. `verifyPeer`: whether clients need one; undefined: if there is a ca-cert.pem.
 * @throws AppError ERR_USAGE, ERR_ACCESS
 */
export async function certificateAcceptor(folder: string, verifyPeer: boolean | undefined): Promise<TlsAcceptor> {
  const file = (name: string) => join(folder, name);
  const optional = (name: string) =>
    existsSync(file(name)) ? readPublicFile('certificate file', file(name), LARGEST_PEM) : null;
  const key = await readPrivateFile('key file', file('server-key.pem'), LARGEST_PEM);
  const cert = await readPublicFile('certificate file', file('server-cert.pem'), LARGEST_PEM);
  const ca = await optional('ca-cert.pem');
  const crl = await optional('ca-crl.pem');
  if (verifyPeer === true && ca === null) {
    throw new AppError('ERR_USAGE', `certificates of clients cannot be verified: there is no ${file('ca-cert.pem')}`);
  }
  return new TlsAcceptor({ kind: 'certificates', cert, key, ca, crl, verifyPeer: verifyPeer ?? ca !== null });
}

/** From a file of lines `identity:hexadecimal key`. @throws AppError ERR_USAGE, ERR_ACCESS */
export async function pskAcceptor(file: string): Promise<TlsAcceptor> {
  return new TlsAcceptor({ kind: 'psk', keys: await readKeys(file) });
}

/**
 * For a client, from a folder with ca-cert.pem and, if the server wants to know who we are, client-cert.pem and
 * client-key.pem (for its owner alone). `serverName`: what the server's certificate must be for. @throws AppError
 */
export async function certificateConnector(folder: string, serverName: string): Promise<TlsConnector> {
  const file = (name: string) => join(folder, name);
  const ca = await readPublicFile('certificate file', file('ca-cert.pem'), LARGEST_PEM);
  if (!existsSync(file('client-cert.pem')))
    return new TlsConnector({ kind: 'certificates', ca, own: null, serverName });
  const key = await readPrivateFile('key file', file('client-key.pem'), LARGEST_PEM);
  const cert = await readPublicFile('certificate file', file('client-cert.pem'), LARGEST_PEM);
  return new TlsConnector({ kind: 'certificates', ca, own: { cert, key }, serverName });
}

/** For a client: the key of `identity`, or the only one that the file has. @throws AppError */
export async function pskConnector(file: string, identity: string | null): Promise<TlsConnector> {
  const keys = await readKeys(file);
  const [only] = keys.keys();
  const name = identity ?? (keys.size === 1 ? only : undefined);
  const key = name === undefined ? undefined : keys.get(name);
  if (name !== undefined && key !== undefined) return new TlsConnector({ kind: 'psk', identity: name, key });
  const hint = 'name one in the URI: nbds://IDENTITY@HOST/…';
  throw new AppError('ERR_USAGE', `${file} has no key of ${identity ?? 'one identity only'}`, { hint });
}

async function readKeys(file: string): Promise<Map<string, Buffer>> {
  const text = (await readPrivateFile('key file', file, LARGEST_PSK_FILE)).toString('utf8');
  const keys = new Map<string, Buffer>();
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const { identity, key } = readKey(line, `${file}, line ${i + 1}`);
    if (keys.has(identity)) throw new AppError('ERR_USAGE', `${file}, line ${i + 1}: a second key of that identity`);
    keys.set(identity, key);
  }
  if (keys.size === 0) throw new AppError('ERR_USAGE', `${file} holds no key`, { hint: HINT });
  return keys;
}

const HINT = 'lines are written IDENTITY:KEY, the key in hexadecimal; psktool -u IDENTITY -p FILE makes one';

/** Nothing of the line may be shown: it holds a secret. */
function readKey(line: string, where: string): { identity: string; key: Buffer } {
  const refuse = (why: string) => new AppError('ERR_USAGE', `${where}: ${why}`, { hint: HINT });
  const at = line.lastIndexOf(':');
  const identity = line.slice(0, at);
  const hex = line.slice(at + 1);
  if (at <= 0 || !/^(?:[0-9a-fA-F]{2})+$/.test(hex)) throw refuse('not an identity and a key');
  if (Buffer.byteLength(identity) > LONGEST_IDENTITY)
    throw refuse(`an identity of more than ${LONGEST_IDENTITY} bytes`);
  const key = Buffer.from(hex, 'hex');
  if (key.length < SHORTEST_KEY) throw refuse(`a key of less than ${SHORTEST_KEY} bytes`);
  if (key.length > LONGEST_KEY) throw refuse(`a key of more than ${LONGEST_KEY} bytes`);
  return { identity, key };
}
