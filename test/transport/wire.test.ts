import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { after, describe, it } from 'node:test';
import { connectTcp } from '../../src/transport/connect.js';
import { listenTcp } from '../../src/transport/listen.js';
import { markDirty, runTurn } from '../../src/transport/turn.js';
import type { Wire } from '../../src/transport/wire.js';
import { type AppError, ProtocolError } from '../../src/util/errors.js';
import { RefBuffer } from '../../src/util/ref-buffer.js';
import { HIGH_WATER } from '../../src/util/stream.js';
import { Collector, pattern, until } from '../helpers/stream-core.js';
import { wirePair } from '../helpers/wires.js';

function attach(wire: Wire, core: Collector): (AppError | null)[] {
  const ends: (AppError | null)[] = [];
  wire.attach(core, { onClose: (error) => ends.push(error) });
  return ends;
}

for (const plain of [false, true]) {
  describe(plain ? 'a wire over plain sockets' : 'a wire', () => {
    const pair = (kind: 'tcp' | 'unix') => {
      if (plain) process.env.LUNCTL_PLAIN_SOCKETS = '1';
      return wirePair(kind);
    };
    after(() => {
      delete process.env.LUNCTL_PLAIN_SOCKETS;
    });

    for (const kind of ['tcp', 'unix'] as const) {
      it(`carries 8 MiB both ways at once over ${kind}, in order`, async () => {
        const { client, server, close } = await pair(kind);
        const cores = [new Collector(), new Collector()] as const;
        const ends = [attach(client, cores[0]), attach(server, cores[1])];
        const sent = [pattern(2 ** 23, 1), pattern(2 ** 23, 2)] as const;
        for (const [i, wire] of [client, server].entries()) {
          for (let at = 0; at < 2 ** 23; at += 65_536) {
            const header = wire.sink.reserve(16);
            sent[i === 0 ? 0 : 1].copy(wire.sink.slab, header, at, at + 16);
            wire.sink.append(sent[i === 0 ? 0 : 1].subarray(at + 16, at + 65_536), null);
          }
        }
        await until(() => cores[0].bytes === 2 ** 23 && cores[1].bytes === 2 ** 23, 'all has arrived');
        assert.ok(cores[1].all.equals(sent[0]));
        assert.ok(cores[0].all.equals(sent[1]));
        assert.deepEqual([client.sink.backlog, server.sink.backlog], [0, 0]);
        client.end();
        await until(() => ends.every((list) => list.length === 1), 'both ends have closed');
        assert.deepEqual(ends, [[null], [null]]);
        await close();
      });
    }

    it('lets a core receive into its own memory', async () => {
      const { client, server, close } = await pair('unix');
      const want = pattern(300_000);
      const own = Buffer.alloc(300_000);
      let filled = 0;
      const core = new (class extends Collector {
        override readTarget(): Buffer | null {
          return this.bytes > 0 && filled < own.length ? own.subarray(filled) : null;
        }
        override onTargetFilled(length: number): void {
          filled += length;
        }
      })();
      attach(server, core);
      attach(client, new Collector());
      client.sink.append(Buffer.from('head'), null);
      await until(() => core.bytes === 4, 'the head has arrived');
      client.sink.append(want, null);
      client.sink.append(Buffer.from('tail'), null);
      await until(() => core.bytes === 8, 'the tail has arrived');
      assert.equal(filled, 300_000);
      assert.ok(own.equals(want));
      assert.equal(core.all.toString(), 'headtail');
      await close();
    });

    it('stops reading while the core is paused and goes on after wake()', async () => {
      const { client, server, close } = await pair('unix');
      const core = new Collector();
      core.paused = true;
      attach(server, core);
      attach(client, new Collector());
      client.sink.append(Buffer.from('hello'), null);
      await until(() => server.stalled, 'it has stopped reading');
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(core.bytes, 0);
      assert.equal(server.stalled, true);
      core.paused = false;
      server.wake();
      await until(() => core.bytes === 5, 'the bytes have arrived');
      assert.equal(server.stalled, false);
      await close();
    });

    it('ends only that connection when the core throws, and says so once', async () => {
      const { client, server, close } = await pair('tcp');
      const core = new (class extends Collector {
        override onBytes(): void {
          server.sink.append(Buffer.from('goodbye'), null);
          throw new ProtocolError('RFC 7143 §11', 'nonsense');
        }
      })();
      const ends = attach(server, core);
      const seen = new Collector();
      const clientEnds = attach(client, seen);
      client.sink.append(Buffer.from('x'), null);
      await until(() => clientEnds.length === 1, 'the client has been dropped');
      assert.equal(seen.all.toString(), 'goodbye');
      assert.equal(ends.length, 1);
      assert.ok(ends[0] instanceof ProtocolError);
      await close();
      assert.equal(ends.length, 1);
    });

    // What a receiver waits for before it lets go may stand behind it in the same stream.
    it('goes on reading while receivers keep the memory, and pins little of it', async () => {
      const { client, server, close } = await pair('unix');
      const held: RefBuffer[] = [];
      const views: Buffer[] = [];
      const core = new (class extends Collector {
        override onBytes(chunk: Buffer, owner: RefBuffer): void {
          owner.retain();
          held.push(owner);
          views.push(chunk);
          this.bytes += chunk.length;
        }
      })();
      attach(server, core);
      attach(client, new Collector());
      const sent = pattern(2 ** 24);
      client.sink.append(sent, null);
      await until(() => core.bytes === sent.length, 'everything has been read');
      assert.equal(server.stalled, false);
      // What is held must not be overwritten by what comes later.
      assert.ok(Buffer.concat(views).equals(sent));
      const large = new Set(held.filter(({ buffer }) => buffer.length > 16_384));
      assert.ok(new Set([...large].map(({ buffer }) => buffer)).size <= 9, `${large.size} large buffers`);
      for (const owner of held) owner.release();
      await close();
    });

    it('reports a reset by the peer as a lost connection', async () => {
      const peer = createServer((socket) => void setTimeout(() => socket.resetAndDestroy(), 20));
      await new Promise<void>((resolve) => peer.listen(0, '127.0.0.1', resolve));
      const { port } = peer.address() as { port: number };
      const wire = await connectTcp({ host: '127.0.0.1', port }, { timeoutMs: 2000 });
      const ends = attach(wire, new Collector());
      await until(() => ends.length === 1, 'the end was reported');
      assert.equal(ends[0]?.code, 'ERR_TRANSPORT');
      assert.match(ends[0]?.message ?? '', new RegExp(`127\\.0\\.0\\.1:${port} lost`));
      await wire.gone();
      peer.close();
    });
  });
}

