// The framer: the same PDUs from any chunking, bounds before memory, digests. RFC 7143 §11.1, §11.2, §7.8.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BHS_LENGTH, NO_TAG, Opcode } from '../../../src/iscsi/wire/bhs.js';
import { emitDataIn } from '../../../src/iscsi/wire/data-in.js';
import { PduFramer, type PduReceiver } from '../../../src/iscsi/wire/framer.js';
import { PduWriter } from '../../../src/iscsi/wire/pdu-writer.js';
import { ProtocolError } from '../../../src/util/errors.js';
import { BufferPool, RefBuffer } from '../../../src/util/ref-buffer.js';
import { Collector, hex } from './codec.js';
import { MemorySink } from './memory-sink.js';

interface Piece {
  readonly header: Buffer;
  readonly ahs: Buffer;
  readonly data: Buffer;
}

/** PDUs as they go over the wire. */
function wire(pieces: readonly Piece[], header: boolean, data: boolean): Buffer {
  const sink = new MemorySink();
  const writer = new PduWriter(sink);
  writer.setDigests(header, data);
  for (const piece of pieces) {
    writer.send((b, at) => piece.header.copy(b, at), piece.data, piece.ahs);
  }
  return sink.take();
}

/** What came out, without the length fields that the writer filled in. */
function plain(collector: Collector): Piece[] {
  return collector.framed.map(({ header, ahs, data }) => {
    const without = Buffer.from(header);
    without.fill(0, 4, 8);
    assert.ok(data, 'a data digest error');
    return { header: without, ahs, data };
  });
}

const filler = Buffer.alloc(300_000);
for (let i = 0; i < filler.length; i++) filler[i] = (i * 31 + (i >>> 8) * 7) & 0xff;

const header = fc.uint8Array({ minLength: BHS_LENGTH, maxLength: BHS_LENGTH }).map((array) => {
  const b = Buffer.from(array);
  b.fill(0, 4, 8);
  return b;
});
const ahs = fc.integer({ min: 0, max: 12 }).map((words) => filler.subarray(11, 11 + words * 4));
const small = fc.integer({ min: 0, max: 300 }).map((length) => filler.subarray(7, 7 + length));
const large = fc.integer({ min: 8000, max: 200_000 }).map((length) => filler.subarray(3, 3 + length));
const piece = (data: typeof small) =>
  fc.tuple(header, ahs, data).map(([h, a, d]): Piece => ({ header: h, ahs: a, data: d }));

describe('any chunking gives the same PDUs', () => {
  for (const [headerDigest, dataDigest] of [
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ] as const) {
    it(`in small chunks, header digest ${headerDigest}, data digest ${dataDigest}`, () => {
      const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 40 });
      fc.assert(
        fc.property(fc.array(piece(small), { maxLength: 6 }), cuts, (pieces, sizes) => {
          const stream = wire(pieces, headerDigest, dataDigest);
          const collector = new Collector({ header: headerDigest, data: dataDigest });
          for (let at = 0, i = 0; at < stream.length; i++) {
            const size = sizes[i % sizes.length] as number;
            collector.feed(stream.subarray(at, at + size));
            at += size;
          }
          assert.deepEqual(plain(collector), pieces);
        }),
        { numRuns: 60 },
      );
    });

    it(`with long segments read in place, header digest ${headerDigest}, data digest ${dataDigest}`, () => {
      const cuts = fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 1, maxLength: 12 });
      const pieces = fc.array(fc.oneof(piece(small), piece(large)), { minLength: 1, maxLength: 4 });
      let direct = 0;
      fc.assert(
        fc.property(pieces, cuts, (pdus, sizes) => {
          const stream = wire(pdus, headerDigest, dataDigest);
          const collector = new Collector({ header: headerDigest, data: dataDigest });
          for (let at = 0, i = 0; at < stream.length; i++) {
            const size = Math.min(sizes[i % sizes.length] as number, stream.length - at);
            const target = collector.framer.readTarget();
            if (target === null) {
              collector.feed(stream.subarray(at, at + size));
              at += size;
              continue;
            }
            direct++;
            assert.ok(target.length >= 65_536);
            const length = stream.copy(target, 0, at, at + size);
            collector.framer.onTargetFilled(length);
            at += length;
          }
          assert.deepEqual(plain(collector), pdus);
        }),
        { numRuns: 30 },
      );
      assert.ok(direct > 0);
    });
  }
});

