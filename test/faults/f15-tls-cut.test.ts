// F15, F16 and F19 for NBD over TLS: clients that go away at every byte from the greeting to a read over TLS, that send
// anything but TLS, that stop in the middle. None of them leaves anything, and the next one is served.
import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { ExportTable } from '../../src/nbd/exports.js';
import { ExportServer } from '../../src/services/export-server.js';
import type { SessionLog } from '../../src/services/session/log.js';
import { certificateAcceptor } from '../../src/services/tls-files.js';
import { BufferPool } from '../../src/util/ref-buffer.js';
import { Authority, opensslMissing } from '../helpers/certificates.js';
import { clientFlags, infoData, option, request } from '../helpers/nbd-wire.js';
import { until } from '../helpers/stream-core.js';
import { count, figure, footprint } from './rig.js';

/** Every so many bytes there is a cut. */
const STRIDE = count('F15_TLS_STRIDE', 4);
const GARBAGE = count('F16_TLS_RUNS', 150);
const ATTACKERS = count('F19_TLS_ATTACKERS', 100);
const AT_ONCE = 8;
const MOST_GROWTH_KIB = 64 * 1024;
const BLOCK = 512;
const MARK = 0xc7;
const Option = { startTls: 5, go: 7 } as const;
const Command = { read: 0, write: 1, disconnect: 2 } as const;

