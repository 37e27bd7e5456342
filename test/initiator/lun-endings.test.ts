// What becomes of a block request by the way its commands end: sense, status, residual, losses (SPC-4 §4.5).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockFlag, BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { DataInFlag } from '../../src/iscsi/wire/data-in.js';
import { ResidualFlag } from '../../src/iscsi/wire/scsi-response.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense, type Sense } from '../../src/scsi/sense.js';
import { fakeLun, fakePair, QUIET, start } from '../helpers/fake-pair.js';
import type { FakeTarget, SeenPdu } from '../helpers/fake-target.js';
import { pattern } from '../helpers/stream-core.js';
import { RESET, sense, trouble, yesMan } from './answers.js';

test('a flush that the unit does not know is granted only without a cache', () => {
  const pair = fakePair({ onPdu: trouble(sense(5, 0x20, 0), sense(5, 0x20, 0)) }, QUIET);
  const through = start(fakeLun(pair, { writeCache: false }), BlockOp.Flush, 0, 0);
  pair.rig.pump();
  assert.equal(through.status, BlockStatus.Ok);
  const cached = start(fakeLun(pair), BlockOp.Flush, 0, 0);
  pair.rig.pump();
  assert.equal(cached.status, BlockStatus.Eio);
});

test('unit attentions are reported and the command sent again', async () => {
  const pair = fakePair({ onPdu: trouble(RESET, sense(6, 0x2a, 0x09), sense(11, 0, 0)) }, QUIET);
  pattern(4096).copy(pair.target.disk);
  const lun = fakeLun(pair);
  const read = start(lun, BlockOp.Read, 0, 4096);
  await pair.rig.settle();
  assert.equal(read.status, BlockStatus.Ok);
  assert.ok(read.bytes.equals(pattern(4096)));
  assert.deepEqual(
    pair.rig.all('unit-attention').map((output) => [output.sense.asc, output.sense.ascq]),
    [
      [0x29, 0],
      [0x2a, 9],
    ],
  );
});

/** As tgt answers a read with a unit attention: with bytes that mean nothing, and then with the status. */
function rubbishFirst(answer: Sense | number): (pdu: SeenPdu, target: FakeTarget) => boolean {
  let times = 2;
  return (pdu, target) => {
    if (pdu.opcode !== Opcode.ScsiCommand || pdu.bhs[32] !== ScsiOp.Read16 || times-- <= 0) return false;
    const itt = tagOf(pdu.bhs);
    for (const at of [0, 8192]) {
      target.dataIn(itt, { flags: 0, dataSn: at / 8192, offset: at, data: Buffer.alloc(8192, 0xee) });
    }
    if (typeof answer === 'number') target.response(itt, answer);
    else target.response(itt, 0x02, { sense: buildFixedSense(answer) });
    return true;
  };
}
for (const [name, answer] of [
  ['a unit attention', RESET],
  ['ABORTED COMMAND', sense(11, 0x47, 0x05)],
  ['BUSY', 0x08],
  ['TASK ABORTED', 0x40],
] as const) {
  test(`bytes that come with ${name} are not data: they are taken back, or the read fails`, async () => {
    for (const forgets of [true, false]) {
      const pair = fakePair({ onPdu: rubbishFirst(answer) }, QUIET);
      pattern(65_536).copy(pair.target.disk);
      const lun = fakeLun(pair, { maxTransfer: 32_768 });
      const read = start(lun, BlockOp.Read, 0, 65_536, { forgets });
      await pair.rig.advance(1000);
      assert.equal(read.status, forgets ? BlockStatus.Ok : BlockStatus.Eio);
      if (forgets) assert.ok(read.bytes.equals(pattern(65_536)));
      assert.equal(pair.rig.session.tasksInUse, 0);
    }
  });
}

