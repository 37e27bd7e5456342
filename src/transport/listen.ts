// Listeners, TCP and unix: each accepted connection becomes a Wire that waits for its core.
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { AppError, messageOf } from '../util/errors.js';
import { formatEndpoint } from './connect.js';
import { moveToOnRead } from './handle.js';
import { ReceiveBuffers } from './receive-buffers.js';
import { bindPrivately } from './unix-path.js';
import { Wire } from './wire.js';

export interface Listener {
  /** What it listens on: the address and the port that the system chose, or the path and 0. */
  readonly address: string;
  readonly port: number;
  /** The connections that are open. */
  readonly connections: ReadonlySet<Wire>;
  /** Stops listening and closes every connection; settles when all descriptors are closed. Idempotent. */
  close(): Promise<void>;
  /** Stops listening, leaves the connections alone. */
  stop(): void;
}

/** Called for each accepted connection. A throw closes that connection. */
export type OnConnection = (wire: Wire) => void;

/**
 * Listens on TCP. `port` 0 lets the system choose. `plain`: its connections can do `replaceSocket`. Throws ERR_BUSY for an
 * address in use, ERR_ACCESS or ERR_CONNECT.
 */
export function listenTcp(
  host: string,
  port: number,
  onConnection: OnConnection,
  { plain = false } = {},
): Promise<Listener> {
  return listen({ host, port }, formatEndpoint(host, port), onConnection, plain);
}

/**
 * Listens on a unix socket that only this user may open (0600 from its first moment). A socket file that a dead process
 * has left is replaced; the caller knows that nobody lives behind it.
 */
export function listenUnix(path: string, onConnection: OnConnection): Promise<Listener> {
  return bindPrivately(path, () => listen({ path }, path, onConnection));
}

async function listen(to: ListenOptions, name: string, onConnection: OnConnection, plain = false): Promise<Listener> {
  const connections = new Set<Wire>();
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    accept(socket, connections, onConnection, plain);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenError(name, error)));
    server.listen(to, resolve);
  });
  // A failed accept (too many descriptors) must not end the process.
  server.removeAllListeners('error').on('error', () => {});
  const at = server.address();
  const [address, port] = typeof at === 'object' && at !== null ? [at.address, at.port] : [to.path ?? name, 0];
  return { address, port, connections, close: () => close(server, connections), stop: () => void server.close() };
}

function accept(socket: Socket, connections: Set<Wire>, onConnection: OnConnection, plain: boolean): void {
  const name =
    socket.remoteAddress === undefined
      ? 'a local client'
      : formatEndpoint(socket.remoteAddress, socket.remotePort ?? 0);
  const buffers = new ReceiveBuffers();
  const moved = plain || buffers.onread === undefined ? null : moveToOnRead(socket, buffers.onread);
  const wire = new Wire(moved ?? socket, buffers, { name, plain: moved === null });
  connections.add(wire);
  wire.gone().then(() => connections.delete(wire));
  try {
    onConnection(wire);
  } catch (error) {
    wire.destroy(new AppError('ERR_INTERNAL', messageOf(error), { cause: error }));
  }
}

async function close(server: Server, connections: ReadonlySet<Wire>): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  for (const wire of connections) wire.destroy();
  await Promise.all([...connections].map((wire) => wire.gone()));
  await closed;
}

function listenError(name: string, error: Error): AppError {
  const code = (error as { code?: unknown }).code;
  if (code === 'EADDRINUSE') {
    return new AppError('ERR_BUSY', `cannot listen on ${name}: address in use`, { cause: error });
  }
  if (code === 'EADDRNOTAVAIL') {
    return new AppError('ERR_CONNECT', `cannot listen on ${name}: it is not an address of this host`, { cause: error });
  }
  if (code === 'EACCES')
    return new AppError('ERR_ACCESS', `cannot listen on ${name}: permission denied`, { cause: error });
  return new AppError('ERR_CONNECT', `cannot listen on ${name}: ${messageOf(error)}`, { cause: error });
}
