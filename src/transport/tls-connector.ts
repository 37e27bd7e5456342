// The client's end of TLS, put over a connection that has begun in plain text (NBD_OPT_STARTTLS). TLS 1.2 and 1.3.
import { isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect, createSecureContext } from 'node:tls';
import { AppError, ProtocolError } from '../util/errors.js';
import { PSK_CIPHERS, tlsReason } from './tls.js';

/** By what the server is known, and what it may know us by. PEM texts as they stand in files. */
export type TlsIdentity =
  | {
      readonly kind: 'certificates';
      readonly ca: Buffer;
      readonly own: { readonly cert: Buffer; readonly key: Buffer } | null;
      /** Name or address that the server's certificate must be for. */
      readonly serverName: string;
    }
  /** A pre-shared key, RFC 4279: it proves both ends. */
  | { readonly kind: 'psk'; readonly identity: string; readonly key: Buffer };

/** Puts TLS over outgoing connections. A server that cannot prove itself is refused. */
export class TlsConnector {
  readonly #options: ConnectionOptions;

  /** @throws AppError ERR_USAGE for certificates and keys that cannot be read or do not belong together */
  constructor(identity: TlsIdentity) {
    this.#options = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', ...optionsOf(identity) };
    try {
      createSecureContext(this.#options);
    } catch (cause) {
      throw new AppError('ERR_USAGE', `TLS certificates or keys cannot be used: ${tlsReason(cause)}`, { cause });
    }
  }

  /**
   * The socket that speaks TLS over `plain`, once the server has proved itself. Rejects with a ProtocolError, both sockets
   * closed, when it fails to, goes away, or sends something else than TLS. Bounded by whoever waits.
   */
  connect(plain: Socket): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ ...this.#options, socket: plain });
      const failed = (cause: Error) => {
        reject(new ProtocolError('RFC 8446 §4', `TLS handshake failed: ${tlsReason(cause)}`, { cause }));
        socket.destroy();
        plain.destroy();
      };
      socket.once('error', failed);
      socket.once('secureConnect', () => {
        socket.off('error', failed);
        socket.disableRenegotiation();
        resolve(socket);
      });
      plain.once('close', () => setImmediate(() => reject(new ProtocolError('RFC 8446 §4', 'TLS was not completed'))));
    });
  }
}

function optionsOf(identity: TlsIdentity): ConnectionOptions {
  if (identity.kind === 'psk') {
    const { key: psk, identity: name } = identity;
    // Who has the key is the server; there is no certificate to look at.
    return { ciphers: PSK_CIPHERS, pskCallback: () => ({ psk, identity: name }), checkServerIdentity: () => undefined };
  }
  const { ca, own, serverName } = identity;
  // An address is no server name (RFC 6066 §3), and is checked against the certificate all the same.
  return { ca, ...own, host: serverName, ...(isIP(serverName) === 0 && { servername: serverName }) };
}