const ENDINGS: [string, Sense | number, BlockStatus][] = [
  ['a medium error', sense(3, 0x11, 0), BlockStatus.Eio],
  ['write protection', sense(7, 0x27, 0), BlockStatus.Eperm],
  ['a thin unit without room', sense(7, 0x27, 7), BlockStatus.Enospc],
  ['an unknown WRITE', sense(5, 0x20, 0), BlockStatus.Eio],
  ['a reservation conflict', 0x18, BlockStatus.Eio],
  ['a status that nobody knows', 0x77, BlockStatus.Eio],
];
for (const [name, answer, status] of ENDINGS) {
  test(`a write meets ${name}`, () => {
    const pair = fakePair({ onPdu: trouble(answer) }, QUIET);
    const write = start(fakeLun(pair), BlockOp.Write, 0, 512, { payload: pattern(512) });
    pair.rig.pump();
    assert.equal(write.status, status);
    assert.equal(pair.target.all(Opcode.ScsiCommand).length, 1, 'it is not sent again');
    assert.equal(pair.rig.session.state, 'LOGGED_IN');
  });
}
test('a deferred error fails the next flush: it was about a write that had been acknowledged, and the command is done', () => {
  const lost = { ...sense(3, 0x0c, 0), deferred: true };
  for (const op of [BlockOp.Read, BlockOp.Write, BlockOp.Flush]) {
    const pair = fakePair({ onPdu: trouble(0, lost) }, QUIET);
    const lun = fakeLun(pair);
    const run = (what: BlockOp): BlockStatus | null => {
      const length = what === BlockOp.Flush ? 0 : 512;
      const request = start(lun, what, 0, length, what === BlockOp.Write ? { payload: pattern(512) } : {});
      pair.rig.pump();
      return request.status;
    };
    assert.equal(run(BlockOp.Write), BlockStatus.Ok);
    assert.equal(run(op), op === BlockOp.Flush ? BlockStatus.Eio : BlockStatus.Ok);
    assert.equal(run(BlockOp.Flush), op === BlockOp.Flush ? BlockStatus.Ok : BlockStatus.Eio);
    assert.equal(run(BlockOp.Flush), BlockStatus.Ok);
    assert.equal(lun.writeLosses, 1);
  }
});
test('tells whether acknowledged changes may be in the cache alone', () => {
  const held: number[] = [];
  const pair = fakePair({
    onPdu: (pdu, target) => {
      if (pdu.opcode !== Opcode.ScsiCommand) return false;
      if (pdu.bhs[32] === ScsiOp.SynchronizeCache16) held.push(tagOf(pdu.bhs));
      else target.response(tagOf(pdu.bhs), 0);
      return true;
    },
  });
  const lun = fakeLun(pair);
  const write = (flags = 0) => {
    start(lun, BlockOp.Write, 0, 512, { payload: pattern(512), flags });
    pair.rig.pump();
  };
  const answer = (status: number) => {
    pair.target.response(held.shift() ?? 0, status);
    pair.rig.pump();
  };
  write(BlockFlag.Fua);
  assert.equal(lun.unflushed, false);
  write();
  assert.equal(lun.unflushed, true);
  start(lun, BlockOp.Flush, 0, 0);
  pair.rig.pump();
  write();
  answer(0);
  assert.equal(lun.unflushed, true, 'the second write came after the flush');
  start(lun, BlockOp.Flush, 0, 0);
  pair.rig.pump();
  answer(0);
  assert.equal(lun.unflushed, false);
  const uncached = fakeLun(pair, { writeCache: false });
  start(uncached, BlockOp.Write, 0, 512, { payload: pattern(512) });
  pair.rig.pump();
  assert.equal(uncached.unflushed, false);
});
test('recovered errors are success; CHECK CONDITION without sense is not', () => {
  const recovered = fakePair({ onPdu: trouble(sense(1, 0x17, 0)) }, QUIET);
  const write = start(fakeLun(recovered), BlockOp.Write, 0, 512, { payload: pattern(512) });
  recovered.rig.pump();
  assert.equal(write.status, BlockStatus.Ok);
  const silent = fakePair({ onPdu: trouble(0x02) }, QUIET);
  const failed = start(fakeLun(silent), BlockOp.Write, 0, 512, { payload: pattern(512) });
  silent.rig.pump();
  assert.equal(failed.status, BlockStatus.Eio);
});
test('a target failure is an error whatever status goes with it', () => {
  const pair = fakePair({
    onPdu: (pdu, target) => {
      target.response(tagOf(pdu.bhs), 0, { response: 1 });
      return true;
    },
  });
  const flush = start(fakeLun(pair), BlockOp.Flush, 0, 0);
  pair.rig.pump();
  assert.equal(flush.status, BlockStatus.Eio);
});

