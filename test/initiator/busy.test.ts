// A unit that has no time or no room, and one that is not ours: BUSY, TASK SET FULL, RESERVATION CONFLICT (row F11 of the
// fault bench, with the fake target in memory).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { QueueDepth } from '../../src/initiator/queue-depth.js';
import { Trouble } from '../../src/initiator/retry.js';
import { type Task, type TaskOwner, TaskTable } from '../../src/initiator/tasks.js';
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { CDB_AT } from '../../src/iscsi/wire/scsi-command.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { ScsiStatus } from '../../src/scsi/status.js';
import { fakeLun, fakePair, reopen, start } from '../helpers/fake-pair.js';
import type { FakeTarget, SeenPdu } from '../helpers/fake-target.js';
import { pattern } from '../helpers/stream-core.js';

const PATIENCE_MS = 20_000;
const WAITS = { timers: { replacementTimeoutMs: PATIENCE_MS, noopIntervalMs: 0 } } as const;

/** Answers commands with `status` while `says` is true. */
function answering(status: number, says: () => boolean): (pdu: SeenPdu, target: FakeTarget) => boolean {
  return (pdu, target) => {
    if (pdu.opcode !== Opcode.ScsiCommand || !says()) return false;
    target.refuse(tagOf(pdu.bhs), status);
    return true;
  };
}

for (const status of [ScsiStatus.Busy, ScsiStatus.TaskSetFull]) {
  test(`F11: status 0x${status.toString(16)} for five seconds, then GOOD`, async () => {
    let busy = true;
    const pair = fakePair({ onPdu: answering(status, () => busy) }, WAITS);
    const write = start(fakeLun(pair), BlockOp.Write, 0, 4096, { payload: pattern(4096) });
    await pair.rig.advance(5000);
    assert.equal(write.status, null);
    busy = false;
    await pair.rig.advance(1250);
    assert.equal(write.status, BlockStatus.Ok);
    assert.ok(pair.target.disk.subarray(0, 4096).equals(pattern(4096)));
  });

  test(`F11: status 0x${status.toString(16)} for ever ends in EIO at the replacement timeout`, async () => {
    const pair = fakePair({ onPdu: answering(status, () => true) }, WAITS);
    const lun = fakeLun(pair);
    const requests = [0, 1, 2].map((i) => start(lun, BlockOp.Read, i * 512, 512));
    await pair.rig.advance(PATIENCE_MS - 1);
    assert.ok(requests.every((request) => request.status === null));
    await pair.rig.advance(1001);
    assert.ok(requests.every((request) => request.status === BlockStatus.Eio));
    const late = start(lun, BlockOp.Read, 0, 512);
    pair.rig.pump();
    assert.equal(late.status, BlockStatus.Eio, 'at once, until the unit has done something again');
    assert.equal(pair.rig.session.tasksInUse, 0);
  });
}

test('F11: how long a unit was busy before the connection was lost does not count in the next session', async () => {
  const pair = fakePair({ onPdu: answering(ScsiStatus.Busy, () => true) }, WAITS);
  const lun = fakeLun(pair);
  start(lun, BlockOp.Write, 0, 4096, { payload: pattern(4096) });
  await pair.rig.advance(PATIENCE_MS - 5000);
  pair.rig.link.close('cut');
  const write = start(lun, BlockOp.Write, 4096, 4096, { payload: pattern(4096) });
  await pair.rig.advance(PATIENCE_MS - 2000);
  let left = 2;
  const onlyWrites = (pdu: SeenPdu, target: FakeTarget) =>
    pdu.bhs[CDB_AT] === ScsiOp.Write16 && answering(ScsiStatus.Busy, () => left-- > 0)(pdu, target);
  reopen(pair.rig, { onPdu: onlyWrites });
  await pair.rig.advance(1000);
  assert.equal(write.status, BlockStatus.Ok);
});

test('F11: a unit that was busy once and has ended a command since is not given up at its next BUSY', async () => {
  const answers: number[] = [ScsiStatus.Busy, ScsiStatus.ReservationConflict];
  const onPdu = (pdu: SeenPdu, target: FakeTarget): boolean => {
    const status = pdu.opcode === Opcode.ScsiCommand ? answers.shift() : undefined;
    if (status !== undefined) target.refuse(tagOf(pdu.bhs), status);
    return status !== undefined;
  };
  const pair = fakePair({ onPdu }, WAITS);
  const lun = fakeLun(pair);
  const first = start(lun, BlockOp.Read, 0, 512);
  await pair.rig.advance(1000);
  assert.equal(first.status, BlockStatus.Eio);
  await pair.rig.advance(10 * PATIENCE_MS);
  answers.push(ScsiStatus.Busy);
  const later = start(lun, BlockOp.Read, 0, 512);
  await pair.rig.advance(1000);
  assert.equal(later.status, BlockStatus.Ok);
});

test('F11: RESERVATION CONFLICT ends in EIO at once and is not tried again', () => {
  const pair = fakePair({ onPdu: answering(ScsiStatus.ReservationConflict, () => true) }, WAITS);
  const before = pair.rig.clock.ms;
  const write = start(fakeLun(pair), BlockOp.Write, 0, 512, { payload: pattern(512) });
  pair.rig.pump();
  assert.equal(write.status, BlockStatus.Eio);
  assert.equal(pair.rig.clock.ms, before, 'no time has passed');
  assert.equal(pair.target.all(Opcode.ScsiCommand).length, 1);
});