describe('any bytes end in PDUs or ProtocolError', () => {
  /** Remembers the largest piece of memory asked for. */
  class CountingPool extends BufferPool {
    largest = 0;
    override take(length: number): RefBuffer {
      this.largest = Math.max(this.largest, length);
      return super.take(length);
    }
  }
  const receiver: PduReceiver = {
    onPdu: (b, at, _ahs, data) => {
      assert.ok(at + BHS_LENGTH <= b.length);
      assert.ok(data.length <= 512);
    },
    onDataDigestError: () => {},
  };
  // Bytes that are often small make length fields that are often acceptable.
  const byte = fc.oneof(
    fc.constant(0),
    fc.constant(0),
    fc.integer({ min: 0, max: 3 }),
    fc.integer({ max: 255, min: 0 }),
  );
  const chunk = fc.array(byte, { maxLength: 200 }).map((list) => Buffer.from(list));

  it('and never take more memory than was allowed', () => {
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 10 }), fc.boolean(), fc.boolean(), (chunks, head, data) => {
        const pool = new CountingPool();
        const framer = new PduFramer(receiver, { maxDataSegment: 512, maxAhs: 16, pool });
        framer.setDigests(head, data);
        try {
          for (const bytes of chunks) framer.onBytes(bytes, new RefBuffer(bytes));
        } catch (error) {
          assert.ok(error instanceof ProtocolError);
        }
        assert.ok(pool.largest <= 512);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('limits', () => {
  const dataIn = (length: number, ahsWords = 0): Buffer => {
    const b = Buffer.alloc(BHS_LENGTH);
    b[0] = Opcode.DataIn;
    b[4] = ahsWords;
    b.writeUIntBE(length, 5, 3);
    return b;
  };
  it('refuses a data segment above MaxRecvDataSegmentLength', () => {
    const collector = new Collector({ maxDataSegment: 8192 });
    assert.throws(() => collector.feed(dataIn(8193)), { clause: 'RFC 7143 §13.12' });
  });
  it('takes a longer one once that is declared', () => {
    const collector = new Collector({ maxDataSegment: 8192 });
    collector.framer.setMaxDataSegment(16_384);
    collector.feed(Buffer.concat([dataIn(16_384), filler.subarray(0, 16_384)]));
    assert.equal(collector.framed[0]?.data?.length, 16_384);
  });
  it('refuses additional headers above its bound, as soon as the length is known', () => {
    const collector = new Collector({ maxAhs: 64 });
    assert.throws(() => collector.feed(dataIn(0, 17)), { clause: 'RFC 7143 §11.2.1.5' });
    for (const byte of dataIn(0, 17).subarray(0, 47)) collector.feed(Buffer.from([byte]));
    assert.throws(() => {
      collector.feed(Buffer.from([0]));
      collector.feed(Buffer.from([0]));
    }, ProtocolError);
  });
  it('takes more of a read target than there is for a bug', () => {
    const collector = new Collector();
    assert.throws(() => collector.framer.onTargetFilled(1), /no such read target/);
  });
});

describe('digests', () => {
  // From a capture of LIO: INQUIRY data of a session with HeaderDigest=CRC32C and DataDigest=CRC32C.
  const bhs = hex(
    '25810000 00000024 ffffffff ffffffff 01000000 ffffffff a441aed6 00000001 00000040 00000000 00000000 00000000',
  );
  const data = hex('000006025bb800024c494f2d4f5247206469736b303520202020202020202020342e3020');
  const padded = hex(
    '25810000 00000029 ffffffff ffffffff 09000000 ffffffff a441aede 00000009 00000048 00000000 00000000 00000000',
  );
  const unitSerial = hex('0080002564346162313136362d666239652d346137312d396265332d30663461616565643831323600');
  const captured = Buffer.concat([
    ...[bhs, hex('f00a3c6d'), data, hex('70b40af8')],
    ...[padded, hex('95b2b212'), unitSerial, Buffer.alloc(3), hex('2f262bad')],
  ]);

  it('accepts those of a real target', () => {
    for (const size of [1, 47, 53, 88, captured.length]) {
      const collector = new Collector({ header: true, data: true });
      for (let at = 0; at < captured.length; at += size) collector.feed(captured.subarray(at, at + size));
      assert.deepEqual(
        collector.framed.map((framed) => framed.data),
        [data, unitSerial],
      );
    }
  });

  it('ends the connection at a bad header digest', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 51 }), fc.integer({ min: 0, max: 7 }), (at, bit) => {
        const bad = Buffer.from(captured);
        bad[at] = (bad[at] as number) ^ (1 << bit);
        const collector = new Collector({ header: true, data: true });
        // A wrong AHS length moves the digest out of this stream: then there is just no PDU.
        try {
          collector.feed(bad);
        } catch (error) {
          assert.ok(error instanceof ProtocolError);
        }
        assert.equal(collector.framed.length, 0);
      }),
    );
    const bad = Buffer.from(captured);
    bad[16] = 2;
    const collector = new Collector({ header: true, data: true });
    assert.throws(() => collector.feed(bad), { clause: 'RFC 7143 §7.8' });
  });

  it('drops a segment with a bad data digest and goes on', () => {
    for (const size of [1, 60, captured.length]) {
      const bad = Buffer.from(captured);
      bad[55] = (bad[55] as number) ^ 0x10;
      const collector = new Collector({ header: true, data: true });
      for (let at = 0; at < bad.length; at += size) collector.feed(bad.subarray(at, at + size));
      assert.deepEqual(
        collector.framed.map((framed) => [framed.header, framed.data]),
        [
          [bhs, null],
          [padded, unitSerial],
        ],
      );
    }
  });

  it('can begin within onPdu', () => {
    const collector = new Collector();
    const login = Buffer.alloc(BHS_LENGTH);
    const original = collector.onPdu.bind(collector);
    collector.onPdu = (...pdu) => {
      original(...pdu);
      collector.framer.setDigests(true, true);
    };
    collector.feed(Buffer.concat([login, captured]));
    assert.equal(collector.framed.length, 3);
  });
});

