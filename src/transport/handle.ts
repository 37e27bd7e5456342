// What Node keeps behind a net.Socket and does not document: the libuv handle. Every use of it stands here, is tested
// for before it is made, and has a plain way beside it (LUNCTL_PLAIN_SOCKETS=1 takes that way everywhere).
import { Socket } from 'node:net';

/** The part of a libuv stream handle that is used. */
interface StreamHandle {
  readonly fd?: unknown;
  readonly useUserBuffer?: unknown;
  readonly writeQueueSize?: unknown;
}

/** How `net.Socket` reads into memory of the caller's choice. */
export interface OnRead {
  /** Asked once at the start and after each read for the memory of the next one. */
  buffer(): Uint8Array;
  /** `length` bytes have landed. False stops reading until `resume()`. */
  callback(length: number, buffer: Uint8Array): boolean;
}

/** Whether sockets are to be used by their documented interface alone. */
export function plainSockets(): boolean {
  return process.env.LUNCTL_PLAIN_SOCKETS === '1';
}

function handleOf(socket: Socket): StreamHandle | null {
  return (socket as unknown as { _handle?: StreamHandle | null })._handle ?? null;
}

/** The descriptor of a live socket, or null. Valid only until control returns to the event loop. */
export function socketDescriptor(socket: Socket): number | null {
  if (socket.destroyed || socket.connecting) return null;
  const fd = handleOf(socket)?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : null;
}

/** Bytes of a write under way that the kernel has not taken yet; null where that is not shown. */
export function unsentBytes(socket: Socket): number | null {
  const size = handleOf(socket)?.writeQueueSize;
  return typeof size === 'number' ? size : null;
}

/**
 * Moves a connection accepted with `pauseOnConnect` into a socket that reads by `onread`, an option that only outgoing
 * connections have. Null if this Node cannot do it; the accepted socket is then as it was. The new socket is paused.
 */
export function moveToOnRead(accepted: Socket, onread: OnRead): Socket | null {
  const handle = handleOf(accepted);
  if (plainSockets() || handle === null || typeof handle.useUserBuffer !== 'function') return null;
  (accepted as unknown as { _handle: StreamHandle | null })._handle = null;
  // Without its handle the old object has nothing to close; this only takes it off its server's count.
  accepted.destroy();
  return new Socket({ handle, onread, pauseOnCreate: true, allowHalfOpen: true } as unknown as ConstructorParameters<
    typeof Socket
  >[0]);
}