describe('turns', () => {
  it('send in one write what several calls have produced', async () => {
    const { client, server, close } = await wirePair('unix');
    const core = new Collector();
    attach(server, core);
    attach(client, new Collector());
    runTurn(() => {
      for (let i = 0; i < 500; i++) {
        const at = client.sink.reserve(48);
        client.sink.slab.fill(i % 256, at, at + 48);
      }
      assert.equal(client.sink.backlog, 24_000);
    });
    assert.equal(client.sink.backlog, 0);
    await until(() => core.bytes === 24_000, 'all has arrived');
    assert.equal(core.chunks.length, 1);
    await close();
  });

  it('flush what a completion outside of any turn has produced', async () => {
    const { client, server, close } = await wirePair('tcp');
    const core = new Collector();
    attach(server, core);
    await Promise.resolve();
    client.sink.append(Buffer.from('late'), null);
    await until(() => core.bytes === 4, 'the bytes have arrived');
    await close();
  });

  it('flush each sink once, also one that another flush has dirtied', () => {
    const order: string[] = [];
    const second = { flush: () => void order.push('second') };
    const first = {
      flush: () => {
        order.push('first');
        markDirty(second);
      },
    };
    runTurn(() => {
      markDirty(first);
      runTurn(() => markDirty(first));
      assert.deepEqual(order, []);
    });
    assert.deepEqual(order, ['first', 'second']);
  });

  it('flush a client that got only payload, before the receive buffer is used again', async () => {
    // A forwards to B by reference, without a header of its own: the bytes must be those received, not the next ones.
    const left = await wirePair('tcp');
    const right = await wirePair('unix');
    const forward = new (class extends Collector {
      override onBytes(chunk: Buffer, owner: RefBuffer): void {
        right.server.sink.append(chunk, owner);
        this.bytes += chunk.length;
        this.paused = right.server.sink.backlog > HIGH_WATER;
      }
    })();
    attach(left.server, forward);
    const back = new (class extends Collector {
      override onDrain(): void {
        forward.paused = false;
        left.server.wake();
      }
    })();
    attach(right.server, back);
    const sink = new Collector();
    attach(right.client, sink);
    attach(left.client, new Collector());
    const sent = pattern(2 ** 25);
    for (let at = 0; at < sent.length; at += 2 ** 20) left.client.sink.append(sent.subarray(at, at + 2 ** 20), null);
    await until(() => sink.bytes === sent.length, 'all has passed through');
    assert.ok(sink.all.equals(sent));
    await Promise.all([left.close(), right.close()]);
  });

  it('keep a receive buffer until each of several slow readers has taken its part', async () => {
    const source = await wirePair('tcp');
    const readers = await Promise.all([wirePair('unix'), wirePair('unix'), wirePair('unix'), wirePair('unix')]);
    const sinks = readers.map(() => new Collector());
    readers.forEach((reader, i) => {
      attach(reader.server, new Collector());
      const core = sinks[i];
      if (core === undefined) throw new Error('one core for each reader');
      core.paused = true;
      attach(reader.client, core);
    });
    const fan = new (class extends Collector {
      override onBytes(chunk: Buffer, owner: RefBuffer): void {
        for (const { server } of readers) server.sink.append(chunk, owner);
        this.bytes += chunk.length;
      }
    })();
    attach(source.server, fan);
    attach(source.client, new Collector());
    const sent = pattern(2 ** 21);
    source.client.sink.append(sent, null);
    await until(() => fan.bytes === sent.length || source.server.stalled, 'the readers are full');
    // One after another they begin to read.
    for (const [i, reader] of readers.entries()) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      const core = sinks[i];
      if (core !== undefined) core.paused = false;
      reader.client.wake();
    }
    await until(() => sinks.every((core) => core.bytes === sent.length), 'each has all');
    for (const core of sinks) assert.ok(core.all.equals(sent));
    await Promise.all([source.close(), ...readers.map((reader) => reader.close())]);
  });
});

