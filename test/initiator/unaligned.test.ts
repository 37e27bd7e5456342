// Read-modify-write on a logical unit while its connection breaks, its unit changes, and others write beside it: no byte is
// lost, and none that was not asked for is changed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AlignedDevice, anyRange } from '../../src/block/aligned.js';
import { BlockFlag, BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { SliceDevice } from '../../src/block/slice-device.js';
import type { Lun } from '../../src/initiator/lun.js';
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { CDB_AT } from '../../src/iscsi/wire/scsi-command.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense } from '../../src/scsi/sense.js';
import { FakeDisk } from '../faults/fake-disk.js';
import { type FakePair, fakeLun, fakePair, reopen, SERIAL, start } from '../helpers/fake-pair.js';
import { type FakeTarget, ops, type SeenPdu } from '../helpers/fake-target.js';
import { pattern } from '../helpers/stream-core.js';

const WAITS = { timers: { replacementTimeoutMs: 60_000, noopIntervalMs: 0 } } as const;

function setUp(onPdu: (pdu: SeenPdu, target: FakeTarget) => boolean = () => false): {
  pair: FakePair;
  lun: Lun;
  view: AlignedDevice;
} {
  const disk = Buffer.from(pattern(2 ** 18, 3));
  const pair = fakePair({ disk, onPdu }, WAITS);
  const lun = fakeLun(pair);
  return { pair, lun, view: anyRange(lun) };
}
/** What the disk must hold after these writes. */
function expected(...writes: readonly (readonly [number, Buffer])[]): Buffer {
  const disk = Buffer.from(pattern(2 ** 18, 3));
  for (const [offset, bytes] of writes) bytes.copy(disk, offset);
  return disk;
}

test('the first and the last block are read, and the whole is written, with FUA on the write', async () => {
  const { pair, view } = setUp();
  const payload = pattern(5000, 9);
  const write = start(view, BlockOp.Write, 700, 5000, { payload, flags: BlockFlag.Fua });
  await pair.rig.settle();
  assert.equal(write.status, BlockStatus.Ok);
  assert.deepEqual(ops(pair.target), [ScsiOp.Read16, ScsiOp.Read16, ScsiOp.Write16]);
  const cdb = pair.target.all(Opcode.ScsiCommand)[2]?.bhs.subarray(CDB_AT);
  assert.equal((cdb?.[1] ?? 0) & 0x08, 0x08, 'FUA');
  assert.ok(pair.target.disk.equals(expected([700, payload])));
});

for (const lostAt of [0, 1, 2]) {
  test(`the connection breaks at command ${lostAt} of a read-modify-write: it goes on in the next session`, async () => {
    let commands = 0;
    const { pair, view } = setUp((pdu) => pdu.opcode === Opcode.ScsiCommand && commands++ === lostAt);
    const payload = pattern(5000, 9);
    const write = start(view, BlockOp.Write, 700, 5000, { payload });
    await pair.rig.settle();
    const beside = start(view, BlockOp.Write, 512, 512, { payload: pattern(512, 7) });
    assert.deepEqual([write.status, beside.status], [null, null], 'the second waits for the range');
    pair.rig.link.close('cut');
    reopen(pair.rig, { disk: pair.target.disk });
    await pair.rig.settle(8);
    assert.deepEqual([write.status, beside.status], [BlockStatus.Ok, BlockStatus.Ok]);
    assert.ok(pair.target.disk.equals(expected([700, payload], [512, pattern(512, 7)])));
  });
}

test('a unit that is swapped between the read and the write gets nothing of it, and the range is free again', async () => {
  let commands = 0;
  const { pair, view, lun } = setUp((pdu) => pdu.opcode === Opcode.ScsiCommand && commands++ === 2);
  const write = start(view, BlockOp.Write, 700, 5000, { payload: pattern(5000, 9) });
  await pair.rig.settle();
  pair.rig.link.close('cut');
  const stranger = new FakeDisk({ serial: 'fa1e7777', sizeBytes: 2 ** 18 });
  const target = reopen(pair.rig, { unit: stranger, disk: stranger.bytes });
  await pair.rig.advance(4000);
  assert.equal(write.status, BlockStatus.Eio);
  assert.ok(!ops(target).includes(ScsiOp.Write16));
  assert.ok(stranger.bytes.equals(Buffer.alloc(2 ** 18)));
  assert.equal(start(view, BlockOp.Write, 1024, 512, { payload: pattern(512) }).status, BlockStatus.Eio);
  assert.match(lun.problem ?? '', /another unit/);
  pair.rig.link.close('cut');
  const home = reopen(pair.rig, { unit: own(pair.target.disk), disk: pair.target.disk });
  await pair.rig.settle();
  const again = start(view, BlockOp.Write, 700, 5000, { payload: pattern(5000, 9) });
  await pair.rig.settle();
  assert.equal(again.status, BlockStatus.Ok);
  assert.ok(home.disk.equals(expected([700, pattern(5000, 9)])));
});
function own(bytes: Buffer): FakeDisk {
  const unit = new FakeDisk({ serial: SERIAL, sizeBytes: 0 });
  unit.bytes = bytes;
  return unit;
}

test('a read that fails in the middle fails the write with its own error, and writes nothing', async () => {
  let commands = 0;
  const { pair, view } = setUp((pdu, target) => {
    if (pdu.opcode !== Opcode.ScsiCommand || commands++ !== 1) return false;
    target.refuse(tagOf(pdu.bhs), 0x02, buildFixedSense(Senses.ReadError));
    return true;
  });
  const write = start(view, BlockOp.Write, 700, 5000, { payload: pattern(5000, 9) });
  await pair.rig.settle();
  assert.equal(write.status, BlockStatus.Eio);
  assert.deepEqual(ops(pair.target), [ScsiOp.Read16, ScsiOp.Read16]);
  assert.ok(pair.target.disk.equals(expected()));
});

test('a full thin unit tells its own error through a read-modify-write', async () => {
  const { pair, view } = setUp((pdu, target) => {
    if (pdu.opcode !== Opcode.ScsiCommand || pdu.bhs[CDB_AT] !== ScsiOp.Write16) return false;
    target.refuse(tagOf(pdu.bhs), 0x02, buildFixedSense(Senses.SpaceAllocationFailed));
    return true;
  });
  const write = start(view, BlockOp.Write, 1, 1, { payload: pattern(1) });
  await pair.rig.settle();
  assert.equal(write.status, BlockStatus.Enospc);
});

test('many small writes by the whole disk and by a partition, over broken connections, each change their own bytes', async () => {
  const { pair, lun, view } = setUp();
  const partition = anyRange(new SliceDevice(lun, { start: 4096, length: 8192 }));
  const writes: [number, Buffer][] = [];
  const probes = Array.from({ length: 120 }, (_, i) => {
    const bytes = pattern(33, i);
    const at = i * 61;
    const inPartition = i % 2 === 0;
    writes.push([at + 4096, bytes]);
    const offset = inPartition ? at : at + 4096;
    return start(inPartition ? partition : view, BlockOp.Write, offset, bytes.length, { payload: bytes });
  });
  for (let round = 0; round < 6; round++) {
    for (let turn = 0; turn < 5 + round; turn++) {
      pair.rig.pump();
      await new Promise((resolve) => setImmediate(resolve));
    }
    pair.rig.link.close('cut');
    reopen(pair.rig, { disk: pair.target.disk });
  }
  await pair.rig.settle(20);
  assert.ok(probes.every(({ status }) => status === BlockStatus.Ok));
  assert.ok(pair.target.disk.equals(expected(...writes)));
  assert.equal(pair.rig.session.tasksInUse, 0);
});
