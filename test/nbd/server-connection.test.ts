import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FaultDevice } from '../../src/block/fault-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import type { NbdExport } from '../../src/nbd/exports.js';
import { Command, CommandFlag, Option } from '../../src/nbd/wire/constants.js';
import { AppError, ProtocolError } from '../../src/util/errors.js';
import { pattern } from '../block/contract.js';
import { NbdDriver } from '../helpers/nbd-driver.js';
import { clientFlags, infoData, option, readAnswers, request } from '../helpers/nbd-wire.js';

const MIB = 2 ** 20;

function exports(): NbdExport[] {
  const device = new MemoryDevice({ sizeBytes: 4 * MIB });
  const readOnly = new MemoryDevice({ sizeBytes: MIB, blockSize: 4096, readOnly: true });
  return [
    { name: 'lun0', description: 'a disk', device, readOnly: false },
    { name: 'lun1', description: '', device: readOnly, readOnly: true },
  ];
}

/** A session with every kind of option and command, payloads of every size class, and a few faults. */
function session(structured: boolean): Buffer {
  return Buffer.concat([
    clientFlags(3),
    option(Option.List),
    option(Option.SetMetaContext, Buffer.alloc(9)),
    option(200, Buffer.alloc(9000)),
    ...(structured ? [option(Option.StructuredReply)] : []),
    option(Option.Info, infoData('lun1', [1, 2, 3])),
    option(Option.Go, infoData('nothing')),
    option(Option.Go, infoData('lun0', [3])),
    request({ type: Command.Write, cookie: 1n, offset: 0, payload: pattern(4096, 1) }),
    request({ type: Command.Read, cookie: 2n, offset: 512, length: 1024 }),
    request({ type: Command.Write, cookie: 3n, offset: 8192, payload: pattern(100_352, 2), flags: CommandFlag.Fua }),
    request({ type: Command.Read, cookie: 4n, offset: 0, length: 131_072 }),
    request({ type: Command.Write, cookie: 5n, offset: 4 * MIB, payload: pattern(2048, 3) }),
    request({ type: Command.Trim, cookie: 6n, offset: 4096, length: 4096 }),
    request({ type: Command.WriteZeroes, cookie: 7n, offset: 8192, length: 65_536, flags: CommandFlag.NoHole }),
    request({ type: Command.Cache, cookie: 8n, length: 512 }),
    request({ type: Command.Flush, cookie: 9n }),
    request({ type: Command.Read, cookie: 10n, offset: 4096, length: 16_384 }),
    request({ type: Command.Disc }),
  ]);
}

/** Fewer cut points where the content is uniform: all of them in headers, some in the payload. */
function cutPoints(length: number): number[] {
  return Array.from({ length }, (_, at) => at).filter((at) => at < 10_500 || at > length - 7000 || at % 997 === 0);
}

function run(bytes: Buffer, cuts: readonly number[]): { sent: Buffer; driver: NbdDriver } {
  const driver = new NbdDriver(exports());
  driver.feed(bytes, cuts);
  return { sent: driver.take(), driver };
}