describe('a sink', () => {
  it('releases what it holds in every ending, and reports the drain once', async () => {
    const { client, server, close } = await wirePair('unix');
    const core = new Collector();
    attach(client, core);
    const stuck = new Collector();
    stuck.paused = true;
    attach(server, stuck);
    let freed = 0;
    const owners = Array.from({ length: 40 }, () => new RefBuffer(Buffer.alloc(131_072, 7), () => freed++));
    for (const owner of owners) {
      client.sink.append(owner.buffer, owner);
      owner.release();
    }
    assert.ok(client.sink.backlog > HIGH_WATER);
    stuck.paused = false;
    server.wake();
    await until(() => stuck.bytes === 40 * 131_072, 'all has arrived');
    await until(() => core.drains === 1, 'the drain was reported');
    assert.equal(freed, 40);
    stuck.paused = true;
    const late = new RefBuffer(Buffer.alloc(2 ** 22), () => freed++);
    client.sink.append(late.buffer, late);
    late.release();
    client.destroy();
    await close();
    assert.equal(freed, 41);
    const after = new RefBuffer(Buffer.alloc(4096), () => freed++);
    client.sink.append(after.buffer, after);
    after.release();
    assert.equal(freed, 42);
    assert.equal(core.drains, 1);
  });

  it('does not let a reader that has fallen behind keep receive buffers', async () => {
    const { client, server, close } = await wirePair('unix');
    attach(client, new Collector());
    const stuck = new Collector();
    stuck.paused = true;
    attach(server, stuck);
    client.sink.append(Buffer.alloc(HIGH_WATER + 1), null);
    const owner = new RefBuffer(Buffer.alloc(131_072, 9));
    client.sink.append(owner.buffer, owner);
    assert.equal(owner.references, 1);
    await close();
  });

  it('never asks for more pieces in one write than the kernel takes', async () => {
    const { client, server, close } = await wirePair('unix');
    attach(client, new Collector());
    const core = new Collector();
    attach(server, core);
    runTurn(() => {
      for (let i = 0; i < 3000; i++) client.sink.append(Buffer.from([i % 251]), null);
    });
    await until(() => core.bytes === 3000, 'all has arrived');
    assert.ok(core.all.every((byte, i) => byte === i % 251));
    await close();
  });
});

describe('a listener', () => {
  it('closes what it has accepted, also connections without a core', async () => {
    const accepted: unknown[] = [];
    const listener = await listenTcp('127.0.0.1', 0, (wire) => void accepted.push(wire));
    const sockets = [0, 1, 2].map(() => connect(listener.port, '127.0.0.1'));
    const closed = sockets.map((socket) => new Promise((resolve) => socket.resume().once('close', resolve)));
    await until(() => accepted.length === 3, 'three were accepted');
    assert.equal(listener.connections.size, 3);
    await listener.close();
    await Promise.all(closed);
    assert.equal(listener.connections.size, 0);
    await assert.rejects(connectTcp({ host: '127.0.0.1', port: listener.port }, { timeoutMs: 1000 }), {
      code: 'ERR_CONNECT',
    });
  });

  it('says when an address is taken', async () => {
    const listener = await listenTcp('127.0.0.1', 0, () => {});
    await assert.rejects(
      listenTcp('127.0.0.1', listener.port, () => {}),
      { code: 'ERR_BUSY' },
    );
    await listener.close();
  });
});
