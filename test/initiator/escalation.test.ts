// Commands without an answer: ABORT TASK, LOGICAL UNIT RESET, TARGET WARM RESET, a new connection, each in its time
// (RFC 7143 §11.5), and how often such a command is tried again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { emitReject } from '../../src/iscsi/wire/reject.js';
import { CDB_AT } from '../../src/iscsi/wire/scsi-command.js';
import { parseTaskManagementRequest, TaskFunction, TaskResponse } from '../../src/iscsi/wire/task-management.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { AppError } from '../../src/util/errors.js';
import { type FakePair, fakeLun, fakePair, reopen, start } from '../helpers/fake-pair.js';
import type { FakeTarget, FakeTargetOptions, SeenPdu } from '../helpers/fake-target.js';
import { pattern } from '../helpers/stream-core.js';

const WAITS = { timers: { replacementTimeoutMs: 300_000, noopIntervalMs: 0 } } as const;
const { Complete, TaskDoesNotExist, FunctionNotSupported } = TaskResponse;
const { AbortTask, LogicalUnitReset, TargetWarmReset } = TaskFunction;

/** What each function is answered with; a function that is not named gets no answer. */
type Answers = Partial<Record<number, number>>;

/** A target that is deaf for reads and writes of the disk while `deaf` says so. */
function deafTarget(deaf: (pdu: SeenPdu) => boolean, answers: Answers): FakeTargetOptions {
  return {
    onPdu: (pdu: SeenPdu, target: FakeTarget): boolean => {
      if (pdu.opcode === Opcode.ScsiCommand)
        return [ScsiOp.Read16, ScsiOp.Write16].includes(pdu.bhs[CDB_AT] as 0x88) && deaf(pdu);
      if (pdu.opcode !== Opcode.TaskManagementRequest) return false;
      const response = answers[parseTaskManagementRequest(pdu.bhs).function];
      if (response !== undefined) target.functionResponse(tagOf(pdu.bhs), response);
      return true;
    },
  };
}
function functions(target: FakeTarget): number[] {
  return target.all(Opcode.TaskManagementRequest).map(({ bhs }) => parseTaskManagementRequest(bhs).function);
}
function reads({ target }: FakePair): number {
  return target.all(Opcode.ScsiCommand).filter(({ bhs }) => bhs[CDB_AT] === ScsiOp.Read16).length;
}

for (const response of [Complete, TaskDoesNotExist]) {
  test(`a command that is aborted (response ${response}) is tried twice more, then ends in EIO`, async () => {
    const pair = fakePair(
      deafTarget(() => true, { [AbortTask]: response }),
      WAITS,
    );
    const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
    await pair.rig.advance(89_999);
    assert.equal(read.status, null);
    assert.equal(reads(pair), 3);
    await pair.rig.advance(1);
    assert.equal(read.status, BlockStatus.Eio);
    assert.deepEqual(functions(pair.target), [AbortTask, AbortTask, AbortTask]);
    assert.equal(pair.rig.session.state, 'LOGGED_IN');
  });
}

test('LOGICAL UNIT RESET ends all commands of the unit, which are sent again; a later one does not count as its', async () => {
  let deaf = true;
  const pair = fakePair(
    deafTarget(() => deaf, { [LogicalUnitReset]: Complete }),
    WAITS,
  );
  const lun = fakeLun(pair);
  const first = start(lun, BlockOp.Read, 0, 512);
  await pair.rig.advance(10_000);
  const second = start(lun, BlockOp.Write, 4096, 4096, { payload: pattern(4096) });
  await pair.rig.advance(34_999);
  assert.deepEqual(functions(pair.target), [AbortTask, AbortTask]);
  deaf = false;
  await pair.rig.advance(1);
  assert.deepEqual(functions(pair.target), [AbortTask, AbortTask, LogicalUnitReset]);
  assert.deepEqual([first.status, second.status], [BlockStatus.Ok, BlockStatus.Ok]);
  assert.ok(pair.target.disk.subarray(4096, 8192).equals(pattern(4096)));
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
  assert.ok(pair.rig.all('log').some(({ message }) => /LUN 0: .*LOGICAL UNIT RESET/.test(message)));
});

