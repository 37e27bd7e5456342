// What a sink tells of a socket that is full, and what it does with what is left when it is dropped.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTurn } from '../../src/transport/turn.js';
import { RefBuffer } from '../../src/util/ref-buffer.js';
import { Collector, until } from '../helpers/stream-core.js';
import { wirePair } from '../helpers/wires.js';

const MIB = 2 ** 20;

for (const kind of ['tcp', 'unix'] as const) {
  test(`what a full ${kind} socket has taken grows while the peer reads, and not while it does not`, async () => {
    const { client, server, close } = await wirePair(kind);
    client.attach(new Collector(), { onClose() {} });
    runTurn(() => {
      for (let i = 0; i < 32; i++) client.sink.append(Buffer.alloc(MIB), null);
    });
    // What fits into the kernel's buffers goes there without anybody reading.
    // A process that has stood still has not looked at its sockets: so it is asked several times.
    for (let [before, same] = [-1, 0]; same < 4; await sleep(50)) {
      same = before === client.sink.taken ? same + 1 : 0;
      before = client.sink.taken;
    }
    const full = client.sink.taken;
    await sleep(300);
    assert.equal(client.sink.taken, full);
    const seen = new Set<number>();
    const reader = new Collector();
    server.attach(reader, { onClose() {}, afterCall: () => seen.add(client.sink.taken) });
    await until(() => reader.all.length === 32 * MIB, 'everything has come');
    assert.ok(seen.size > 3, 'it grows piece by piece, within one write');
    assert.equal(client.sink.backlog, 0);
    await close();
  });
}

test('a dropped wire sends nothing more and lets go of every buffer', async () => {
  const { client, server, close } = await wirePair('unix');
  client.attach(new Collector(), { onClose() {} });
  let freed = 0;
  const owner = new RefBuffer(Buffer.alloc(8 * MIB), () => freed++);
  runTurn(() => {
    client.sink.append(owner.buffer, owner);
    client.sink.append(Buffer.from('late'), null);
    owner.release();
    client.drop();
  });
  const reader = new Collector();
  let ended = false;
  server.attach(reader, {
    onClose() {
      ended = true;
    },
  });
  await until(() => ended, 'the peer sees the end');
  assert.equal(reader.all.length, 0, 'what had not been flushed never left');
  await client.gone();
  assert.equal(freed, 1);
  await close();
});
