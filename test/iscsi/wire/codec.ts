// One table per codec, run four ways: parse, emit into a dirty buffer, one byte at a time through the framer, and with
// other bytes around it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BHS_LENGTH, dataSegmentLength, opcodeOf, pad4, putLengths } from '../../../src/iscsi/wire/bhs.js';
import { PduFramer, type PduReceiver } from '../../../src/iscsi/wire/framer.js';
import { BufferPool, RefBuffer } from '../../../src/util/ref-buffer.js';

/** Spaces are for the reader. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex');
}

/** A text data segment. */
export function text(...pairs: string[]): Buffer {
  return Buffer.from(pairs.map((pair) => `${pair}\0`).join(''));
}

/** Name, header, what it says, and the data segment when it is known (else any bytes of that length will do). */
export type Vector<T> = readonly [name: string, header: string, pdu: T, data?: Buffer];

export interface Codec<T> {
  readonly opcode: number;
  readonly parse: (b: Buffer, at?: number) => T;
  readonly emit: (pdu: T, b: Buffer, at?: number) => void;
  readonly vectors: readonly Vector<T>[];
}

/** What a framer has handed on, copied. */
export interface Framed {
  readonly header: Buffer;
  readonly ahs: Buffer;
  /** Null after a data digest error. */
  readonly data: Buffer | null;
}

/** A framer and everything that came out of it. */
export class Collector implements PduReceiver {
  readonly framed: Framed[] = [];
  readonly pool = new BufferPool();
  readonly framer: PduFramer;
  constructor({ maxDataSegment = 2 ** 24 - 1, maxAhs = 1020, header = false, data = false } = {}) {
    this.framer = new PduFramer(this, { maxDataSegment, maxAhs, pool: this.pool });
    this.framer.setDigests(header, data);
  }
  onPdu(b: Buffer, at: number, ahs: Buffer, data: Buffer, owner: RefBuffer | null): void {
    assert.equal(owner === null, data.length === 0);
    this.framed.push({
      header: Buffer.from(b.subarray(at, at + BHS_LENGTH)),
      ahs: Buffer.from(ahs),
      data: Buffer.from(data),
    });
  }
  onDataDigestError(b: Buffer, at: number): void {
    const header = Buffer.from(b.subarray(at, at + BHS_LENGTH));
    this.framed.push({ header, ahs: Buffer.alloc(0), data: null });
  }
  /** Bytes in memory of their own that is overwritten afterwards, as a receive buffer would be. */
  feed(bytes: Buffer): void {
    const chunk = Buffer.from(bytes);
    this.framer.onBytes(chunk, new RefBuffer(chunk));
    chunk.fill(0xa5);
  }
}

export function codecTests<T>(name: string, codec: Codec<T>): void {
  describe(name, () => {
    for (const [title, headerHex, pdu, known] of codec.vectors) {
      const header = hex(headerHex);
      const data = known ?? Buffer.alloc(dataSegmentLength(header), 0x5a);
      const padding = Buffer.alloc(pad4(data.length) - data.length);

      it(`parses ${title}`, () => {
        assert.equal(header.length, BHS_LENGTH);
        assert.equal(opcodeOf(header), codec.opcode);
        assert.equal(dataSegmentLength(header), data.length);
        assert.deepEqual(codec.parse(header), pdu);
      });

      it(`emits ${title} into a dirty buffer`, () => {
        const dirty = Buffer.alloc(BHS_LENGTH + 24, 0xa5);
        codec.emit(pdu, dirty, 12);
        assert.equal(dirty[12 + 4], 0);
        assert.equal(dataSegmentLength(dirty, 12), 0);
        putLengths(dirty, 12, 0, data.length);
        const expected = Buffer.concat([Buffer.alloc(12, 0xa5), header, Buffer.alloc(12, 0xa5)]);
        assert.equal(dirty.toString('hex'), expected.toString('hex'));
      });

      it(`frames ${title} from single bytes`, () => {
        const collector = new Collector();
        for (const byte of Buffer.concat([header, data, padding])) collector.feed(Buffer.from([byte]));
        const [framed, ...more] = collector.framed;
        assert.equal(more.length, 0);
        assert.ok(framed?.data);
        assert.deepEqual(codec.parse(framed.header), pdu);
        assert.ok(framed.data.equals(data));
      });

      it(`reads ${title} between other bytes`, () => {
        const around = Buffer.concat([Buffer.alloc(7, 0xff), header, Buffer.alloc(9, 0xff)]);
        assert.deepEqual(codec.parse(around, 7), pdu);
        const collector = new Collector();
        collector.feed(Buffer.concat([header, data, padding, header.subarray(0, BHS_LENGTH - 1)]));
        assert.equal(collector.framed.length, 1);
        assert.deepEqual(codec.parse((collector.framed[0] as Framed).header), pdu);
      });
    }
  });
}
