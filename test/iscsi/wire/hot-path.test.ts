// The hot PDUs are written and routed without an allocation (digests aside): garbage here would be paid for on every command.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dataInBufferOffset, dataInDataSn, putDataIn } from '../../../src/iscsi/wire/data-in.js';
import { putDataOut } from '../../../src/iscsi/wire/data-out.js';
import { PduFramer, type PduReceiver } from '../../../src/iscsi/wire/framer.js';
import { PduWriter } from '../../../src/iscsi/wire/pdu-writer.js';
import { putR2T, r2tLength } from '../../../src/iscsi/wire/r2t.js';
import { CDB_AT, commandEdtl, putScsiCommand } from '../../../src/iscsi/wire/scsi-command.js';
import { putScsiResponse, responseStatus } from '../../../src/iscsi/wire/scsi-response.js';
import { BufferPool, RefBuffer } from '../../../src/util/ref-buffer.js';
import type { TransmitSink } from '../../../src/util/stream.js';

const ROUND = 20_000;

/** Bytes of heap that one call leaves behind: the least of many rounds, since the compiler works beside the first ones. */
function garbageOf(work: (i: number) => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 30 && least >= 1; round++) {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < ROUND; i++) work(i);
    const grown = process.memoryUsage().heapUsed - before;
    // A collection in between says nothing.
    if (grown >= 0) least = Math.min(least, grown / ROUND);
  }
  return least;
}

/** One slab that is begun again when it is full. */
class RingSink implements TransmitSink {
  readonly slab = Buffer.alloc(65_536);
  readonly backlog = 0;
  #at = 0;
  reserve(length: number): number {
    const at = this.#at + length > this.slab.length ? 0 : this.#at;
    this.#at = at + length;
    return at;
  }
  append(): void {}
}

const lun = Buffer.alloc(8);

describe('no garbage per PDU', () => {
  it('is made by the writer', () => {
    const writer = new PduWriter(new RingSink());
    const data = Buffer.alloc(512, 1);
    const garbage = garbageOf((i) => {
      let at = writer.begin(0);
      putScsiCommand(writer.slab, at, 0xc1, lun, i, 512, i, i);
      writer.slab[at + CDB_AT] = 0x28;
      writer.end(null, null);
      at = writer.begin(512);
      putDataIn(writer.slab, at, 0x81, 0, i, i, i, i, 0, 0, 0);
      writer.end(data, null);
      at = writer.begin(512);
      putDataOut(writer.slab, at, true, lun, i, i, i, 0, 0);
      writer.end(data, null);
      at = writer.begin(0);
      putR2T(writer.slab, at, lun, i, i, i, i, i, 0, 0, 512);
      writer.end(null, null);
      at = writer.begin(0);
      putScsiResponse(writer.slab, at, 0, 0, 0, i, i, i, i, 0, 0);
      writer.end(null, null);
    });
    assert.ok(garbage < 8, `${garbage} bytes`);
  });

  it('is made by the framer and the field accessors', () => {
    const sum = { value: 0 };
    const receiver: PduReceiver = {
      onPdu: (b, at) => {
        sum.value ^= commandEdtl(b, at) ^ responseStatus(b, at) ^ r2tLength(b, at);
        sum.value ^= dataInDataSn(b, at) ^ dataInBufferOffset(b, at);
      },
      onDataDigestError: () => {},
    };
    const framer = new PduFramer(receiver, { maxDataSegment: 8192, maxAhs: 0, pool: new BufferPool() });
    const chunk = Buffer.alloc(48 * 4);
    for (let at = 0; at < chunk.length; at += 48) putR2T(chunk, at, lun, at, at, at, at, at, at, at, 512);
    const owner = new RefBuffer(chunk);
    const garbage = garbageOf(() => framer.onBytes(chunk, owner));
    assert.ok(garbage < 8, `${garbage} bytes`);
  });
});
