// What a client may have in flight and what memory that takes, and how the connection ends.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BlockStatus } from '../../src/block/block-device.js';
import { FaultDevice } from '../../src/block/fault-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { Command } from '../../src/nbd/wire/constants.js';
import { HIGH_WATER } from '../../src/util/stream.js';
import { pattern } from '../block/contract.js';
import { answer, opened } from '../helpers/nbd-driver.js';
import { assemble, readAnswers, request } from '../helpers/nbd-wire.js';

const MIB = 2 ** 20;

function memory(sizeBytes = 8 * MIB): MemoryDevice {
  return new MemoryDevice({ sizeBytes });
}

describe('NBD transmission: what is in flight', () => {
  it('aims large payloads at their own memory, small ones at the receive buffer', () => {
    const driver = opened(memory());
    const payload = pattern(MIB, 1);
    const bytes = request({ type: Command.Write, payload });
    driver.feed(bytes.subarray(0, 28 + 1000));
    assert.equal(driver.core.readTarget()?.length, MIB - 1000);
    driver.feed(bytes.subarray(28 + 1000, bytes.length - 10_000));
    assert.equal(driver.core.readTarget(), null, 'too little is missing');
    driver.feed(bytes.subarray(bytes.length - 10_000));
    assert.equal(readAnswers(driver.take())[0]?.error, 0);
    const read = answer(driver, request({ type: Command.Read, length: MIB }), MIB);
    assert.ok(assemble(read, 0, MIB).equals(payload));
    assert.equal(driver.held, 0);
  });

  it('holds the receive buffer of a small write until the disk is done', async () => {
    const disk = memory();
    const device = new FaultDevice(disk, () => ({ hold: 'before' }));
    const driver = opened(device);
    driver.feed(request({ type: Command.Write, payload: pattern(4096, 3) }));
    assert.equal(driver.held, 1);
    device.releaseAll();
    assert.equal(driver.held, 0);
    assert.ok((await readBytes(disk, 0, 4096)).equals(pattern(4096, 3)));
  });

  it('does not pin a receive buffer for each of many small writes', () => {
    const device = new FaultDevice(memory(), () => ({ hold: 'before' }));
    const driver = opened(device);
    for (let i = 0; i < 120; i++) {
      driver.feed(request({ type: Command.Write, cookie: BigInt(i), offset: i * 4096, payload: pattern(4096, i) }));
    }
    assert.equal(device.held, 120);
    assert.ok(driver.held - driver.pool.lent.length <= 32, 'receive buffers');
    device.releaseAll();
    assert.equal(readAnswers(driver.take()).length, 120);
    assert.equal(driver.held, 0);
  });

  it('stops reading at 128 requests, and goes on as they end', () => {
    const device = new FaultDevice(memory(), () => ({ hold: 'before' }));
    const driver = opened(device);
    const bytes = Buffer.concat(
      Array.from({ length: 300 }, (_, i) => request({ type: Command.Read, cookie: BigInt(i), length: 512 })),
    );
    driver.feed(bytes);
    assert.equal(device.held, 128);
    assert.ok(driver.core.paused);
    const wakes = driver.wakes;
    device.release();
    assert.equal(device.held, 128, 'the next one has come in');
    assert.ok(driver.wakes > wakes);
    device.releaseAll();
    assert.equal(readAnswers(driver.take()).length, 300);
    assert.equal(driver.core.paused, false);
    assert.equal(driver.held, 0);
  });

  it('keeps at most 32 MiB in flight, and lets a single large request through', () => {
    const device = new FaultDevice(memory(64 * MIB), () => ({ hold: 'before' }));
    const driver = opened(device);
    const lengths = [32, 1, 20, 10, 2, 1, 32];
    for (const [i, length] of lengths.entries()) {
      driver.feed(request({ type: Command.Read, cookie: BigInt(i), length: length * MIB }));
    }
    const rounds: number[] = [];
    let answered = 0;
    while (device.held > 0) {
      rounds.push(device.held);
      device.release();
      answered += readAnswers(driver.take()).length;
    }
    // 32 | 1+20+10 | 20+10+2 | 10+2+1 | 2+1 | 1 | 32: each fits where the one before has ended.
    assert.deepEqual(rounds, [1, 3, 3, 3, 2, 1, 1]);
    assert.equal(answered, lengths.length);
    assert.equal(driver.held, 0);
  });

  it('counts the payload of a write in flight before it has arrived, and still reads it', () => {
    const device = new FaultDevice(memory(64 * MIB), () => ({ hold: 'before' }));
    const driver = opened(device);
    driver.feed(request({ type: Command.Read, cookie: 1n, length: 16 * MIB }));
    const write = request({ type: Command.Write, cookie: 2n, payload: pattern(16 * MIB, 1) });
    driver.feed(write.subarray(0, 28 + MIB));
    assert.equal(driver.core.paused, false, 'its payload must come in');
    driver.feed(write.subarray(28 + MIB));
    assert.equal(device.held, 2);
    assert.ok(driver.core.paused);
    driver.feed(write, [100, 70_144]);
    assert.equal(device.held, 2);
    device.releaseAll();
    assert.equal(readAnswers(driver.take()).length, 2);
    assert.equal(device.held, 1, 'the next one has come in');
    device.releaseAll();
    assert.equal(readAnswers(driver.take()).length, 1);
    assert.equal(driver.held, 0);
  });

  it('starts nothing while the client does not read its replies', async () => {
    let started = 0;
    const disk = memory();
    await writeBytes(disk, 0, pattern(MIB, 1));
    const device = new FaultDevice(disk, () => {
      started++;
      return null;
    });
    const driver = opened(device);
    const count = 64;
    driver.feed(
      Buffer.concat(
        Array.from({ length: count }, (_, i) => request({ type: Command.Read, cookie: BigInt(i), length: MIB })),
      ),
    );
    assert.ok(driver.core.paused);
    assert.ok(driver.sink.backlog <= HIGH_WATER + 2 * MIB, `${driver.sink.backlog}`);
    assert.ok(started < 5);
    assert.equal(readAnswers(driver.take()).length, count);
    assert.equal(started, count);
    assert.equal(driver.held, 0);
  });

  it('ends after DISC once everything in flight is answered', () => {
    const device = new FaultDevice(memory(), () => ({ hold: 'before' }));
    const driver = opened(device);
    driver.feed(Buffer.concat([request({ type: Command.Read, length: 512 }), request({ type: Command.Disc })]));
    driver.feed(request({ type: Command.Read, cookie: 9n, length: 512 }));
    assert.equal(driver.closed, false);
    device.releaseAll();
    driver.drain();
    assert.ok(driver.closed);
    assert.equal(driver.error, null);
    assert.equal(readAnswers(driver.take()).length, 1, 'what came after DISC is ignored');
    assert.equal(driver.held, 0);
  });

  it('on shutdown answers ESHUTDOWN, finishes what is in flight and closes', () => {
    const device = new FaultDevice(memory(), () => ({ hold: 'before' }));
    const driver = opened(device, { limits: { requestsInFlight: 2 } });
    for (const cookie of [1n, 2n]) driver.feed(request({ type: Command.Read, cookie, length: 512 }));
    driver.feed(Buffer.concat([3n, 4n].map((cookie) => request({ type: Command.Read, cookie, length: 512 }))));
    driver.core.shutdown(1000);
    assert.equal(driver.core.deadline, 11_000);
    driver.pump();
    driver.feed(request({ type: Command.Write, cookie: 5n, payload: Buffer.alloc(4096) }));
    assert.equal(device.held, 2);
    assert.equal(driver.closed, false);
    device.releaseAll();
    driver.drain();
    assert.ok(driver.closed);
    assert.equal(driver.error, null);
    const answers = readAnswers(driver.take());
    assert.deepEqual(answers.map((a) => [a.cookie, a.error]).toSorted(), [
      [1n, 0],
      [2n, 0],
      [3n, BlockStatus.Eshutdown],
      [4n, BlockStatus.Eshutdown],
      [5n, BlockStatus.Eshutdown],
    ]);
    assert.equal(driver.held, 0);
  });

  it('on shutdown cuts off what does not end in time', () => {
    const device = new FaultDevice(memory(), () => ({ hold: 'before' }));
    const driver = opened(device);
    driver.feed(request({ type: Command.Write, payload: Buffer.alloc(512) }));
    driver.core.shutdown(0);
    driver.core.handleTimeout(9999);
    driver.drain();
    assert.equal(driver.closed, false);
    driver.core.handleTimeout(10_000);
    driver.drain();
    assert.ok(driver.closed);
    assert.ok(driver.outputs.some((output) => output.kind === 'log' && output.level === 'warn'));
    device.releaseAll();
    assert.equal(driver.take().length, 0);
    assert.equal(driver.held, 0);
  });
});
