// What a unit says of its blocks, as a user of the disk hears it: GET LBA STATUS (SBC-3 §5.6) and PRE-FETCH (§5.8).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { allocationOf } from '../../src/block/allocation.js';
import type { Extent } from '../../src/block/block-device.js';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import type { DiskInfo } from '../../src/initiator/probe.js';
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { CDB_AT, commandEdtl } from '../../src/iscsi/wire/scsi-command.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { buildLbaStatus, type LbaRun, LbaStatus } from '../../src/scsi/lba-status.js';
import { ScsiOp, ServiceActionIn } from '../../src/scsi/opcodes.js';
import { buildFixedSense, type Sense } from '../../src/scsi/sense.js';
import { ScsiStatus } from '../../src/scsi/status.js';
import { fakeLun, fakePair, reopen, start } from '../helpers/fake-pair.js';
import type { FakeTarget, FakeTargetOptions, SeenPdu } from '../helpers/fake-target.js';
import type { PairOptions } from '../helpers/pair.js';

const WAITS = { timers: { replacementTimeoutMs: 30_000, noopIntervalMs: 0, commandTimeoutMs: 10_000 } } as const;
const THIN: DiskInfo['thin'] = {
  unmap: true,
  writeSameUnmap: false,
  readsZeros: true,
  maxUnmapBlocks: 0,
  maxWriteSameBlocks: 0,
};
const RANGE = { offset: 4096, length: 65_536 };
const DATA: Extent = { length: RANGE.length, hole: false, zero: false };

function isQuestion({ opcode, bhs }: SeenPdu): boolean {
  if (opcode !== Opcode.ScsiCommand || bhs[CDB_AT] !== ScsiOp.ServiceActionIn16) return false;
  return ((bhs[CDB_AT + 1] ?? 0) & 0x1f) === ServiceActionIn.GetLbaStatus;
}
/** A target that answers GET LBA STATUS as told. */
function telling(tell: (pdu: SeenPdu, target: FakeTarget) => void): FakeTargetOptions {
  return {
    onPdu: (pdu, target) => {
      if (!isQuestion(pdu)) return false;
      tell(pdu, target);
      return true;
    },
  };
}
function runs(list: readonly LbaRun[]): FakeTargetOptions {
  return telling(({ bhs }, target) => target.answer(bhs, buildLbaStatus(list)));
}
function refusing(sense: Sense): FakeTargetOptions {
  return telling(({ bhs }, target) => target.answer(bhs, sense));
}
function pairWith(options: FakeTargetOptions, disk: Partial<DiskInfo> = {}, more: PairOptions = WAITS) {
  const pair = fakePair(options, more);
  const lun = fakeLun(pair, { thin: THIN, ...disk });
  const ask = async (most = 100): Promise<readonly Extent[]> => {
    const answer = allocationOf(lun, RANGE, most);
    await pair.rig.settle();
    return answer;
  };
  const questions = () => pair.target.seen.filter(isQuestion).length;
  return { ...pair, lun, ask, questions };
}

const MIXED: LbaRun[] = [
  { lba: 0, blocks: 16, status: LbaStatus.Mapped },
  { lba: 16, blocks: 8, status: LbaStatus.Deallocated },
  { lba: 24, blocks: 8, status: LbaStatus.Deallocated },
  { lba: 32, blocks: 16, status: LbaStatus.Anchored },
  { lba: 48, blocks: 1000, status: 7 },
];

test('mapped, deallocated and anchored blocks become data, holes and zeros', async () => {
  const { ask, target } = pairWith(runs(MIXED));
  assert.deepEqual(await ask(), [
    { length: 8 * 512, hole: false, zero: false },
    { length: 16 * 512, hole: true, zero: true },
    { length: 16 * 512, hole: false, zero: true },
    { length: RANGE.length - 40 * 512, hole: false, zero: false },
  ]);
  const { bhs } = target.seen.find(isQuestion) as SeenPdu;
  assert.equal(bhs.readBigUInt64BE(CDB_AT + 2), 8n);
  assert.equal(commandEdtl(bhs), 8 + 16 * 100);
});

test('nothing reads as zeros where the unit does not say so', async () => {
  const { ask } = pairWith(runs(MIXED), { thin: { ...THIN, readsZeros: false } });
  assert.deepEqual(
    (await ask()).map(({ hole, zero }) => [hole, zero]),
    [
      [false, false],
      [true, false],
      [false, false],
    ],
  );
});

