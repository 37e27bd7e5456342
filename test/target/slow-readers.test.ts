// Initiators that ask for much and read nothing: what they hold together is bounded, others are served, and in the end they go.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { emitNopOut } from '../../src/iscsi/wire/nop-out.js';
import { LIMITS } from '../../src/target/limits.js';
import { SMALL_PIECE } from '../../src/target/output-memory.js';
import { OutputWatch } from '../../src/target/output-watch.js';
import { MemorySink } from '../helpers/memory-sink.js';
import { INITIATOR, makeNode, type Node, pattern, ScriptedInitiator } from './scripted-initiator.js';

const MIB = 2 ** 20;
const READERS = 96;

function crowd(node: Node): ScriptedInitiator[] {
  return Array.from({ length: READERS }, (_, i) => {
    const reader = new ScriptedInitiator(node, Buffer.from([0x80, 0, 0, 0, 0, i]));
    const keys: [string, string][] = [['MaxRecvDataSegmentLength', '262144']];
    const { response } = reader.login([...reader.names(`${INITIATOR}-${i >> 3}`), ...keys]);
    assert.equal(response.statusClass, 0);
    reader.clearAttention();
    return reader;
  });
}
function openNode(): Node {
  const device = new MemoryDevice({ sizeBytes: 8 * MIB });
  const node = makeNode({ device, group: { demoMode: 'read-write' } });
  const writer = new ScriptedInitiator(node, Buffer.from('80aabbcc0009', 'hex'));
  writer.logIn([['InitialR2T', 'No']]);
  writer.clearAttention();
  for (let at = 0; at < 8; at++) {
    const cdb = `2a 00 ${(at * 2048).toString(16).padStart(8, '0')} 00 0080 00`;
    writer.command(cdb, { write: 65_536, data: pattern(65_536, at) });
  }
  writer.receive();
  writer.connection.onClosed('done');
  return node;
}
/** Reads on until `bytes` of data have come. */
function readAll(reader: ScriptedInitiator, bytes: number): Buffer {
  const pieces: Buffer[] = [];
  for (let got = 0; got < bytes; ) {
    const pdus = reader.receive();
    assert.ok(pdus.length > 0, `stuck after ${got} of ${bytes} bytes`);
    for (const { opcode, data } of pdus) {
      if (opcode !== Opcode.DataIn) continue;
      pieces.push(data);
      got += data.length;
    }
  }
  return Buffer.concat(pieces);
}
function read8MiB(reader: ScriptedInitiator): void {
  reader.command('28 00 00000000 00 4000 00', { read: 8 * MIB });
}

describe('initiators that do not read', () => {
  test('hold no more together than the budget and a small piece each; another one is served', () => {
    const node = openNode();
    const readers = crowd(node);
    for (const reader of readers) for (let i = 0; i < 4; i++) read8MiB(reader);
    const { output } = node.context;
    assert.ok(output.held > LIMITS.queuedBytes / 2, `${output.held}`);
    const overhead = READERS * (SMALL_PIECE + 1024);
    assert.ok(output.held <= LIMITS.queuedBytes + overhead, `${output.held}`);
    const honest = new ScriptedInitiator(node, Buffer.from('80aabbcc0002', 'hex'));
    honest.logIn([['MaxRecvDataSegmentLength', '262144']]);
    honest.clearAttention();
    read8MiB(honest);
    const data = readAll(honest, 8 * MIB);
    for (let at = 0; at < 8; at++) assert.ok(data.subarray(at * MIB, at * MIB + 65_536).equals(pattern(65_536, at)));
    // And whoever begins to read gets the rest of what it asked for.
    assert.equal(readAll(readers[0] as ScriptedInitiator, 32 * MIB).length, 32 * MIB);
    assert.equal(readAll(readers.at(-1) as ScriptedInitiator, 32 * MIB).length, 32 * MIB);
    for (const reader of [...readers, honest]) reader.connection.onClosed('over');
    assert.equal(output.held, 0);
  });

  test('are not listened to any more once their answers to pings fill the budget', () => {
    const node = openNode();
    const data = Buffer.alloc(262_144);
    const ping = { immediate: true, lun: Buffer.alloc(8), itt: 1, ttt: 0xffffffff, cmdSn: 7, expStatSn: 0 };
    for (const reader of crowd(node)) {
      for (let i = 0; i < 40 && !reader.connection.paused; i++) reader.send((b, at) => emitNopOut(ping, b, at), data);
      assert.ok(reader.connection.paused);
    }
    const { held } = node.context.output;
    assert.ok(held <= LIMITS.queuedBytes + READERS * (SMALL_PIECE + data.length + 1024), `${held}`);
  });
});

describe('the watch over what is queued', () => {
  class TestSink extends MemorySink {
    taken = 0;
  }
  const queue = (sink: TestSink) => sink.append(Buffer.alloc(1000), null);

  test('gives up a peer that takes nothing, and none that takes a little or has nothing to take', () => {
    const sink = new TestSink();
    const watch = new OutputWatch(sink, 15_000, 45_000, 0);
    const lookAt = (now: number) => [watch.deadline, watch.stuck(now)];
    assert.deepEqual(lookAt(15_000), [15_000, false]);
    queue(sink);
    assert.deepEqual(lookAt(30_000), [30_000, false]);
    sink.taken = 10;
    assert.deepEqual(lookAt(45_000), [45_000, false]);
    assert.deepEqual(lookAt(60_000), [60_000, false]);
    assert.deepEqual(lookAt(75_000), [75_000, false]);
    assert.deepEqual(lookAt(75_001), [90_000, false], 'early');
    assert.deepEqual(lookAt(90_000), [90_000, true]);
  });

  test('ends the session of such a peer, also while it is not listened to', () => {
    const node = openNode();
    const sink = new TestSink();
    const reader = new ScriptedInitiator(node, undefined, sink);
    reader.logIn();
    reader.clearAttention();
    read8MiB(reader);
    read8MiB(reader);
    assert.equal(reader.connection.holdsWhilePaused, true);
    for (let i = 0; i < 8 && !reader.closed; i++) {
      reader.now = Math.max(reader.now, reader.connection.deadline ?? 0);
      // It goes on to talk.
      const ping = { immediate: true, lun: Buffer.alloc(8), itt: 1, ttt: 0xffffffff, cmdSn: 9, expStatSn: 0 };
      reader.send((b, at) => emitNopOut(ping, b, at));
      reader.connection.handleTimeout(reader.now);
    }
    assert.ok(reader.closed);
    const end = reader.events.at(-1);
    assert.ok(end?.kind === 'end' && end.cause === 'lost' && /reads nothing/.test(end.reason));
    assert.ok(reader.now <= 1000 + LIMITS.stuckMs + 2 * LIMITS.pingAfterMs, `${reader.now}`);
  });
});
