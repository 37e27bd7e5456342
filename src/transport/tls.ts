// The server's end of TLS, put over a connection that has begun in plain text (NBD_OPT_STARTTLS). TLS 1.2 and 1.3.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { AppError, messageOf, ProtocolError } from '../util/errors.js';

/** By what the two ends prove themselves. PEM texts as they stand in files. */
export type TlsCredentials =
  | {
      readonly kind: 'certificates';
      readonly cert: Buffer;
      readonly key: Buffer;
      /** Who signs the certificates of clients, and which of those are revoked. */
      readonly ca: Buffer | null;
      readonly crl: Buffer | null;
      /** A client without a certificate that `ca` has signed is refused. */
      readonly verifyPeer: boolean;
    }
  /** Pre-shared keys by identity, RFC 4279. */
  | { readonly kind: 'psk'; readonly keys: ReadonlyMap<string, Buffer> };

/** Forward secrecy and authenticated encryption, with what OpenSSL 3.0 has of that for pre-shared keys and TLS 1.2. */
export const PSK_CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-PSK-CHACHA20-POLY1305',
  'DHE-PSK-AES256-GCM-SHA384',
  'DHE-PSK-AES128-GCM-SHA256',
  'DHE-PSK-CHACHA20-POLY1305',
].join(':');
/** Whoever sets TLS up has a bound of its own, which is shorter. Milliseconds. */
const HANDSHAKE_MS = 60_000;

/** Puts TLS over accepted connections. */
export class TlsAcceptor {
  /** Whether clients must prove who they are. Without that TLS keeps others from listening, and nobody from connecting. */
  readonly provesClients: boolean;
  readonly #options: TlsOptions;

  /** @throws AppError ERR_USAGE for certificates and keys that cannot be read or do not belong together */
  constructor(credentials: TlsCredentials) {
    const common = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', handshakeTimeout: HANDSHAKE_MS } as const;
    this.#options = { ...common, ...optionsOf(credentials) };
    this.provesClients = credentials.kind === 'psk' || credentials.verifyPeer;
    try {
      createSecureContext(this.#options);
    } catch (cause) {
      throw new AppError('ERR_USAGE', `TLS certificates or keys cannot be used: ${tlsReason(cause)}`, { cause });
    }
  }

  /**
   * The socket that speaks TLS over `plain`, once the client has proved itself. Rejects with a ProtocolError, both
   * sockets closed, when the client fails to, goes away, or sends something else than TLS.
   */
  accept(plain: Socket): Promise<Socket> {
    return new Promise((resolve, reject) => {
      // One that goes away in the middle of the handshake is to be noticed, not waited for.
      const halfOpen = plain.allowHalfOpen;
      plain.allowHalfOpen = false;
      // A server for each connection: it tells whose handshake has ended, and no session is resumed past a revocation.
      const server = createServer(this.#options);
      server.once('secureConnection', (socket: TLSSocket) => {
        socket.disableRenegotiation();
        socket.allowHalfOpen = halfOpen;
        resolve(socket);
      });
      server.once('tlsClientError', (error, socket) => {
        reject(new ProtocolError('RFC 8446 §4', `TLS handshake failed: ${refusal(error, socket)}`, { cause: error }));
        socket.destroy();
      });
      // Whatever else fails to report it.
      plain.once('close', () => setImmediate(() => reject(new ProtocolError('RFC 8446 §4', 'TLS was not completed'))));
      server.emit('connection', plain);
    });
  }
}

function optionsOf(credentials: TlsCredentials): TlsOptions {
  if (credentials.kind === 'psk') {
    const table = new PskTable(credentials.keys);
    return { ciphers: PSK_CIPHERS, dhparam: 'auto', pskCallback: (_, identity) => table.find(identity) };
  }
  const { cert, key, ca, crl, verifyPeer } = credentials;
  const signers = ca === null ? {} : { ca };
  const revoked = crl === null ? {} : { crl };
  return { cert, key, ...signers, ...revoked, requestCert: verifyPeer, rejectUnauthorized: verifyPeer };
}

/** Looks keys up in a time, and with an outcome, that do not tell which identities there are. */
class PskTable {
  readonly #secret = randomBytes(32);
  readonly #entries: readonly { readonly digest: Buffer; readonly key: Buffer }[];

  constructor(keys: ReadonlyMap<string, Buffer>) {
    this.#entries = [...keys].map(([identity, key]) => ({ digest: this.#digest(identity), key }));
  }

  /** An unknown identity gets a key that nobody knows: its handshake fails just as one with a wrong key (RFC 4279 §2). */
  find(identity: string): Buffer {
    const digest = this.#digest(identity);
    let key = this.#digest(`no such identity: ${identity}`);
    for (const entry of this.#entries) if (timingSafeEqual(entry.digest, digest)) key = entry.key;
    return key;
  }

  #digest(text: string): Buffer {
    return createHmac('sha256', this.#secret).update(text).digest();
  }
}

function refusal(error: Error, socket: TLSSocket): string {
  // Set only where a certificate was asked for and did not do.
  const { authorizationError } = socket;
  if (authorizationError) return `the client's certificate was refused: ${String(authorizationError)}`;
  return (error as { code?: unknown }).code === 'ECONNRESET' ? 'the client went away' : tlsReason(error);
}

/** OpenSSL's own words, without its file names and line ends. */
export function tlsReason(error: unknown): string {
  const { reason, library } = error as { readonly reason?: unknown; readonly library?: unknown };
  if (typeof reason === 'string') return reason;
  const parts = messageOf(error).trim().split(':');
  return parts[0] === 'error' || library !== undefined ? (parts.at(-1) ?? '') : messageOf(error).trim();
}
