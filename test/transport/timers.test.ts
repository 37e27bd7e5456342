import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { now } from '../../src/transport/clock.js';
import { connectTcp } from '../../src/transport/connect.js';
import { Alarm, bounded, delay, drive } from '../../src/transport/timers.js';
import { AppError } from '../../src/util/errors.js';
import type { Timed } from '../../src/util/stream.js';
import { Collector, until } from '../helpers/stream-core.js';

/** A core that notes when it was called and sets its next deadline. */
class Clockwork implements Timed {
  deadline: number | undefined;
  readonly calls: number[] = [];
  readonly #next: number | undefined;
  constructor(inMs: number | undefined, next?: number) {
    this.deadline = inMs === undefined ? undefined : now() + inMs;
    this.#next = next;
  }
  handleTimeout(at: number): void {
    this.calls.push(at);
    this.deadline = this.#next === undefined || this.calls.length === 3 ? undefined : at + this.#next;
  }
}

describe('an alarm', () => {
  it('calls at each deadline and then rests', async () => {
    const core = new Clockwork(10, 10);
    drive(core);
    await until(() => core.calls.length === 3, 'three deadlines have passed');
    await delay(30);
    assert.equal(core.calls.length, 3);
  });

  it('follows a deadline that moves nearer, away, and out of sight', async () => {
    const core = new Clockwork(10_000);
    const alarm = drive(core);
    core.deadline = now() + 10;
    alarm.rearm();
    core.deadline = now() + 40;
    alarm.rearm();
    await delay(25);
    assert.equal(core.calls.length, 0);
    await until(() => core.calls.length === 1, 'the later deadline has passed');
    core.deadline = now() + 10;
    alarm.rearm();
    core.deadline = undefined;
    await delay(30);
    assert.equal(core.calls.length, 1);
  });

  it('is silent after stop()', async () => {
    const core = new Clockwork(5);
    const alarm = drive(core);
    alarm.stop();
    alarm.rearm();
    await delay(20);
    assert.equal(core.calls.length, 0);
  });

  it('waits while reading has been stopped on our account', async () => {
    const core = new Clockwork(5);
    let stalled = true;
    const alarm = new Alarm(core, undefined, () => stalled);
    alarm.rearm();
    await delay(30);
    assert.equal(core.calls.length, 0);
    stalled = false;
    await until(() => core.calls.length === 1, 'the core has been called');
  });

  it('reads the socket before it lets a deadline expire, after a stall of the event loop', async () => {
    const sockets: Socket[] = [];
    const peer = createServer((socket) => {
      sockets.push(socket);
      socket.write('first');
    });
    await new Promise<void>((resolve) => peer.listen(0, '127.0.0.1', resolve));
    const { port } = peer.address() as { port: number };
    const wire = await connectTcp({ host: '127.0.0.1', port }, { timeoutMs: 2000 });
    /** How many bytes had been read each time the deadline expired. */
    const expired: number[] = [];
    const core = new (class extends Collector implements Timed {
      deadline: number | undefined = undefined;
      override onBytes(chunk: Buffer): void {
        const isFirst = this.bytes === 0;
        this.bytes += chunk.length;
        this.deadline = now() + 250;
        if (isFirst) setImmediate(stall, this.deadline);
      }
      handleTimeout(): void {
        expired.push(this.bytes);
        this.deadline = undefined;
      }
    })();
    /** The peer speaks again while this process stalls past the deadline, before it has looked at any timer. */
    const stall = (deadline: number): void => {
      sockets[0]?.write('second');
      while (now() < deadline + 50) Math.random();
    };
    wire.attach(core, { onClose() {}, timed: [core] });
    await until(() => expired.length > 0, 'silence has expired');
    assert.deepEqual(expired, ['firstsecond'.length]);
    wire.destroy();
    await wire.gone();
    peer.close();
  });
});

describe('bounded', () => {
  const onTimeout = () => new AppError('ERR_TIMEOUT', 'late');

  it('gives the result, the timeout or the interruption', async () => {
    assert.equal(await bounded(Promise.resolve(7), { timeoutMs: 1000, onTimeout }), 7);
    await assert.rejects(bounded(new Promise(() => {}), { timeoutMs: 5, onTimeout }), { code: 'ERR_TIMEOUT' });
    const signal = AbortSignal.timeout(5);
    await assert.rejects(bounded(new Promise(() => {}), { timeoutMs: 1000, signal, onTimeout }), {
      code: 'ERR_INTERRUPTED',
    });
    await assert.rejects(bounded(new Promise(() => {}), { timeoutMs: 1000, signal, onTimeout }), {
      code: 'ERR_INTERRUPTED',
    });
  });

  it('keeps the first failure of the work', async () => {
    await assert.rejects(bounded(Promise.reject(new Error('mine')), { timeoutMs: 1000, onTimeout }), /mine/);
  });

  it('lets a delay be interrupted', async () => {
    await assert.rejects(delay(10_000, AbortSignal.timeout(5)), { code: 'ERR_INTERRUPTED' });
  });
});
