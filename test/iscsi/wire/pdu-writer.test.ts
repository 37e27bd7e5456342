// The writer: lengths, padding, digests, and what is copied. RFC 7143 §11.1, §11.2, §13.1.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bidiReadLengthAhs, buildAhs } from '../../../src/iscsi/wire/ahs.js';
import { BHS_LENGTH, NO_TAG, Opcode } from '../../../src/iscsi/wire/bhs.js';
import { putDataIn } from '../../../src/iscsi/wire/data-in.js';
import { emitNopOut } from '../../../src/iscsi/wire/nop-out.js';
import { PduWriter } from '../../../src/iscsi/wire/pdu-writer.js';
import { crc32c } from '../../../src/util/crc32c.js';
import { RefBuffer } from '../../../src/util/ref-buffer.js';
import { COPY_LARGEST } from '../../../src/util/stream.js';
import { hex } from './codec.js';
import { MemorySink } from './memory-sink.js';

const ping = { immediate: true, lun: Buffer.alloc(8), itt: 1, ttt: NO_TAG, cmdSn: 2, expStatSn: 3 };

function setUp(header = false, data = false): { sink: MemorySink; writer: PduWriter } {
  const sink = new MemorySink();
  const writer = new PduWriter(sink);
  writer.setDigests(header, data);
  return { sink, writer };
}

describe('PduWriter', () => {
  it('writes lengths, padding and both digests as LIO does', () => {
    const { sink, writer } = setUp(true, true);
    const data = hex('0080002564346162313136362d666239652d346137312d396265332d30663461616565643831323600');
    const at = writer.begin(data.length);
    putDataIn(writer.slab, at, 0x81, 0, 0x09000000, 2755768030, 9, 72, 0, 0, 0);
    hex('ffffffffffffffff').copy(writer.slab, at + 8);
    writer.end(data, null);
    const expected = hex(
      '25810000 00000029 ffffffff ffffffff 09000000 ffffffff a441aede 00000009 00000048 00000000 00000000 00000000' +
        `95b2b212 ${data.toString('hex')} 000000 2f262bad`,
    );
    assert.equal(sink.take().toString('hex'), expected.toString('hex'));
  });

  it('writes no data digest without data', () => {
    const { sink, writer } = setUp(true, true);
    writer.send((b, at) => emitNopOut(ping, b, at));
    const bytes = sink.take();
    assert.equal(bytes.length, BHS_LENGTH + 4);
    assert.equal(bytes.readUInt32LE(BHS_LENGTH), crc32c(bytes, 0, BHS_LENGTH));
  });

  it('puts additional headers under the header digest', () => {
    const { sink, writer } = setUp(true, false);
    const ahs = buildAhs([bidiReadLengthAhs(512)]);
    writer.send((b, at) => emitNopOut(ping, b, at), null, ahs);
    const bytes = sink.take();
    assert.equal(bytes[4], 2);
    assert.deepEqual(bytes.subarray(48, 56), ahs);
    assert.equal(bytes.readUInt32LE(56), crc32c(bytes, 0, 56));
  });

  it('copies data up to COPY_LARGEST behind the header', () => {
    const { sink, writer } = setUp();
    const data = Buffer.alloc(COPY_LARGEST, 1);
    const owner = new RefBuffer(data);
    const at = writer.begin(data.length);
    emitNopOut(ping, writer.slab, at);
    writer.end(data, owner);
    data.fill(2);
    assert.equal(owner.references, 1);
    assert.equal(sink.pieces, 1);
    assert.ok(sink.take().subarray(48).equals(Buffer.alloc(COPY_LARGEST, 1)));
  });

  for (const [name, digest, tail] of [
    ['nothing', false, 0],
    ['padding', false, 3],
    ['a digest', true, 0],
    ['padding and a digest', true, 1],
  ] as const) {
    it(`sends larger data by reference, with ${name} behind it`, () => {
      const { sink, writer } = setUp(false, digest);
      const data = Buffer.alloc(COPY_LARGEST + 4 - tail, 7);
      const owner = new RefBuffer(data);
      const at = writer.begin(data.length);
      emitNopOut(ping, writer.slab, at);
      writer.end(data, owner);
      assert.equal(owner.references, 2);
      const bytes = sink.take();
      assert.equal(owner.references, 1);
      const padded = Buffer.concat([data, Buffer.alloc(tail)]);
      assert.ok(bytes.subarray(48, 48 + padded.length).equals(padded));
      assert.equal(bytes.length, 48 + padded.length + (digest ? 4 : 0));
      if (digest) assert.equal(bytes.readUInt32LE(48 + padded.length), crc32c(padded));
      assert.equal(bytes.readUIntBE(5, 3), data.length);
    });
  }

  it('takes data that was made in place', () => {
    const { sink, writer } = setUp(true, true);
    const at = writer.begin(5);
    emitNopOut(ping, writer.slab, at);
    writer.slab.write('hello', writer.dataAt);
    writer.end(null, null);
    const bytes = sink.take();
    assert.equal(bytes.toString('latin1', 52, 60), 'hello\0\0\0');
    assert.equal(bytes.readUInt32LE(60), crc32c(bytes, 52, 60));
    assert.equal(bytes[0], Opcode.NopOut | 0x40);
  });

  it('lets the data of send be reused at once', () => {
    const { sink, writer } = setUp();
    const data = Buffer.alloc(COPY_LARGEST + 1, 1);
    writer.send((b, at) => emitNopOut(ping, b, at), data);
    data.fill(2);
    assert.equal(sink.take()[48], 1);
  });

  it('refuses what would not be a PDU', () => {
    const { writer } = setUp();
    assert.throws(() => writer.begin(2 ** 24), /cannot hold/);
    assert.throws(() => writer.begin(0, Buffer.alloc(6)), /no row of AHS/);
    assert.throws(() => writer.begin(0, Buffer.alloc(1024)), /no row of AHS/);
    writer.begin(4);
    assert.throws(() => writer.begin(4), /no end/);
    assert.throws(() => writer.end(Buffer.alloc(5), null), /announced 4/);
    const { writer: other } = setUp();
    other.begin(COPY_LARGEST + 1);
    assert.throws(() => other.end(null, null), /made in place/);
  });
});
