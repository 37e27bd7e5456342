import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { connectTcp } from '../../src/transport/connect.js';
import { listenTcp } from '../../src/transport/listen.js';

describe('connecting', () => {
  it('knows both ends by address and port', async () => {
    const listener = await listenTcp('127.0.0.1', 0, () => {});
    const wire = await connectTcp({ host: 'localhost', port: listener.port }, { timeoutMs: 2000 });
    assert.equal(wire.remoteAddress, '127.0.0.1');
    assert.equal(wire.remotePort, listener.port);
    assert.equal(wire.localAddress, '127.0.0.1');
    wire.destroy();
    await listener.close();
  });

  it('shows an IPv4 peer of a dual-stack listener as such', async () => {
    const seen: string[] = [];
    const listener = await listenTcp('::', 0, (wire) => void seen.push(wire.remoteAddress));
    const wire = await connectTcp({ host: '127.0.0.1', port: listener.port }, { timeoutMs: 2000 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(seen, ['127.0.0.1']);
    wire.destroy();
    await listener.close();
  });

  it('tells refusal, an unknown name and an interruption apart', async () => {
    const free = createServer();
    await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
    const { port } = free.address() as { port: number };
    await new Promise((resolve) => free.close(resolve));
    await assert.rejects(connectTcp({ host: '127.0.0.1', port }, { timeoutMs: 2000 }), {
      code: 'ERR_CONNECT',
      message: `cannot connect to 127.0.0.1:${port}: connection refused`,
    });
    await assert.rejects(connectTcp({ host: 'no-such-host.invalid', port: 3260 }, { timeoutMs: 5000 }), {
      code: 'ERR_TRANSPORT',
      message: /cannot resolve no-such-host\.invalid/,
    });
    const controller = new AbortController();
    controller.abort();
    await assert.rejects(connectTcp({ host: '127.0.0.1', port }, { timeoutMs: 2000, signal: controller.signal }), {
      code: 'ERR_INTERRUPTED',
    });
  });
});