describe('ownership', () => {
  const pdu = Buffer.alloc(BHS_LENGTH);
  const inquiry = { final: true, acknowledge: false, overflow: false, underflow: false, hasStatus: true, status: 0 };
  const rest = { lun: Buffer.alloc(8), itt: 1, ttt: NO_TAG, statSn: 1, expCmdSn: 1, maxCmdSn: 1, dataSn: 0 };
  emitDataIn({ ...inquiry, ...rest, bufferOffset: 0, residual: 0 }, pdu);
  const stream = wire([{ header: pdu, ahs: Buffer.alloc(0), data: filler.subarray(0, 70_000) }], false, false);

  /** Keeps the data of one PDU. */
  class Keeper implements PduReceiver {
    data: Buffer | undefined;
    owner: RefBuffer | null = null;
    onPdu(_b: Buffer, _at: number, _ahs: Buffer, data: Buffer, owner: RefBuffer | null): void {
      owner?.retain();
      this.data = data;
      this.owner = owner;
    }
    onDataDigestError(): void {}
  }

  it('hands on a view of the chunk when the segment lies in it', () => {
    const keeper = new Keeper();
    const framer = new PduFramer(keeper, { maxDataSegment: 2 ** 18, maxAhs: 0, pool: new BufferPool() });
    const owner = new RefBuffer(stream);
    framer.onBytes(stream, owner);
    assert.equal(keeper.owner, owner);
    assert.equal(owner.references, 2);
    assert.equal(keeper.data?.buffer, stream.buffer);
  });

  it('hands on pooled memory that goes back after the last release', () => {
    const keeper = new Keeper();
    const pool = new BufferPool();
    const framer = new PduFramer(keeper, { maxDataSegment: 2 ** 18, maxAhs: 0, pool });
    const first = Buffer.from(stream.subarray(0, 1000));
    framer.onBytes(first, new RefBuffer(first));
    const target = framer.readTarget() as Buffer;
    stream.copy(target, 0, 1000);
    framer.onTargetFilled(target.length);
    assert.ok(keeper.data?.equals(filler.subarray(0, 70_000)));
    assert.equal(keeper.owner?.references, 1);
    const memory = keeper.owner;
    memory?.release();
    assert.equal(pool.take(70_000), memory);
  });

  it('releases the memory when the receiver throws', () => {
    const seen: RefBuffer[] = [];
    const receiver: PduReceiver = {
      onPdu: (_b, _at, _ahs, _data, owner) => {
        if (owner) seen.push(owner);
        throw new ProtocolError('RFC 7143 §7.13', 'unwanted');
      },
      onDataDigestError: () => {},
    };
    const framer = new PduFramer(receiver, { maxDataSegment: 2 ** 18, maxAhs: 0, pool: new BufferPool() });
    const [first, second] = [stream.subarray(0, 20_000), stream.subarray(20_000)];
    framer.onBytes(first, new RefBuffer(first));
    assert.throws(() => framer.onBytes(second, new RefBuffer(second)), ProtocolError);
    assert.equal(seen[0]?.references, 0);
  });
});
