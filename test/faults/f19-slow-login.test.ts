// F19: logins that never come to an end, from either side: each is bounded as a whole, not byte by byte.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectSocket, createServer, type Server as NetServer, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { Server } from '../../src/services/serve/options.js';
import { lateness } from '../helpers/lateness.js';
import { serveDisks } from '../helpers/own-target.js';
import { FAKE_TARGET } from './fake-server.js';
import { connect } from './initiator.js';
import { count } from './rig.js';

/** Slow attackers at our own target; a thousand in the long form. */
const ATTACKERS = count('F19_ATTACKERS', 100);
const LOGIN_MS = 1500;

describe('F19 an initiator before a target that', { concurrency: true }, () => {
  const servers: NetServer[] = [];
  const sockets = new Set<Socket>();
  after(() => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers) server.close();
  });
  const listen = async (onSocket: (socket: Socket) => void): Promise<number> => {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      onSocket(socket);
    }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return (server.address() as { port: number }).port;
  };
  /** Sends `bytes` one by one, `ms` apart. */
  const drip = (socket: Socket, bytes: Buffer, ms: number) => {
    let at = 0;
    const timer = setInterval(() => socket.write(bytes.subarray(at % bytes.length, (at++ % bytes.length) + 1)), ms);
    socket.on('close', () => clearInterval(timer));
  };
  /** A Login Response that leaves the login where it is, again and again. */
  const goOn = (request: Buffer): Buffer => {
    const b = Buffer.alloc(48);
    b[0] = 0x23;
    b[1] = (request[1] as number) & 0x0c;
    request.copy(b, 8, 8, 14);
    request.copy(b, 16, 16, 20);
    request.copy(b, 24, 28, 32);
    request.copy(b, 28, 24, 28);
    b.writeUInt32BE(request.readUInt32BE(24) + 8, 32);
    return b;
  };

  for (const [what, behave] of [
    ['accepts and says nothing', (socket: Socket) => socket.resume()],
    ['does not even read', (socket: Socket) => socket.pause()],
    ['sends a byte every 100 ms', (socket: Socket) => drip(socket.resume(), goOn(Buffer.alloc(48)), 100)],
    ['stops within a header', (socket: Socket) => socket.resume().write(goOn(Buffer.alloc(48)).subarray(0, 20))],
  ] as const) {
    it(`${what} gives up after its login timeout`, async () => {
      const port = await listen(behave);
      const late = lateness();
      const began = performance.now();
      await assert.rejects(connect(port, { timeoutMs: LOGIN_MS }), {
        code: 'ERR_CONNECT',
        message: new RegExp(`cannot log in to ${FAKE_TARGET} at 127\\.0\\.0\\.1:${port}: no answer`),
      });
      const took = performance.now() - began;
      assert.ok(took > LOGIN_MS - 100 && took < LOGIN_MS + 1500 + late(), `${took} ms`);
    });
  }

  it('answers slowly, round after round, gives up after its login timeout too', async () => {
    const port = await listen((socket) => {
      socket.on('data', (request) => {
        if (request.length >= 48) setTimeout(() => socket.write(goOn(request)), 200);
      });
    });
    const late = lateness();
    const began = performance.now();
    await assert.rejects(connect(port, { timeoutMs: LOGIN_MS }), { code: 'ERR_CONNECT' });
    assert.ok(performance.now() - began < LOGIN_MS + 1500 + late());
  });

  it('closes at once fails at once', async () => {
    const port = await listen((socket) => socket.destroy());
    const began = performance.now();
    await assert.rejects(connect(port, { timeoutMs: 30_000 }), { code: 'ERR_CONNECT' });
    // Not after its login timeout.
    assert.ok(performance.now() - began < 20_000);
  });
});

describe('F19 our target', { concurrency: true }, () => {
  /** The second is for attacks: those of the first must not be dropped to make room. */
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  const serve = () => serveDisks(FAKE_TARGET, [{ kind: 'ramdisk', name: 'ram', sizeBytes: 2 ** 22 }]);
  before(async () => {
    servers.push(await serve(), await serve());
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await Promise.all(servers.map((server) => server.close()));
  });
  const portOf = (index: number): number => servers[index]?.portals[0]?.port ?? 0;
  const attack = (index: number): Socket => {
    const socket = connectSocket(portOf(index), '127.0.0.1');
    sockets.add(socket);
    return socket.on('error', () => {}).resume();
  };
  /** Milliseconds until the target closes. */
  const lifetime = async (socket: Socket): Promise<number> => {
    await once(socket, 'connect');
    const began = performance.now();
    await once(socket, 'close');
    return performance.now() - began;
  };
  /** The header of a Login Request whose text is yet to come. */
  const header = Buffer.alloc(48);
  header.writeUInt16BE(0x4300, 0);
  header.writeUInt16BE(400, 6);

  for (const [what, send] of [
    ['says nothing', () => {}],
    ['sends a byte a second', (socket: Socket) => setInterval(() => socket.write(header.subarray(0, 1)), 1000).unref()],
    ['stops within its Login Request', (socket: Socket) => socket.write(header)],
  ] as const) {
    it(`closes a connection that ${what} after 10 s`, async () => {
      const late = lateness();
      const socket = attack(0);
      send(socket);
      const took = await lifetime(socket);
      assert.ok(took > 9500 && took < 11_000 + late(), `${took} ms`);
    });
  }

  it('lets an honest initiator in within a second, whatever waits beside it', async () => {
    const attackers = Array.from({ length: ATTACKERS }, () => attack(1));
    await Promise.all(attackers.slice(-16).map((socket) => once(socket, 'connect')));
    try {
      // The quickest of five: what a busy machine adds is not the attackers' doing.
      let quickest = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 5; i++) {
        const began = performance.now();
        const initiator = await connect(portOf(1));
        quickest = Math.min(quickest, performance.now() - began);
        await initiator.close();
      }
      assert.ok(quickest < 1000, `${quickest} ms`);
    } finally {
      for (const socket of attackers) socket.destroy();
    }
  });
});