test('never more extents than asked for', async () => {
  const { ask } = pairWith(runs(MIXED));
  assert.deepEqual(await ask(1), [{ length: 8 * 512, hole: false, zero: false }]);
});

for (const sense of [Senses.InvalidOpcode, Senses.InvalidFieldInCdb]) {
  test(`a unit that does not know the command (ASC ${sense.asc.toString(16)}h) has data, and is asked once`, async () => {
    const { ask, questions } = pairWith(refusing(sense));
    assert.deepEqual([await ask(), await ask()], [[DATA], [DATA]]);
    assert.equal(questions(), 1);
  });
}

test('a unit that cannot answer just now has data, and is asked again', async () => {
  let refuse = true;
  const { ask, questions } = pairWith(
    telling(({ bhs }, target) => {
      if (refuse) target.refuse(tagOf(bhs), ScsiStatus.ReservationConflict);
      else target.answer(bhs, buildLbaStatus(MIXED));
    }),
  );
  assert.deepEqual(await ask(), [DATA]);
  refuse = false;
  assert.equal((await ask()).length, 4);
  assert.equal(questions(), 2);
});

test('a unit of 10-byte commands is not asked', async () => {
  const { ask, questions } = pairWith(runs(MIXED), { use10: true });
  assert.deepEqual(await ask(), [DATA]);
  assert.equal(questions(), 0);
});

const nonsense: [string, Buffer][] = [
  ['nothing', Buffer.alloc(0)],
  ['half a header', Buffer.alloc(5)],
  ['no descriptor', buildLbaStatus([])],
  ['a run of no blocks', buildLbaStatus([{ lba: 8, blocks: 0, status: 0 }])],
  ['a run somewhere else', buildLbaStatus([{ lba: 9, blocks: 8, status: 1 }])],
  ['a run before', buildLbaStatus([{ lba: 0, blocks: 8, status: 1 }])],
  [
    'a gap',
    buildLbaStatus([
      { lba: 8, blocks: 1, status: 0 },
      { lba: 10, blocks: 1, status: 1 },
    ]),
  ],
  ['bytes of ones', Buffer.alloc(8 + 16, 0xff)],
];
for (const [what, answer] of nonsense) {
  test(`an answer of ${what} is not believed: all is data`, async () => {
    const { ask, rig } = pairWith(telling(({ bhs }, target) => target.answer(bhs, answer)));
    assert.deepEqual(await ask(), [DATA]);
    assert.equal(rig.session.state, 'LOGGED_IN');
  });
}

test('whatever a unit answers, its users hear extents within the range (CVE-2020-1711)', async () => {
  const word = fc.oneof(fc.constantFrom(0, 1, 8, 136, 2 ** 31, 2 ** 32 - 1), fc.nat(200));
  const run = fc
    .tuple(fc.constantFrom(0, 0, 1, 2 ** 32 - 1), word, word, fc.nat(255))
    .map(([high, low, blocks, status]) => {
      const b = Buffer.alloc(16);
      for (const [i, value] of [high, low, blocks].entries()) b.writeUInt32BE(value, 4 * i);
      b[12] = status;
      return b;
    });
  const answers = fc.oneof(
    fc.tuple(word, fc.array(run, { maxLength: 5 })).map(([length, list]) => {
      const header = Buffer.alloc(8);
      header.writeUInt32BE(length);
      return Buffer.concat([header, ...list]);
    }),
    fc.uint8Array({ maxLength: 100 }).map((b) => Buffer.from(b)),
  );
  await fc.assert(
    fc.asyncProperty(answers, async (answer) => {
      const { ask, rig } = pairWith(telling(({ bhs }, target) => target.answer(bhs, answer)));
      const extents = await ask(4);
      assert.ok(extents.length > 0 && extents.length <= 4);
      assert.ok(extents.every(({ length }) => length > 0 && length % 512 === 0));
      assert.ok(extents.reduce((sum, { length }) => sum + length, 0) <= RANGE.length);
      assert.equal(rig.session.state, 'LOGGED_IN');
    }),
    { numRuns: 150 },
  );
});

test('a unit that never answers has data once the time is over, and is not asked again', async () => {
  const { rig, lun, questions } = pairWith(telling(() => {}));
  const answer = allocationOf(lun, RANGE, 100);
  await rig.advance(60_000);
  assert.deepEqual(await answer, [DATA]);
  const asked = questions();
  assert.deepEqual(await allocationOf(lun, RANGE, 100), [DATA]);
  assert.equal(questions(), asked);
});

