// RST, where it can still be sent.
import type { Socket } from 'node:net';

/** Node cannot reset a socket whose FIN is out: it would keep the descriptor for ever. Such a one is closed. */
export function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