describe('clients that break off or break rules over TLS', { skip: opensslMissing }, () => {
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  const log: SessionLog = { debug: () => {}, info: () => {}, warn: note, error: note };
  let authority: Authority;
  let good: string;
  let ca: Buffer;
  let device: MemoryDevice;
  let server: ExportServer;

  before(async () => {
    authority = new Authority();
    good = authority.issue('good');
    ca = readFileSync(join(good, 'ca-cert.pem'));
    device = new MemoryDevice({ sizeBytes: 2 ** 20 });
    const exports = new ExportTable([{ name: 'lun0', description: '', device, readOnly: false }]);
    const path = { host: '127.0.0.1', port: 0, tls: await certificateAcceptor(good, false) };
    server = await ExportServer.listen({ path, exports, pool: new BufferPool(), log, mostClients: 32 });
  });
  afterEach(() => {
    lines.length = 0;
  });
  after(async () => {
    await server.shutdown(100);
    authority.remove();
  });

  /** A relay that passes `limit` bytes on to the server and then cuts both ends; it keeps what it has passed. */
  async function relay(
    limit: number,
    fin: boolean,
  ): Promise<{ port: number; passed: Buffer[]; said: () => number; server: Server }> {
    const passed: Buffer[] = [];
    let left = limit;
    let said = 0;
    const between = createServer((client) => {
      const behind = connect(server.port, '127.0.0.1');
      const cut = () => {
        if (fin) behind.end();
        else behind.destroy();
        client.destroy();
      };
      behind.on('error', () => {}).on('close', () => client.destroy());
      client.on('error', () => {}).on('close', () => behind.end());
      behind.on('data', (chunk: Buffer) => {
        passed.push(chunk);
        client.write(chunk);
      });
      client.on('data', (chunk: Buffer) => {
        const part = chunk.subarray(0, left);
        left -= part.length;
        said += part.length;
        passed.push(part);
        behind.write(part);
        if (left === 0) cut();
      });
      if (limit === 0) behind.once('connect', cut);
    });
    between.listen(0, '127.0.0.1');
    await once(between, 'listening');
    return { port: (between.address() as { port: number }).port, passed, said: () => said, server: between };
  }

  /** Past STARTTLS. Null where the connection ended before. */
  async function plainPart(port: number): Promise<Socket | null> {
    const socket = connect(port, '127.0.0.1');
    const closed = new Promise<null>((resolve) => socket.on('error', () => {}).once('close', () => resolve(null)));
    const answered = (async () => {
      await until(() => socket.readableLength >= 18 || socket.destroyed, 'greeting');
      socket.read(18);
      socket.write(Buffer.concat([clientFlags(3), option(Option.startTls)]));
      await until(() => socket.readableLength >= 20 || socket.destroyed, 'answer');
      return socket.read(20) === null ? null : socket;
    })();
    return Promise.race([answered, closed]);
  }

  /** A whole visit: TLS, one write and one read of a block. Returns the block, or null where the connection ended. */
  async function visit(port: number): Promise<Buffer | null> {
    const outer = await plainPart(port);
    if (outer === null) return null;
    const inner = connectTls({ socket: outer, ca, servername: 'localhost' });
    let bytes = 0;
    const received: Buffer[] = [];
    inner
      .on('error', () => {})
      .on('data', (chunk: Buffer) => {
        received.push(chunk);
        bytes += chunk.length;
      });
    inner.write(option(Option.go, infoData('lun0')));
    const payload = Buffer.alloc(BLOCK, MARK);
    // The information about the export, 32 bytes, and the end of it, 20.
    await until(() => bytes >= 52 || inner.destroyed, 'the export is open');
    inner.write(request({ type: Command.write, cookie: 1n, offset: 0, payload }));
    inner.write(request({ type: Command.read, cookie: 2n, offset: 0, length: BLOCK }));
    await until(() => bytes >= 52 + 16 + 16 + BLOCK || inner.destroyed, 'both are answered');
    const all = Buffer.concat(received);
    if (all.length < 52 + 32 + BLOCK) return null;
    inner.end(request({ type: Command.disconnect, cookie: 3n }));
    await once(inner, 'close');
    return all.subarray(-BLOCK);
  }
  const settled = async () => {
    await until(() => server.connections === 0, 'all are forgotten');
    return footprint(process.pid);
  };

  it('shows nothing of names and data to whoever listens on the way', async () => {
    const { port, passed, server: between } = await relay(Number.POSITIVE_INFINITY, true);
    const block = await visit(port);
    between.close();
    assert.ok(block?.equals(Buffer.alloc(BLOCK, MARK)));
    const wire = Buffer.concat(passed);
    assert.ok(wire.length > 2 * BLOCK);
    assert.ok(!wire.includes('lun0'));
    assert.ok(!wire.includes(Buffer.alloc(8, MARK)));
    assert.ok(wire.includes('IHAVEOPT'), 'the relay has seen what there was');
  });

  it('that go away at every byte', async () => {
    const { port, said, server: between } = await relay(Number.POSITIVE_INFINITY, true);
    await visit(port);
    between.close();
    const length = said();
    assert.ok(length >= 400, `${length} bytes`);
    await Promise.all(Array.from({ length: AT_ONCE }, () => visit(server.port)));
    const before = await settled();
    let cuts = 0;
    for (let at = 0; at <= length; at += STRIDE * AT_ONCE) {
      const ends = Array.from({ length: AT_ONCE }, (_, i) => at + i * STRIDE);
      await Promise.all(
        ends.map(async (end) => {
          const way = await relay(end, end % 2 === 0);
          await visit(way.port);
          await new Promise((resolve) => way.server.close(resolve));
          cuts++;
        }),
      );
    }
    const after = await settled();
    const block = await visit(server.port);
    assert.ok(block?.equals(Buffer.alloc(BLOCK, MARK)));
    figure('F15', `${cuts} TLS clients cut off, descriptors ${before.descriptors} → ${after.descriptors}`);
    assert.ok(after.descriptors <= before.descriptors, `${before.descriptors} → ${after.descriptors} descriptors`);
    assert.ok(after.rssKiB - before.rssKiB < MOST_GROWTH_KIB, `${before.rssKiB} → ${after.rssKiB} KiB`);
  });

  it('that send anything but TLS: each ends in one line, and the next is served', async () => {
    const kinds: ((bytes: Buffer) => Buffer)[] = [
      (bytes) => bytes,
      // A record of the handshake, of an alert, of data; with a length that does not fit.
      (bytes) => Buffer.concat([Buffer.from('16030100', 'hex'), bytes]),
      (bytes) => Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), bytes]),
      (bytes) => Buffer.concat([Buffer.from('15030300020228', 'hex'), bytes]),
      (bytes) => Buffer.concat([Buffer.from('1703034001', 'hex'), bytes]),
      (bytes) => Buffer.concat([Buffer.from('80', 'hex'), bytes]),
    ];
    for (let i = 0; i < GARBAGE; i += AT_ONCE) {
      const some = Array.from({ length: AT_ONCE }, async (_, k) => {
        const socket = await plainPart(server.port);
        const kind = kinds[(i + k) % kinds.length];
        const bytes = randomFillSync(Buffer.alloc(1 + (((i + k) * 37) % 2000)));
        socket?.resume().end(kind?.(bytes) ?? bytes);
        if (socket !== null && !socket.closed) await once(socket, 'close');
      });
      await Promise.all(some);
    }
    await settled();
    assert.ok(lines.length >= GARBAGE, `${lines.length} lines`);
    for (const line of lines) {
      assert.match(line, /^NBD client 127\.0\.0\.1:\d+ dropped: /);
      assert.doesNotMatch(line, /[\r\n]/);
    }
    assert.ok((await visit(server.port))?.equals(Buffer.alloc(BLOCK, MARK)));
  });

  it('that stop in the middle are gone after ten seconds, TLS and all', async () => {
    const began = performance.now();
    const half = Buffer.from('160301020001', 'hex');
    const stages: (() => Promise<Socket | null>)[] = [
      async () => connect(server.port, '127.0.0.1'),
      () => plainPart(server.port),
      async () => {
        const socket = await plainPart(server.port);
        socket?.write(half);
        return socket;
      },
      async () => {
        const socket = await plainPart(server.port);
        if (socket !== null) {
          const inner = connectTls({ socket, ca, servername: 'localhost' });
          inner.on('error', () => {}).resume();
          await once(inner, 'secureConnect');
        }
        return socket;
      },
    ];
    const lasted = await Promise.all(
      stages.map(async (stage) => {
        const socket = await stage();
        assert.ok(socket !== null);
        socket.on('error', () => {}).resume();
        if (!socket.closed) await once(socket, 'close');
        return performance.now() - began;
      }),
    );
    figure(
      'F19',
      `clients that stopped in four places of the TLS handshake were gone after ${lasted.map((ms) => (ms / 1000).toFixed(1)).join(', ')} s`,
    );
    for (const ms of lasted) assert.ok(ms > 9000 && ms < 20_000, `${ms} ms`);
    assert.equal(lines.filter((line) => line.includes('did not finish its handshake in 10 s')).length, stages.length);
  });

  it('that only occupy places do not keep others out', async () => {
    const attackers = Array.from({ length: ATTACKERS }, () => connect(server.port, '127.0.0.1').on('error', () => {}));
    await sleep(100);
    const began = performance.now();
    const block = await visit(server.port);
    const ms = performance.now() - began;
    for (const socket of attackers) socket.destroy();
    assert.ok(block?.equals(Buffer.alloc(BLOCK, MARK)));
    figure('F19', `${ATTACKERS} idle connections, an honest TLS client served in ${ms.toFixed(0)} ms`);
    assert.ok(ms < 5000, `${ms} ms`);
  });
});