test('many commands of one unit that get no answer cost one reset, not one each', async () => {
  let deaf = true;
  const pair = fakePair(
    deafTarget(() => deaf, { [AbortTask]: FunctionNotSupported, [LogicalUnitReset]: Complete }),
    WAITS,
  );
  const lun = fakeLun(pair);
  const requests = Array.from({ length: 50 }, (_, i) => start(lun, BlockOp.Read, i * 512, 512));
  await pair.rig.advance(29_999);
  deaf = false;
  await pair.rig.advance(100);
  assert.ok(requests.every(({ status }) => status === BlockStatus.Ok));
  assert.equal(functions(pair.target).filter((one) => one === LogicalUnitReset).length, 1);
});

test('a unit that is not there has no commands: no reset of the target for its sake', async () => {
  let deaf = true;
  const answers = { [AbortTask]: FunctionNotSupported, [LogicalUnitReset]: TaskResponse.LunDoesNotExist };
  const pair = fakePair(
    deafTarget(() => deaf, answers),
    WAITS,
  );
  const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
  await pair.rig.advance(29_999);
  deaf = false;
  await pair.rig.advance(1);
  assert.deepEqual(functions(pair.target), [AbortTask, LogicalUnitReset]);
  assert.equal(read.status, BlockStatus.Ok);
});

for (const response of [TaskDoesNotExist, TaskResponse.LunDoesNotExist]) {
  test(`a reset that is answered with ${response} has not been carried out: nothing is sent again beside the old command`, async () => {
    const answers = {
      [AbortTask]: FunctionNotSupported,
      [LogicalUnitReset]: TaskDoesNotExist,
      [TargetWarmReset]: response,
    };
    const pair = fakePair(
      deafTarget(() => true, answers),
      WAITS,
    );
    const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
    await pair.rig.advance(30_000);
    assert.deepEqual(functions(pair.target), [AbortTask, LogicalUnitReset, TargetWarmReset]);
    assert.equal(pair.rig.session.state, 'FAILED');
    assert.equal(reads(pair), 1);
    assert.equal(read.status, null);
  });
}

test('TARGET WARM RESET comes where LOGICAL UNIT RESET is refused', async () => {
  let deaf = true;
  const answers = {
    [AbortTask]: FunctionNotSupported,
    [LogicalUnitReset]: FunctionNotSupported,
    [TargetWarmReset]: Complete,
  };
  const pair = fakePair(
    deafTarget(() => deaf, answers),
    WAITS,
  );
  const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
  await pair.rig.advance(29_999);
  deaf = false;
  await pair.rig.advance(1);
  assert.deepEqual(functions(pair.target), [AbortTask, LogicalUnitReset, TargetWarmReset]);
  assert.equal(read.status, BlockStatus.Ok);
});

test('a target that answers nothing loses its connection after all three times; the commands go on in the next session', async () => {
  const pair = fakePair(
    deafTarget(() => true, {}),
    WAITS,
  );
  const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
  await pair.rig.advance(30_000 + 15_000 + 30_000 + 30_000 - 1);
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
  await pair.rig.advance(1);
  assert.equal(pair.rig.session.state, 'FAILED');
  assert.deepEqual(functions(pair.target), [AbortTask, LogicalUnitReset, TargetWarmReset]);
  assert.equal(read.status, null);
  const next = reopen(
    pair.rig,
    deafTarget(() => true, {}),
  );
  await pair.rig.advance(30_000);
  assert.deepEqual(functions(next), [AbortTask], 'the steps begin anew');
  pair.rig.link.close('cut');
  reopen(pair.rig, {});
  await pair.rig.settle();
  assert.equal(read.status, BlockStatus.Ok);
});

test('a status that comes while a reset is under way counts', async () => {
  const pair = fakePair(
    deafTarget(() => true, {}),
    WAITS,
  );
  const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
  await pair.rig.advance(50_000);
  assert.deepEqual(functions(pair.target), [AbortTask, LogicalUnitReset]);
  const command = pair.target.all(Opcode.ScsiCommand)[0];
  pair.target.sendRead(tagOf(command?.bhs ?? Buffer.alloc(48)), pattern(512));
  pair.rig.pump();
  assert.equal(read.status, BlockStatus.Ok);
  await pair.rig.advance(100_000);
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
});

