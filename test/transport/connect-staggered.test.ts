// Connecting again and again without giving up the older tries: the first answer counts, and nothing is left open.
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { connectStaggered } from '../../src/transport/connect-staggered.js';
import { until } from '../helpers/stream-core.js';
import { freePort } from '../helpers/tgt.js';

const handles = () =>
  process.getActiveResourcesInfo().filter((kind) => /TCPSOCKET|TCPConnect|Timeout/i.test(kind)).length;

test('connects, is refused, and is interrupted as a plain connect is', async () => {
  const server: Server = createServer((socket) => socket.resume());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const wire = await connectStaggered({ host: '127.0.0.1', port }, { timeoutMs: 2000 });
  assert.equal(wire.remotePort, port);
  wire.destroy();
  await wire.gone();
  const closed = await freePort();
  await assert.rejects(connectStaggered({ host: '127.0.0.1', port: closed }, { timeoutMs: 2000 }), {
    code: 'ERR_CONNECT',
    message: /refused/,
  });
  for (const early of [true, false]) {
    const give = new AbortController();
    if (early) give.abort();
    else setTimeout(() => give.abort(), 50);
    // TEST-NET-1 of RFC 5737: nobody answers, or the network says at once that nobody can be reached.
    await assert.rejects(
      connectStaggered({ host: '192.0.2.1', port: 3260 }, { timeoutMs: 2000, signal: give.signal }),
      {
        code: /ERR_INTERRUPTED|ERR_CONNECT/,
      },
    );
  }
  server.close();
  await until(() => handles() === 0, 'every socket and timer is gone');
});
