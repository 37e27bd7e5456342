// Two connected wires over a real socket.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectTcp, connectUnix } from '../../src/transport/connect.js';
import { type Listener, listenTcp, listenUnix } from '../../src/transport/listen.js';
import type { Wire } from '../../src/transport/wire.js';

export interface WirePair {
  readonly client: Wire;
  readonly server: Wire;
  close(): Promise<void>;
}

/** `kind` chooses the socket family; a unix socket holds little, so back-pressure comes soon. */
export async function wirePair(kind: 'tcp' | 'unix'): Promise<WirePair> {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-wire-'));
  let accepted: (wire: Wire) => void = () => {};
  const server = new Promise<Wire>((resolve) => {
    accepted = resolve;
  });
  let listener: Listener;
  let client: Wire;
  if (kind === 'tcp') {
    listener = await listenTcp('127.0.0.1', 0, (wire) => accepted(wire));
    client = await connectTcp({ host: '127.0.0.1', port: listener.port }, { timeoutMs: 2000 });
  } else {
    const path = join(folder, 'w.sock');
    listener = await listenUnix(path, (wire) => accepted(wire));
    client = await connectUnix(path, { timeoutMs: 2000 });
  }
  return {
    client,
    server: await server,
    async close() {
      client.destroy();
      await Promise.all([client.gone(), listener.close()]);
      rmSync(folder, { recursive: true });
    },
  };
}