test('a rejected task management function is the turn of the next step', async () => {
  let deaf = true;
  const pair = fakePair(
    {
      onPdu: (pdu, target) => {
        if (pdu.opcode === Opcode.ScsiCommand) return pdu.bhs[CDB_AT] === ScsiOp.Read16 && deaf;
        if (pdu.opcode !== Opcode.TaskManagementRequest) return false;
        if (parseTaskManagementRequest(pdu.bhs).function === AbortTask) rejects(pdu, target, 0x06);
        else target.functionResponse(tagOf(pdu.bhs), Complete);
        return true;
      },
    },
    WAITS,
  );
  const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
  await pair.rig.advance(29_999);
  deaf = false;
  await pair.rig.advance(1);
  assert.deepEqual(functions(pair.target), [AbortTask, LogicalUnitReset]);
  assert.equal(read.status, BlockStatus.Ok);
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
});
function rejects(pdu: SeenPdu, target: FakeTarget, reason: number): void {
  const { expCmdSn, maxCmdSn } = target;
  const reject = { reason, statSn: target.takeStatSn(), expCmdSn, maxCmdSn, dataSn: 0 };
  target.writer.send((b, at) => emitReject(reject, b, at), pdu.bhs);
}

test('a write whose command is rejected in the middle of its data is sent again whole', async () => {
  let first = true;
  const pair = fakePair(
    {
      wishes: { initialR2T: true, immediateData: false, maxBurstLength: 65_536 },
      onPdu: (pdu, target) => {
        if (pdu.opcode === Opcode.DataOut && first) {
          first = false;
          const [command] = target.all(Opcode.ScsiCommand);
          if (command) {
            target.forget(tagOf(command.bhs));
            rejects(command, target, 0x04);
          }
          return true;
        }
        return false;
      },
    },
    WAITS,
  );
  const payload = pattern(262_144);
  const write = start(fakeLun(pair), BlockOp.Write, 0, payload.length, { payload });
  await pair.rig.advance(1000);
  assert.equal(write.status, BlockStatus.Ok);
  assert.ok(pair.target.disk.subarray(0, payload.length).equals(payload));
  assert.equal(pair.target.all(Opcode.ScsiCommand).length, 2);
});

test('a command whose data had a bad digest costs the connection and is sent again in the next session', async () => {
  const pair = fakePair(
    {
      onPdu: (pdu, target) => {
        if (pdu.opcode !== Opcode.ScsiCommand) return false;
        rejects(pdu, target, 0x02);
        return true;
      },
    },
    WAITS,
  );
  const write = start(fakeLun(pair), BlockOp.Write, 0, 4096, { payload: pattern(4096) });
  await pair.rig.advance(1000);
  assert.equal(write.status, null);
  assert.equal(pair.rig.session.state, 'FAILED');
  const target = reopen(pair.rig, {});
  await pair.rig.settle();
  assert.equal(write.status, BlockStatus.Ok);
  assert.ok(target.disk.subarray(0, 4096).equals(pattern(4096)));
});

test('a rejected ping is life; a command of management says that a reset has thrown it away', async () => {
  const pair = fakePair(
    {
      onPdu: (pdu, target) => {
        if (pdu.opcode === Opcode.NopOut) rejects(pdu, target, 0x06);
        if (pdu.opcode === Opcode.TaskManagementRequest) {
          const isReset = parseTaskManagementRequest(pdu.bhs).function === LogicalUnitReset;
          target.functionResponse(tagOf(pdu.bhs), isReset ? Complete : FunctionNotSupported);
          return true;
        }
        return pdu.opcode === Opcode.NopOut || pdu.opcode === Opcode.ScsiCommand;
      },
    },
    { timers: { replacementTimeoutMs: 60_000 } },
  );
  const cdb = Buffer.alloc(6);
  const lun = Buffer.alloc(8);
  const short = pair.rig.session.execute({ lun, cdb, timeoutMs: 20_000 });
  const long = pair.rig.session.execute({ lun, cdb, timeoutMs: 60_000 });
  const ended = Promise.allSettled([short, long]);
  await pair.rig.advance(30_000);
  const [timedOut, cleared] = await ended;
  assert.ok(
    timedOut.status === 'rejected' && timedOut.reason instanceof AppError && timedOut.reason.code === 'ERR_TIMEOUT',
  );
  assert.ok(cleared.status === 'rejected' && /its unit was reset/.test(String(cleared.reason)));
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
});