test('a unit attention is passed over', async () => {
  let first = true;
  const { ask } = pairWith(
    telling(({ bhs }, target) => {
      if (first) target.response(tagOf(bhs), 0x02, { sense: buildFixedSense(Senses.CapacityChanged) });
      else target.answer(bhs, buildLbaStatus(MIXED));
      first = false;
    }),
  );
  assert.equal((await ask()).length, 4);
});

test('a question that the connection took with it waits for the next login, as a read does', async () => {
  const { rig, lun, target } = pairWith(
    telling(() => {}),
    {},
  );
  const answer = allocationOf(lun, RANGE, 100);
  const read = start(lun, BlockOp.Read, 0, 4096);
  rig.pump();
  rig.link.close('cut');
  const later = allocationOf(lun, RANGE, 100);
  await rig.advance(5000);
  reopen(rig, { ...runs(MIXED), disk: target.disk });
  await rig.settle();
  assert.equal(read.status, BlockStatus.Ok);
  assert.equal((await answer).length, 4);
  assert.equal((await later).length, 4);
  assert.equal(rig.session.tasksInUse, 0);
});

test('it ends with an error when the wait is over, and the one after it at once', async () => {
  const { rig, lun } = pairWith(telling(() => {}));
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => 'none',
      (error) => error.code,
    );
  const lost = codeOf(allocationOf(lun, RANGE, 100));
  rig.pump();
  rig.link.close('cut');
  await rig.advance(31_000);
  assert.equal(await lost, 'ERR_NOT_CONNECTED');
  assert.equal(await codeOf(allocationOf(lun, RANGE, 100)), 'ERR_NOT_CONNECTED');
  assert.equal(rig.session.tasksInUse, 0);
});

test('a unit that may be another one is not asked until that is settled', async () => {
  const { rig, lun, questions } = pairWith(runs(MIXED));
  rig.session.hold(lun.gate);
  const answer = allocationOf(lun, RANGE, 100);
  await rig.settle();
  assert.equal(questions(), 0);
  rig.session.resume(lun.gate);
  await rig.settle();
  assert.equal((await answer).length, 4);
});

test('closing waits for it, and a closed disk tells nothing', async () => {
  const { rig, lun, target } = pairWith(telling(() => {}));
  const answer = allocationOf(lun, RANGE, 100);
  rig.pump();
  let closed = false;
  const closing = lun.close().then(() => {
    closed = true;
  });
  await rig.settle();
  assert.equal(closed, false);
  target.answer((target.seen.find(isQuestion) as SeenPdu).bhs, buildLbaStatus(MIXED));
  await rig.settle();
  await closing;
  assert.equal((await answer).length, 4);
  await assert.rejects(allocationOf(lun, RANGE, 100), { status: BlockStatus.Eshutdown });
});

test('PRE-FETCH is a hint: 32 MiB at most, answered at once, and not given again to a unit that does not know it', async () => {
  let answer: number = ScsiStatus.ConditionMet;
  const seen: SeenPdu[] = [];
  const { rig, lun } = pairWith(
    {
      onPdu: (pdu, target) => {
        if (pdu.opcode !== Opcode.ScsiCommand || pdu.bhs[CDB_AT] !== ScsiOp.PreFetch16) return false;
        seen.push(pdu);
        if (answer === ScsiStatus.CheckCondition) target.answer(pdu.bhs, Senses.InvalidOpcode);
        else target.response(tagOf(pdu.bhs), answer);
        return true;
      },
    },
    { blocks: 2 ** 20 },
  );
  for (const status of [ScsiStatus.ConditionMet, ScsiStatus.Good, ScsiStatus.CheckCondition, ScsiStatus.Good]) {
    answer = status;
    lun.prefetch({ offset: 8192, length: 2 ** 28 });
    await rig.settle();
  }
  assert.equal(seen.length, 3);
  const cdb = seen[0]?.bhs.subarray(CDB_AT, CDB_AT + 16) as Buffer;
  assert.deepEqual([cdb[1], cdb.readBigUInt64BE(2), cdb.readUInt32BE(10)], [2, 16n, 65_536]);
  rig.link.close('cut');
  lun.prefetch({ offset: 0, length: 4096 });
  assert.equal(rig.session.tasksInUse, 0);
});
