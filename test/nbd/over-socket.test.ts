// The NBD core on a real socket: clients that vanish, that say nothing, that do not read.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { Command, Option } from '../../src/nbd/wire/constants.js';
import { HIGH_WATER } from '../../src/util/stream.js';
import { pattern } from '../block/contract.js';
import { startNbdServer, type TestNbdServer } from '../helpers/nbd-server.js';
import { assemble, clientFlags, infoData, option, readAnswers, request } from '../helpers/nbd-wire.js';

const MIB = 2 ** 20;
const START = Buffer.concat([clientFlags(3), option(Option.StructuredReply), option(Option.Go, infoData('disk'))]);

describe('NBD over a unix socket', () => {
  let server: TestNbdServer;
  before(async () => {
    const device = new MemoryDevice({ sizeBytes: 16 * MIB });
    server = await startNbdServer([{ name: 'disk', description: '', device, readOnly: false }], { handshakeMs: 300 });
  });
  after(() => server.close());

  async function client(): Promise<Socket> {
    const socket = connect(server.socketPath);
    await once(socket, 'connect');
    return socket;
  }
  /** Waits until all clients are gone, for two seconds at most. */
  async function settled(): Promise<void> {
    for (let i = 0; i < 2000 && server.connections.size > 0; i++) await delay(10);
    assert.equal(server.connections.size, 0);
  }
  /** Everything that comes until the server ends the connection. */
  async function readAll(socket: Socket): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  it('answers a client that sends everything at once', async () => {
    const socket = await client();
    socket.write(START);
    const payload = pattern(3 * MIB, 1);
    socket.write(request({ type: Command.Write, cookie: 1n, offset: 512, payload, flags: 1 }));
    socket.write(request({ type: Command.Flush, cookie: 2n }));
    socket.write(request({ type: Command.Read, cookie: 3n, offset: 512, length: payload.length }));
    socket.write(request({ type: Command.Disc }));
    const bytes = await readAll(socket);
    // Greeting, ACK of STRUCTURED_REPLY, INFO_EXPORT, ACK of GO.
    const answers = readAnswers(bytes.subarray(18 + 20 + 32 + 20));
    assert.deepEqual(
      answers.map(({ cookie, error }) => [cookie, error]),
      [
        [1n, 0],
        [2n, 0],
        [3n, 0],
      ],
    );
    const last = answers[2];
    assert.ok(last && assemble(last, 512, payload.length).equals(payload));
    await settled();
  });

  it('forgets clients that vanish at any point, and serves the next one', async () => {
    const bytes = Buffer.concat([
      START,
      request({ type: Command.Write, offset: 0, payload: pattern(200_704, 2) }),
      request({ type: Command.Read, offset: 0, length: 8 * MIB }),
      request({ type: Command.Flush }),
    ]);
    for (let point = 0; point <= bytes.length; point += point < 300 ? 7 : 9973) {
      const socket = await client();
      socket.on('error', () => {});
      await new Promise<void>((resolve) => {
        socket.write(bytes.subarray(0, point), () => resolve());
      });
      if (point % 2 === 0) socket.destroy();
      else socket.resume().end();
    }
    await settled();
    const socket = await client();
    const [greeting] = await once(socket, 'data');
    assert.equal(greeting.length, 18);
    socket.destroy();
    await settled();
  });

  it('cuts off clients that do not finish their handshake, however slowly they go on', async () => {
    const started = performance.now();
    const silent = await client();
    const slow = await client();
    const drip = setInterval(() => slow.write(Buffer.of(0)), 20);
    slow.on('error', () => {});
    silent.resume();
    slow.resume();
    await Promise.all([once(silent, 'close'), once(slow, 'close')]);
    clearInterval(drip);
    const took = performance.now() - started;
    assert.ok(took >= 250 && took < 20_000, `${took} ms`);
    await settled();
  });

  it('takes no more work from a client that does not read its replies', async () => {
    const socket = await client();
    socket.pause();
    socket.write(START);
    const reads = Array.from({ length: 200 }, (_, i) =>
      request({ type: Command.Read, cookie: BigInt(i), length: MIB }),
    );
    socket.write(Buffer.concat(reads));
    const paused = () => [...server.connections][0]?.paused === true;
    for (let i = 0; i < 1000 && !paused(); i++) await delay(10);
    // It stays so.
    await delay(200);
    const [core] = server.connections;
    assert.ok(core);
    assert.ok(core.paused);
    assert.ok(core.readBytes < HIGH_WATER + 4 * MIB, `${core.readBytes} bytes`);
    socket.write(request({ type: Command.Disc }));
    const bytes = await readAll(socket);
    assert.equal(readAnswers(bytes.subarray(18 + 20 + 32 + 20)).length, 200);
    await settled();
  });
});