test('GOOD for less than was asked for is an error: data, residual, both ways', () => {
  const short = (answer: (itt: number, target: FakeTarget) => void, op: BlockOp): BlockStatus | null => {
    const pair = fakePair({
      onPdu: (pdu, target) => {
        if (pdu.opcode === Opcode.ScsiCommand) answer(tagOf(pdu.bhs), target);
        return true;
      },
    });
    const payload = op === BlockOp.Write ? { payload: pattern(1024) } : {};
    const request = start(fakeLun(pair), op, 0, 1024, payload);
    pair.rig.pump();
    return request.status;
  };
  const end = DataInFlag.Final | DataInFlag.Status;
  const data = Buffer.alloc(512);
  assert.equal(
    short(
      (itt, t) => t.dataIn(itt, { flags: end | DataInFlag.Underflow, dataSn: 0, offset: 0, data, residual: 512 }),
      BlockOp.Read,
    ),
    BlockStatus.Eio,
  );
  assert.equal(
    short((itt, t) => t.dataIn(itt, { flags: end, dataSn: 0, offset: 0, data }), BlockOp.Read),
    BlockStatus.Eio,
  );
  assert.equal(
    short((itt, t) => t.response(itt, 0), BlockOp.Read),
    BlockStatus.Eio,
  );
  const flags = ResidualFlag.Underflow;
  assert.equal(
    short((itt, t) => t.response(itt, 0, { flags, residual: 512 }), BlockOp.Write),
    BlockStatus.Eio,
  );
});

test('GOOD for more than was asked for is an error: the unit has other blocks than it had', () => {
  const answers: Record<'read' | 'write', (itt: number, target: FakeTarget) => void> = {
    read: (itt, t) => {
      const flags = DataInFlag.Final | DataInFlag.Status | DataInFlag.Overflow;
      t.dataIn(itt, { flags, dataSn: 0, offset: 0, data: Buffer.alloc(1024), residual: 7168 });
    },
    write: (itt, t) => t.response(itt, 0, { flags: ResidualFlag.Overflow, residual: 7168 }),
  };
  for (const kind of ['read', 'write'] as const) {
    const pair = fakePair({
      onPdu: (pdu, target) => {
        if (pdu.opcode === Opcode.ScsiCommand) answers[kind](tagOf(pdu.bhs), target);
        return true;
      },
    });
    const op = kind === 'read' ? BlockOp.Read : BlockOp.Write;
    const request = start(fakeLun(pair), op, 0, 1024, kind === 'read' ? {} : { payload: pattern(1024) });
    pair.rig.pump();
    assert.equal(request.status, BlockStatus.Eio, kind);
  }
});

test('GOOD for a write whose bytes the target has not all taken is an error', () => {
  const hasty = (op: BlockOp): BlockStatus | null => {
    const pair = fakePair({ onPdu: yesMan, wishes: { initialR2T: true, immediateData: false } }, QUIET);
    const request = start(fakeLun(pair), op, 0, 8192, op === BlockOp.Write ? { payload: pattern(8192) } : {});
    pair.rig.pump();
    return request.status;
  };
  assert.equal(hasty(BlockOp.Write), BlockStatus.Eio);
  assert.equal(hasty(BlockOp.WriteZeroes), BlockStatus.Eio);
});

test('a cache that cannot be emptied: the flush fails, and others who have written hear of it too', () => {
  for (const [op, flags, disk] of [
    [BlockOp.Flush, 0, {}],
    [BlockOp.Write, BlockFlag.Fua, { dpofua: false }],
  ] as const) {
    const failing = op === BlockOp.Flush ? [0, sense(3, 0x0c, 0)] : [0, 0, sense(4, 0x44, 0)];
    const pair = fakePair({ onPdu: trouble(...failing) }, QUIET);
    const lun = fakeLun(pair, disk);
    const run = (what: BlockOp, more = 0): BlockStatus | null => {
      const isWrite = what === BlockOp.Write;
      const payload = isWrite ? { payload: pattern(512), flags: more } : {};
      const request = start(lun, what, 0, isWrite ? 512 : 0, payload);
      pair.rig.pump();
      return request.status;
    };
    assert.equal(run(BlockOp.Write), BlockStatus.Ok);
    assert.equal(run(op, flags), BlockStatus.Eio);
    assert.equal(lun.writeLosses, 1);
    assert.equal(lun.unflushed, true, 'nobody knows what has become of it');
    assert.equal(run(BlockOp.Flush), BlockStatus.Ok, 'who asked has been told');
    assert.equal(lun.writeLosses, 1);
  }
});

test('a flush that is lost says nothing about the cache', () => {
  const pair = fakePair({ onPdu: (pdu) => pdu.opcode === Opcode.ScsiCommand }, QUIET);
  const lun = fakeLun(pair);
  const flush = start(lun, BlockOp.Flush, 0, 0);
  pair.rig.pump();
  pair.rig.link.close('cut');
  assert.equal(flush.status, BlockStatus.Eio);
  assert.equal(lun.writeLosses, 0);
});
