// The NBD client core against servers that answer what they should, and against servers that do not.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BlockOp, type BlockRequest, BlockStatus, type Extent } from '../../../src/block/block-device.js';
import { ReplyType } from '../../../src/nbd/wire/constants.js';
import {
  emitBlockStatusChunk,
  emitDataChunk,
  emitDescriptor,
  emitErrorChunk,
  emitHoleChunk,
  emitNoneChunk,
  emitSimpleReply,
} from '../../../src/nbd/wire/reply.js';
import { pattern } from '../../block/contract.js';
import { ClientEnd, welcome } from './pair.js';

class Asked implements BlockRequest {
  readonly op: BlockOp;
  readonly offset: number;
  readonly length: number;
  readonly flags = 0;
  readonly payload: Buffer | null;
  readonly payloadOwner = null;
  readonly pieces: Buffer[] = [];
  status: BlockStatus | null = null;
  constructor(op: BlockOp, offset: number, length: number, payload: Buffer | null = null) {
    this.op = op;
    this.offset = offset;
    this.length = length;
    this.payload = payload;
  }
  onData(piece: Buffer, at: number): void {
    assert.equal(at, this.data.length, 'in order');
    this.pieces.push(Buffer.from(piece));
  }
  onDone(status: BlockStatus): void {
    assert.equal(this.status, null, 'once');
    this.status = status;
  }
  get data(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

/** A client in transmission. */
function opened(options: { structured?: boolean; limits?: object } = {}): ClientEnd {
  const end = new ClientEnd(options.limits ? { limits: options.limits } : {});
  end.feed(welcome({ structured: options.structured ?? true }), 7);
  assert.ok(end.opened && end.lost === null);
  end.sink.take();
  return end;
}
/** Sends a READ; returns it with its cookie. */
function read(end: ClientEnd, offset: number, length: number): { asked: Asked; high: number; low: number } {
  const asked = new Asked(BlockOp.Read, offset, length);
  end.core.send(asked);
  const sent = end.sink.take();
  return { asked, high: sent.readUInt32BE(8), low: sent.readUInt32BE(12) };
}
const NOTHING = Buffer.alloc(0);
function chunk(length: number, fill: (b: Buffer) => void, payload: Buffer = NOTHING): Buffer {
  const b = Buffer.alloc(length);
  fill(b);
  return Buffer.concat([b, payload]);
}
type Cookie = { high: number; low: number };
const data = ({ high, low }: Cookie, offset: number, bytes: Buffer, done = false) =>
  chunk(28, (b) => emitDataChunk(b, 0, done ? 1 : 0, high, low, offset, bytes.length), bytes);
const hole = ({ high, low }: Cookie, offset: number, length: number, done = false) =>
  chunk(32, (b) => emitHoleChunk(b, 0, done ? 1 : 0, high, low, offset, length));
const none = ({ high, low }: Cookie) => chunk(20, (b) => emitNoneChunk(b, 0, high, low));
const fault = ({ high, low }: Cookie, error: number, message = '') =>
  chunk(26, (b) => emitErrorChunk(b, 0, error, high, low, message.length), Buffer.from(message));
const simple = ({ high, low }: Cookie, error: number) => chunk(16, (b) => emitSimpleReply(b, 0, error, high, low));

function patched(b: Buffer, value: number, at: number): Buffer {
  b.writeUInt16BE(value, at);
  return b;
}

describe('NBD client: answers', () => {
  it('a READ in pieces of data and holes, in any order and cut anywhere, becomes whole', () => {
    const bytes = pattern(8192, 1);
    bytes.fill(0, 1000, 5000);
    fc.assert(
      fc.property(
        fc.shuffledSubarray([0, 1, 2], { minLength: 3 }),
        fc.integer({ min: 1, max: 9000 }),
        fc.boolean(),
        (order, step, end3) => {
          const end = opened();
          const cookie = read(end, 4096, 8192);
          const parts = order.map((part, i) => {
            const last = i === 2 && !end3;
            if (part === 0) return data(cookie, 4096, bytes.subarray(0, 1000), last);
            return part === 1 ? hole(cookie, 5096, 4000, last) : data(cookie, 9096, bytes.subarray(5000), last);
          });
          end.feed(Buffer.concat([...parts, ...(end3 ? [none(cookie)] : [])]), step);
          assert.equal(cookie.asked.status, BlockStatus.Ok);
          assert.ok(cookie.asked.data.equals(bytes));
          assert.deepEqual([end.core.inFlight, end.pool.lent.length], [0, 0]);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('simple replies: data behind the header, and errors without any', () => {
    const end = opened({ structured: false });
    const first = read(end, 0, 4096);
    const second = read(end, 4096, 512);
    end.feed(Buffer.concat([simple(second, 28), simple(first, 0), pattern(4096, 2)]), 100);
    assert.ok(first.asked.status === BlockStatus.Ok && first.asked.data.equals(pattern(4096, 2)));
    assert.ok(second.asked.status === BlockStatus.Enospc && second.asked.pieces.length === 0);
  });

  it('an error in the middle of a READ: no data is passed on', () => {
    const end = opened();
    const cookie = read(end, 0, 8192);
    end.feed(Buffer.concat([data(cookie, 0, pattern(4096, 1)), fault(cookie, 5, 'a broken disk')]), 3);
    assert.deepEqual([cookie.asked.status, cookie.asked.pieces.length, end.pool.lent.length], [BlockStatus.Eio, 0, 0]);
    const next = read(end, 0, 512);
    end.feed(data(next, 0, pattern(512, 1), true));
    assert.equal(next.asked.status, BlockStatus.Ok);
  });

  it('errors in the words of BlockStatus', () => {
    const known = [1, 12, 28, 95];
    for (const error of [...known, 5, 22, 75, 108, 4711]) {
      const end = opened();
      const asked = new Asked(BlockOp.Write, 0, 512, pattern(512, 1));
      end.core.send(asked);
      const sent = end.sink.take();
      end.feed(simple({ high: sent.readUInt32BE(8), low: sent.readUInt32BE(12) }, error));
      assert.equal(asked.status, known.includes(error) ? error : BlockStatus.Eio);
    }
  });

  it('extents: those of the range, no more than wanted, however many come', () => {
    const end = opened();
    let found: readonly Extent[] | null = null;
    end.core.sendBlockStatus({ offset: 0, length: 8192 }, 2, (status, extents) => {
      assert.equal(status, BlockStatus.Ok);
      found = extents;
    });
    const sent = end.sink.take();
    const descriptors = Buffer.alloc(8 * 1000);
    for (let i = 0; i < 1000; i++) emitDescriptor(descriptors, 8 * i, 4096, i % 2 ? 3 : 0);
    const head = chunk(24, (b) => emitBlockStatusChunk(b, 0, sent.readUInt32BE(8), sent.readUInt32BE(12), 7, 1000));
    end.feed(Buffer.concat([head, descriptors]), 13);
    assert.deepEqual(found, [
      { length: 4096, hole: false, zero: false },
      { length: 4096, hole: true, zero: true },
    ]);
  });

  it('bounds what is in flight, and says when there is room again', () => {
    const end = opened({ limits: { requestsInFlight: 2 } });
    const first = read(end, 0, 512);
    assert.ok(end.core.room);
    read(end, 512, 512);
    assert.ok(!end.core.room);
    end.feed(data(first, 0, pattern(512, 1), true));
    assert.ok(end.core.room);
  });
});

describe('NBD client: a server that breaks the protocol', () => {
  const cases: [name: string, answer: (cookie: Cookie) => Buffer][] = [
    ['no magic', () => Buffer.alloc(20)],
    ['a reply to nothing', (c) => data({ high: c.high + 1, low: c.low }, 0, pattern(8192, 1), true)],
    ['a cookie out of range', (c) => data({ high: c.high, low: 9999 }, 0, pattern(8192, 1), true)],
    ['a simple reply to a READ', (c) => simple(c, 0)],
    ['data before the range', (c) => data(c, 0, pattern(512, 1))],
    ['data beyond the range', (c) => data(c, 4096 + 8192 - 511, pattern(512, 1))],
    ['far too much data', (c) => chunk(28, (b) => emitDataChunk(b, 0, 1, c.high, c.low, 4096, 0xffff_fff0))],
    ['a hole beyond the range', (c) => hole(c, 4096, 8193)],
    ['a hole of no length', (c) => hole(c, 4096, 0)],
    ['data of no length', (c) => data(c, 4096, Buffer.alloc(0))],
    ['the same bytes twice', (c) => Buffer.concat([data(c, 4096, pattern(512, 1)), data(c, 4096, pattern(512, 2))])],
    ['bytes that overlap', (c) => Buffer.concat([hole(c, 5000, 100), hole(c, 4096, 8192)])],
    ['an end without all data', (c) => data(c, 4096, pattern(8191, 1), true)],
    ['an end without any data', (c) => none(c)],
    ['an error that is none', (c) => fault(c, 0)],
    ['an endless message', (c) => chunk(26, (b) => emitErrorChunk(b, 0, 5, c.high, c.low, 0xffff))],
    ['extents for a READ', (c) => chunk(24, (b) => emitBlockStatusChunk(b, 0, c.high, c.low, 7, 1), Buffer.alloc(8))],
    ['an unknown type', (c) => patched(none(c), 77, 6)],
    ['an end that is none', (c) => patched(none(c), 0, 4)],
    ['thousands of pieces', (c) => Buffer.concat(Array.from({ length: 4000 }, (_, i) => hole(c, 4096 + 2 * i, 1)))],
  ];
  for (const [name, answer] of cases) {
    it(`${name}: one error, everything in flight fails, nothing is kept`, () => {
      const end = opened();
      const cookie = read(end, 4096, 8192);
      const write = new Asked(BlockOp.Write, 0, 512, pattern(512, 1));
      end.core.send(write);
      end.feed(answer(cookie));
      assert.equal(end.failure, 'ERR_PROTOCOL');
      assert.deepEqual([cookie.asked.status, write.status], [BlockStatus.Eio, BlockStatus.Eio]);
      assert.equal(cookie.asked.pieces.length, 0);
      assert.equal(end.pool.lent.length, 0);
      assert.ok(!end.core.room && end.core.deadline === undefined);
    });
  }

  it('extents of another context, or of no length', () => {
    for (const [context, length] of [
      [8, 4096],
      [7, 0],
    ] as const) {
      const end = opened();
      let status: BlockStatus | null = null;
      end.core.sendBlockStatus({ offset: 0, length: 4096 }, 9, (ended) => {
        status = ended;
      });
      const sent = end.sink.take();
      const descriptor = Buffer.alloc(8);
      emitDescriptor(descriptor, 0, length, 0);
      const head = chunk(24, (b) =>
        emitBlockStatusChunk(b, 0, sent.readUInt32BE(8), sent.readUInt32BE(12), context, 1),
      );
      end.feed(Buffer.concat([head, descriptor]));
      assert.equal(end.failure, 'ERR_PROTOCOL');
      assert.equal(status, BlockStatus.Eio);
    }
  });

  it('any bytes: an error or nothing, no more memory than was asked for', () => {
    const types = Object.values(ReplyType);
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            type: fc.constantFrom(...types, 9, 0x8009),
            done: fc.boolean(),
            cookie: fc.constantFrom(0, 0, 0, 1),
            length: fc.oneof(fc.nat(100), fc.nat(0xffff_ffff)),
            payload: fc.uint8Array({ maxLength: 64 }),
          }),
          { maxLength: 12 },
        ),
        fc.integer({ min: 1, max: 64 }),
        (chunks, step) => {
          const end = opened();
          const cookie = read(end, 0, 4096);
          for (const { type, done, cookie: other, length, payload } of chunks) {
            const b = Buffer.alloc(20);
            emitNoneChunk(b, 0, cookie.high + other, cookie.low);
            b.writeUInt16BE(done ? 1 : 0, 4);
            b.writeUInt16BE(type, 6);
            b.writeUInt32BE(length, 16);
            if (end.lost === null) end.feed(Buffer.concat([b, payload]), step);
          }
          assert.ok(end.pool.lent.length <= 1);
          end.core.closed(null);
          assert.ok(cookie.asked.status !== null);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('a handshake or a request that takes too long', () => {
    const silent = new ClientEnd({ limits: { handshakeMs: 1000 } });
    silent.pass(999);
    assert.equal(silent.failure, null);
    silent.pass(1);
    assert.equal(silent.failure, 'ERR_TIMEOUT');

    const end = opened({ limits: { requestMs: 1000 } });
    const first = read(end, 0, 512);
    end.pass(600);
    const second = read(end, 512, 512);
    end.feed(data(first, 0, pattern(512, 1), true));
    end.pass(600);
    assert.equal(end.failure, null, 'the second one has 400 ms left');
    assert.equal(end.core.deadline, 1600);
    end.pass(400);
    assert.equal(end.failure, 'ERR_TIMEOUT');
    assert.equal(second.asked.status, BlockStatus.Eio);
  });

  it('bytes behind the answer to STARTTLS (CVE-2021-3716)', () => {
    const end = new ClientEnd({ tls: true });
    const ack = Buffer.from('0003e889045565a9000000050000000100000000', 'hex');
    end.feed(Buffer.concat([welcome().subarray(0, 18), ack, Buffer.from([1])]));
    assert.ok(end.tls);
    assert.equal(end.failure, 'ERR_PROTOCOL');
  });
});
