import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, it } from 'node:test';
import { connectTcp } from '../../src/transport/connect.js';
import { listenTcp } from '../../src/transport/listen.js';
import { sourceAddress } from '../../src/transport/source.js';
import { until } from '../helpers/stream-core.js';

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
    await until(() => seen.length > 0, 'it has come in');
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

  it('comes from the address that it is told to', async () => {
    const seen: string[] = [];
    const listener = await listenTcp('127.0.0.1', 0, (wire) => void seen.push(wire.remoteAddress));
    const to = { host: '127.0.0.1', port: listener.port };
    for (const source of [{ address: '127.0.0.7' }, { netdev: 'lo' }]) {
      const wire = await connectTcp(to, { timeoutMs: 2000, source });
      seen.push(wire.localAddress);
      wire.destroy();
    }
    await listener.close();
    assert.deepEqual(seen.sort(), ['127.0.0.1', '127.0.0.1', '127.0.0.7', '127.0.0.7']);
    await assert.rejects(connectTcp(to, { timeoutMs: 2000, source: { address: '192.0.2.7' } }), {
      code: 'ERR_CONNECT',
      message: /address not available/,
    });
  });

  it('reaches IPv6 addresses, link-local ones by their zone', async (t) => {
    const [zone, entries] = Object.entries(networkInterfaces()).find(([, all]) =>
      all?.some(({ address }) => address.startsWith('fe80:')),
    ) ?? ['', []];
    const local = entries?.find(({ address }) => address.startsWith('fe80:'))?.address;
    if (local === undefined) return t.skip('no interface has a link-local address');
    const host = `${local}%${zone}`;
    const listener = await listenTcp(host, 0, () => {});
    for (const source of [undefined, { netdev: zone }, { address: host }]) {
      const wire = await connectTcp({ host, port: listener.port }, { timeoutMs: 2000, source });
      assert.equal(wire.localAddress, host);
      wire.destroy();
    }
    await listener.close();
    await assert.rejects(connectTcp({ host, port: listener.port }, { timeoutMs: 2000 }), {
      message: `cannot connect to [${host}]:${listener.port}: connection refused`,
    });
  });
});

describe('the source of a connection', () => {
  const entry = (address: string, family: 'IPv4' | 'IPv6') => ({ address, family, mac: '52:54:00:12:34:56' });
  const interfaces = () =>
    ({
      eth0: [entry('10.0.0.2', 'IPv4'), entry('fe80::2', 'IPv6'), entry('2001:db8::2', 'IPv6')],
      eth1: [{ ...entry('10.1.0.2', 'IPv4'), mac: '52:54:00:00:00:01' }],
    }) as unknown as ReturnType<typeof networkInterfaces>;
  const from = (source: Parameters<typeof sourceAddress>[0], remote: string) =>
    sourceAddress(source, remote, interfaces);

  it('is of the family and scope of the remote address', () => {
    assert.equal(from({ netdev: 'eth0' }, '10.9.9.9'), '10.0.0.2');
    assert.equal(from({ netdev: 'eth0' }, '2001:db8::1'), '2001:db8::2');
    assert.equal(from({ netdev: 'eth0' }, 'fe80::1%eth0'), 'fe80::2%eth0');
    assert.equal(from({ hwaddress: '52:54:00:00:00:01' }, '10.9.9.9'), '10.1.0.2');
    assert.equal(from({ address: '10.0.0.3', netdev: 'eth1' }, '10.9.9.9'), '10.0.0.3');
  });

  it('is missed in words', () => {
    const refused = (source: Parameters<typeof sourceAddress>[0], remote: string, message: RegExp) =>
      assert.throws(() => from(source, remote), { code: 'ERR_CONNECT', message });
    refused({ netdev: 'eth1' }, '2001:db8::1', /interface eth1 has no IPv6 address/);
    refused({ netdev: 'eth7' }, '10.9.9.9', /interface eth7 has no IPv4 address/);
    refused({ hwaddress: '00:00:00:00:00:09' }, '10.9.9.9', /no interface .* 00:00:00:00:00:09/);
    refused({ address: '10.0.0.2' }, '2001:db8::1', /10\.0\.0\.2 cannot be the source/);
  });
});