test('F11: TASK SET FULL halves the queue depth, successes grow it again, and every request ends well', async () => {
  const room = 8;
  const held: SeenPdu[] = [];
  let limited = true;
  const pair = fakePair(
    {
      onPdu: (pdu, target) => {
        if (pdu.opcode !== Opcode.ScsiCommand || !limited) return false;
        if (held.length >= room) target.refuse(tagOf(pdu.bhs), ScsiStatus.TaskSetFull);
        else held.push(pdu);
        return true;
      },
    },
    WAITS,
  );
  const lun = fakeLun(pair);
  const requests = Array.from({ length: 64 }, (_, i) => start(lun, BlockOp.Read, i * 512, 512));
  pair.rig.pump();
  assert.equal(lun.queueDepth, 32, 'halved once for the whole burst');
  for (let turn = 0; turn < 400 && requests.some(({ status }) => status === null); turn++) {
    for (const pdu of held.splice(0)) pair.target.serve(pdu);
    await pair.rig.advance(20);
  }
  assert.ok(requests.every(({ status }) => status === BlockStatus.Ok));
  const lowest = lun.queueDepth;
  assert.ok(lowest < 32, `${lowest}`);
  limited = false;
  for (let i = 0; i < 2000; i++) {
    start(lun, BlockOp.Read, 0, 512);
    pair.rig.pump();
  }
  assert.ok(lun.queueDepth > 2 * lowest, `${lun.queueDepth} after ${lowest}`);
});

const NOBODY: TaskOwner = { onTaskData() {}, onTaskDone() {} };
function tasks(count: number): Task[] {
  const table = new TaskTable();
  return Array.from({ length: count }, () => table.take(NOBODY) as Task);
}

test('a queue depth without a limit costs nothing and keeps nothing', () => {
  const depth = new QueueDepth();
  for (const task of tasks(1000)) assert.ok(depth.admit(task));
  assert.equal(depth.next(), undefined);
  for (let i = 0; i < 1000; i++) depth.leave(true);
  assert.equal(depth.limit, Number.POSITIVE_INFINITY);
});

test('a limited queue depth gives out what waits in order, and never more than the limit', () => {
  const depth = new QueueDepth();
  const all = tasks(40);
  const first = all.slice(0, 8);
  for (const task of first) assert.ok(depth.admit(task));
  depth.full();
  assert.equal(depth.limit, 4);
  for (let i = 0; i < 7; i++) depth.full();
  assert.equal(depth.limit, 4, 'the same burst');
  const waiting = all.slice(8);
  for (const task of waiting) assert.equal(depth.admit(task), false);
  assert.equal(depth.next(), undefined);
  let inFlight = 8;
  const given: Task[] = [];
  while (inFlight > 0) {
    depth.leave(false);
    inFlight--;
    for (let task = depth.next(); task !== undefined; task = depth.next()) {
      given.push(task);
      inFlight++;
    }
    assert.ok(inFlight <= Math.max(4, 8));
  }
  assert.deepEqual(given, waiting);
  for (let i = 0; i < 20; i++) {
    const [task] = all;
    assert.ok(task && depth.admit(task));
    depth.full();
    depth.leave(false);
  }
  assert.equal(depth.limit, 1, 'never none');
});

test('a queue depth that has grown far enough is no limit any more', () => {
  const depth = new QueueDepth();
  const [task] = tasks(1);
  assert.ok(task && depth.admit(task));
  depth.full();
  for (let i = 0; i < 200_000 && depth.limit < Number.POSITIVE_INFINITY; i++) {
    depth.leave(true);
    assert.ok(depth.admit(task));
  }
  assert.equal(depth.limit, Number.POSITIVE_INFINITY);
});

test('pauses of a busy unit double up to about a second, differ between commands, and end with the patience', () => {
  const schedule = (salt: number): number[] => {
    const trouble = new Trouble();
    const pauses: number[] = [];
    for (let now = 5000; ; ) {
      const pause = trouble.nextTry('later', now, 10_000, salt);
      if (pause === null) return pauses;
      assert.ok(pause >= 1 && pause <= 1000);
      pauses.push(pause);
      now += pause;
    }
  };
  const one = schedule(1);
  assert.equal(
    one.reduce((sum, pause) => sum + pause, 0),
    10_000,
  );
  assert.ok(one.length < 30);
  assert.notDeepEqual(one, schedule(2));
});

test('what each reason for another try is worth', () => {
  const most = (retry: Parameters<Trouble['nextTry']>[0]): number => {
    const trouble = new Trouble();
    let tries = 0;
    while (tries < 1000 && trouble.nextTry(retry, 0, 0, 0) !== null) tries++;
    return tries;
  };
  assert.deepEqual(
    ['no', 'now', 'attention', 'timed-out', 'refused'].map((retry) => most(retry as 'now')),
    [0, 8, 99, 2, 2],
  );
  assert.equal(most('later'), 0, 'without patience');
  const trouble = new Trouble();
  for (let i = 0; i < 99; i++) trouble.nextTry('attention', 0, 0, 0);
  assert.notEqual(trouble.nextTry('now', 0, 0, 0), null, 'each is counted by itself');
});
