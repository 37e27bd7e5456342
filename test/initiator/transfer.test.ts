// Reads and writes of every size class over every way of moving data that a login can agree on (RFC 7143 §4.2.5).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { RefBuffer } from '../../src/util/ref-buffer.js';
import { fakeLun, fakePair, start } from '../helpers/fake-pair.js';
import { pattern } from '../helpers/stream-core.js';

const SIZES = {
  'one block': 512,
  'the size that is copied': 8192,
  'one data segment': 65_536,
  'the first burst': 131_072,
  'more than the first burst': 131_584,
  'more than one burst': 1_048_576 + 4096,
  '8 MiB': 2 ** 23,
};

const onOff = [false, true];
for (const initialR2T of onOff) {
  for (const immediateData of onOff) {
    for (const digests of onOff) {
      for (const smallSegments of onOff) {
        const name = `InitialR2T=${initialR2T} ImmediateData=${immediateData} digests=${digests} small segments=${smallSegments}`;
        test(`write and read back: ${name}`, () => moves({ initialR2T, immediateData, digests, smallSegments }));
      }
    }
  }
}

function moves(way: { initialR2T: boolean; immediateData: boolean; digests: boolean; smallSegments: boolean }): void {
  const digest = way.digests ? 'CRC32C' : 'None';
  const pair = fakePair(
    {
      wishes: {
        initialR2T: way.initialR2T,
        immediateData: way.immediateData,
        headerDigest: digest,
        dataDigest: digest,
        maxRecvDataSegmentLength: way.smallSegments ? 4096 : 65_536,
        firstBurstLength: 131_072,
        maxBurstLength: 1_048_576,
        maxOutstandingR2T: 4,
      },
    },
    {
      login: {
        negotiate: {
          headerDigest: digest,
          dataDigest: digest,
          maxRecvDataSegmentLength: way.smallSegments ? 4096 : 262_144,
        },
      },
    },
  );
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
  assert.equal(pair.rig.session.params?.initialR2T, way.initialR2T);
  assert.equal(pair.rig.session.params?.immediateData, way.immediateData);
  assert.equal(pair.rig.session.params?.headerDigest, digest);
  const lun = fakeLun(pair);
  let seed = 1;
  for (const [name, length] of Object.entries(SIZES)) {
    const payload = pattern(length, seed++);
    const offset = 512 * seed;
    const write = start(lun, BlockOp.Write, offset, length, { payload });
    pair.rig.pump();
    assert.equal(write.status, BlockStatus.Ok, `write of ${name}`);
    assert.ok(pair.target.disk.subarray(offset, offset + length).equals(payload), `bytes on the disk: ${name}`);
    const read = start(lun, BlockOp.Read, offset, length);
    pair.rig.pump();
    assert.equal(read.status, BlockStatus.Ok, `read of ${name}`);
    assert.ok(read.bytes.equals(payload), `bytes read: ${name}`);
  }
  const r2ts = pair.rig.session.counters.r2t_pdus;
  assert.ok(r2ts > 0, 'writes above the first burst need R2T');
  assert.equal(pair.rig.session.counters.dataout_pdus, pair.target.all(Opcode.DataOut).length);
  assert.equal(pair.rig.session.tasksInUse, 0);
}

test('R2Ts are answered in the order in which they come, whatever ranges they ask for', () => {
  const pair = fakePair({ wishes: { maxOutstandingR2T: 8 }, r2tBytes: 65_536, r2tReversed: true });
  const payload = pattern(2 ** 20);
  const write = start(fakeLun(pair), BlockOp.Write, 0, payload.length, { payload });
  pair.rig.pump();
  assert.equal(write.status, BlockStatus.Ok);
  assert.ok(pair.target.disk.subarray(0, payload.length).equals(payload));
});

test('a status in a SCSI Response of its own ends a read', () => {
  const pair = fakePair({ separateStatus: true });
  pattern(2 ** 20).copy(pair.target.disk);
  const read = start(fakeLun(pair), BlockOp.Read, 0, 2 ** 20);
  pair.rig.pump();
  assert.equal(read.status, BlockStatus.Ok);
  assert.ok(read.bytes.equals(pattern(2 ** 20)));
});

test('every chunking of the stream gives the same bytes', () => {
  for (const size of [1, 7, 48, 4096, 65_537]) {
    const pair = fakePair({}, { out: { chunk: () => size }, back: { chunk: () => size } });
    const length = size < 48 ? 8192 : 2 ** 20;
    const payload = pattern(length, size);
    const lun = fakeLun(pair);
    const write = start(lun, BlockOp.Write, 0, length, { payload });
    pair.rig.pump();
    const read = start(lun, BlockOp.Read, 0, length);
    pair.rig.pump();
    assert.equal(write.status, BlockStatus.Ok);
    assert.ok(read.bytes.equals(payload), `in pieces of ${size}`);
  }
});

test('a payload with an owner goes by reference and is given back once', () => {
  const pair = fakePair({});
  let freed = 0;
  const owner = new RefBuffer(pattern(2 ** 20), () => freed++);
  const write = start(fakeLun(pair), BlockOp.Write, 0, 2 ** 20, { payload: owner.buffer, owner });
  assert.ok(owner.references > 1, 'it is held while the command is under way');
  owner.release();
  pair.rig.pump();
  assert.equal(write.status, BlockStatus.Ok);
  assert.equal(freed, 1);
});

test('a payload without an owner may change after onDone though its bytes still wait in the socket', () => {
  const pair = fakePair({
    // Ends the write at once with CHECK CONDITION, before its data has been asked for.
    onPdu: (pdu, target) => {
      if (pdu.opcode !== Opcode.ScsiCommand) return false;
      target.response(pdu.bhs.readUInt32BE(16), 0x02, {
        sense: Buffer.from('700003000000000a00000000110000000000', 'hex'),
      });
      return true;
    },
    wishes: { initialR2T: true, immediateData: true },
  });
  const payload = pattern(65_536);
  const copy = Buffer.from(payload);
  const write = start(fakeLun(pair), BlockOp.Write, 0, payload.length, { payload });
  payload.fill(0);
  pair.rig.pump();
  assert.equal(write.status, BlockStatus.Eio);
  const [command] = pair.target.all(Opcode.ScsiCommand);
  assert.ok(command?.data.equals(copy), 'the bytes as they were at submit');
});

test('many requests at once pass a small command window in their order', () => {
  const pair = fakePair({ window: 2 });
  const lun = fakeLun(pair);
  const writes = Array.from({ length: 300 }, (_, i) =>
    start(lun, BlockOp.Write, i * 4096, 4096, { payload: pattern(4096, i) }),
  );
  pair.rig.pump();
  assert.ok(writes.every(({ status }) => status === BlockStatus.Ok));
  const lbas = pair.target.all(Opcode.ScsiCommand).map(({ bhs }) => Number(bhs.readBigUInt64BE(34)));
  assert.deepEqual(
    lbas,
    Array.from({ length: 300 }, (_, i) => i * 8),
  );
});