describe('NbdServerConnection', () => {
  for (const structured of [true, false]) {
    const bytes = session(structured);
    const whole = run(bytes, []);

    it(`ends an orderly session in order (structured: ${structured})`, () => {
      assert.ok(whole.driver.closed);
      assert.equal(whole.driver.error, null);
      assert.equal(whole.driver.held, 0);
    });

    it(`sends the same for any chunking (structured: ${structured})`, () => {
      const every = Array.from({ length: 12_000 }, (_, at) => at);
      assert.ok(run(bytes, every).sent.equals(whole.sent), 'one byte at a time');
      fc.assert(
        fc.property(fc.array(fc.nat(bytes.length), { maxLength: 40 }), (cuts) => {
          const { sent, driver } = run(bytes, cuts);
          assert.ok(sent.equals(whole.sent));
          assert.equal(driver.error, null);
          assert.equal(driver.held, 0);
        }),
        { numRuns: 200 },
      );
    });

    it(`leaks nothing when the client goes away at any byte (structured: ${structured})`, () => {
      const points = cutPoints(bytes.length);
      assert.ok(points.length > 400);
      for (const point of points) {
        const driver = new NbdDriver(exports());
        driver.feed(bytes.subarray(0, point), [point - 1]);
        // The driver's next read is aimed before the end is known. Memory that the socket may still write to is not lent out again.
        const aimed = driver.core.readTarget();
        driver.core.disconnected();
        driver.core.disconnected();
        driver.take();
        const held = driver.pool.lent.filter((owner) => owner.buffer.buffer !== aimed?.buffer);
        assert.equal(held.length, 0, `after ${point} bytes`);
        assert.equal(driver.held - driver.pool.lent.length, 0, `receive buffers after ${point} bytes`);
        assert.equal(driver.core.deadline, undefined);
      }
    });
  }

  it('leaks nothing when the client goes away while the disk is still at work', () => {
    const bytes = session(true);
    for (const backwards of [false, true]) {
      for (const point of cutPoints(bytes.length).filter((_, i) => i % 7 === 0)) {
        const [first, second] = exports();
        assert.ok(first && second);
        const slow = new FaultDevice(first.device, (_, index) => ({ hold: index % 2 === 0 ? 'before' : 'after' }));
        const driver = new NbdDriver([{ ...first, device: slow }, second]);
        driver.feed(bytes.subarray(0, point));
        const aimed = driver.core.readTarget();
        driver.core.disconnected();
        slow.releaseAll({ backwards });
        driver.drain();
        const held = driver.pool.lent.filter((owner) => owner.buffer.buffer !== aimed?.buffer);
        driver.take();
        assert.equal(held.length, 0, `after ${point} bytes`);
        assert.equal(driver.held - driver.pool.lent.length, 0, `receive buffers after ${point} bytes`);
      }
    }
  });

  it('does not lend out memory again that a socket may still be reading into', () => {
    const driver = new NbdDriver(exports()).open('lun0');
    driver.feed(request({ type: Command.Write, payload: pattern(MIB, 1) }).subarray(0, 1000));
    const aimed = driver.core.readTarget();
    assert.ok(aimed);
    driver.core.disconnected();
    assert.notEqual(driver.pool.take(MIB).buffer.buffer, aimed.buffer);
  });

  it('survives any bytes: replies or a closed connection, nothing else', () => {
    const prefix = fc.constantFrom(
      Buffer.alloc(0),
      clientFlags(3),
      Buffer.concat([clientFlags(3), option(Option.StructuredReply), option(Option.Go, infoData('lun0'))]),
      Buffer.concat([clientFlags(1), option(Option.ExportName, 'lun1')]),
    );
    const number32 = fc.oneof(fc.constantFrom(0, 1, 4096, 4097, 2 ** 25, 2 ** 26, 2 ** 31, 2 ** 32 - 1), fc.nat());
    const someOption = fc
      .tuple(fc.oneof(fc.nat(12), number32), fc.uint8Array({ maxLength: 60 }), fc.option(number32, { nil: undefined }))
      .map(([code, data, length]) => option(code, Buffer.from(data), length));
    const info = fc
      .tuple(fc.constantFrom(6, 7), fc.string({ maxLength: 8 }), fc.array(fc.nat(65_535), { maxLength: 5 }))
      .map(([code, name, types]) => option(code, infoData(name, types)));
    const someRequest = fc
      .record({
        type: fc.oneof(fc.nat(8), fc.nat(65_535)),
        flags: fc.oneof(fc.nat(31), fc.nat(65_535)),
        cookie: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        offset: fc.oneof(fc.nat(4 * MIB), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
        length: fc.oneof(fc.nat(70_000), number32),
      })
      .map(request);
    const noise = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));
    const part = fc.oneof(someOption, info, someRequest, noise);
    fc.assert(
      fc.property(prefix, fc.array(part, { maxLength: 20 }), fc.array(fc.nat(2000)), (start, parts, cuts) => {
        const driver = new NbdDriver(exports(), { requestLength: 2 ** 16, payloadDrain: 2 ** 17 });
        driver.feed(Buffer.concat([start, ...parts]), cuts);
        driver.take();
        assert.ok(driver.error === null || driver.error instanceof ProtocolError, String(driver.error));
        driver.core.handleTimeout(1e9);
        driver.core.disconnected();
        assert.equal(driver.core.readTarget(), null);
        driver.take();
        assert.ok(driver.held <= 1, 'at most the memory of a payload that a socket may be aimed at');
      }),
      { numRuns: 1000 },
    );
  });

  it('keeps its invariants when completions, bytes and the end come in any order', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('read' as const), length: fc.integer({ min: 1, max: 2048 }) }),
      fc.record({ kind: fc.constant('write' as const), length: fc.integer({ min: 1, max: 300 }) }),
      fc.record({ kind: fc.constant('complete' as const), length: fc.nat(10) }),
      fc.record({ kind: fc.constant('take' as const), length: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, structured) => {
        const device = new FaultDevice(new MemoryDevice({ sizeBytes: 4 * MIB }), () => ({ hold: 'after' }));
        const entry = { name: 'd', description: '', device, readOnly: false };
        const limits = { requestsInFlight: 4, bytesInFlight: MIB };
        const driver = new NbdDriver([entry], limits).open('d', { structured });
        const lengths = new Map<bigint, number>();
        const sent: Buffer[] = [];
        let cookie = 0n;
        for (const { kind, length } of steps) {
          if (kind === 'complete') device.release(length % Math.max(1, device.held));
          if (kind === 'take') sent.push(driver.take());
          if (kind === 'read') {
            lengths.set(++cookie, length * 512);
            driver.feed(request({ type: Command.Read, cookie, length: length * 512 }));
          }
          if (kind === 'write') {
            lengths.set(++cookie, 0);
            driver.feed(
              request({ type: Command.Write, cookie, payload: Buffer.alloc(length * 512, length) }),
              [100, 5000],
            );
          }
          assert.ok(device.held <= 4);
          driver.pump();
        }
        do {
          device.releaseAll();
          sent.push(driver.take());
        } while (device.held > 0 || driver.unread > 0);
        const answers = readAnswers(Buffer.concat(sent), lengths);
        assert.equal(answers.length, lengths.size, 'every request is answered once');
        assert.ok(answers.every((answer) => answer.error === 0));
        assert.equal(driver.held, 0);
      }),
      { numRuns: 300 },
    );
  });

  it('says what went wrong in words', () => {
    const driver = new NbdDriver(exports());
    driver.core.handleTimeout(10_000);
    driver.drain();
    assert.ok(driver.error instanceof AppError);
    assert.equal(driver.error.code, 'ERR_TIMEOUT');
    const broken = new NbdDriver(exports()).open('lun0');
    broken.feed(Buffer.alloc(28));
    assert.ok(broken.error instanceof ProtocolError);
    assert.match(broken.error.message, /^a request without its magic number \(NBD proto.md "Request message"\)$/);
  });
});
