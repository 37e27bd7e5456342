// What happens when time passes: keepalive, commands that never end, aborts, pauses and logouts (RFC 7143 §4.2.2.3, §11.5, §11.18).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { Keepalive, TRANSITIONS } from '../../src/initiator/keepalive.js';
import { AsyncEvent, emitAsyncMessage } from '../../src/iscsi/wire/async-message.js';
import { NO_TAG, Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { DataInFlag } from '../../src/iscsi/wire/data-in.js';
import { parseNopOut } from '../../src/iscsi/wire/nop-out.js';
import { parseTaskManagementRequest, TaskFunction } from '../../src/iscsi/wire/task-management.js';
import { AppError } from '../../src/util/errors.js';
import { fakeLun, fakePair, QUIET, start } from '../helpers/fake-pair.js';
import { FakeTarget } from '../helpers/fake-target.js';
import { MemorySink } from '../helpers/memory-link.js';
import { InitiatorRig } from '../helpers/pair.js';

test('the keepalive asks a little before the interval is over, gives up within interval and timeout, and takes anything as life', () => {
  const keepalive = new Keepalive({ intervalMs: 5000, timeoutMs: 3000 }, 0);
  assert.equal(keepalive.deadline, 4900);
  assert.equal(keepalive.handleTimeout(4899), 'none');
  assert.equal(keepalive.handleTimeout(4900), 'send-nop-out');
  assert.equal(keepalive.handleTimeout(4900), 'none');
  assert.equal(keepalive.deadline, 7900);
  keepalive.handleReceived(7899);
  assert.equal(keepalive.state, 'idle');
  assert.equal(keepalive.deadline, 12_799);
  assert.equal(keepalive.handleTimeout(12_799), 'send-nop-out');
  assert.equal(keepalive.handleTimeout(15_799), 'lost');
  assert.equal(keepalive.deadline, undefined);
  assert.equal(keepalive.handleTimeout(99_999), 'none');
  keepalive.handleReceived(99_999);
  assert.equal(keepalive.state, 'dead');
  assert.deepEqual(Object.keys(TRANSITIONS.dead), ['stop']);
});

test('while a question is out, a full socket that empties is life, at the pace of the looks', () => {
  let taken = 0;
  const keepalive = new Keepalive({ intervalMs: 5000, timeoutMs: 5000, taken: () => taken }, 0);
  taken = 100;
  assert.equal(keepalive.handleTimeout(5000), 'send-nop-out', 'what has been taken before the question does not count');
  for (let now = 6000; now <= 60_000; now += 1000) {
    assert.equal(keepalive.deadline, now);
    taken++;
    assert.equal(keepalive.handleTimeout(now), 'none');
  }
  for (let now = 61_000; now < 65_000; now += 1000) assert.equal(keepalive.handleTimeout(now), 'none');
  assert.equal(keepalive.deadline, 65_000);
  assert.equal(keepalive.handleTimeout(65_000), 'lost', 'as long after the last sign as after a question');
});

test('a session on a line that takes data slowly lives; once it takes nothing it is lost', async () => {
  class SlowSink extends MemorySink {
    taken = 0;
  }
  const rig = new InitiatorRig({ timers: { commandTimeoutMs: 600_000 } });
  const sink = new SlowSink();
  const target = new FakeTarget();
  const out = { held: false };
  rig.open({ consumer: target, sink: target.sink }, sink, { out });
  rig.pump();
  const lun = fakeLun({ rig, target });
  start(lun, BlockOp.Write, 0, 2 ** 20, { payload: Buffer.alloc(2 ** 20) });
  rig.pump();
  out.held = true;
  for (let second = 0; second < 60; second++) {
    sink.taken += 10;
    await rig.advance(1000);
  }
  assert.equal(rig.session.state, 'LOGGED_IN');
  await rig.advance(6000);
  assert.equal(rig.session.state, 'FAILED');
});

test('an idle session sends NOP-Out every interval and lives by the answers', async () => {
  const { rig, target } = fakePair();
  await rig.advance(26_000);
  const pings = target.all(Opcode.NopOut).map(({ bhs }) => parseNopOut(bhs));
  assert.equal(pings.length, 5);
  assert.ok(pings.every(({ immediate, ttt, itt }) => immediate && ttt === NO_TAG && itt !== NO_TAG));
  assert.equal(new Set(pings.map(({ itt }) => itt)).size, 5);
  assert.ok(
    pings.every(({ cmdSn }) => cmdSn === 1),
    'a ping uses up no CmdSN',
  );
  assert.equal(rig.session.state, 'LOGGED_IN');
  assert.equal(rig.session.counters.noprx_pdus, 5);
});

test('a silent target is lost within interval and timeout, and its tasks end', async () => {
  const back = { held: false };
  const pair = fakePair({}, { back });
  const lun = fakeLun(pair);
  back.held = true;
  const read = start(lun, BlockOp.Read, 0, 512);
  await pair.rig.advance(9899);
  assert.equal(read.status, null);
  await pair.rig.advance(1);
  assert.equal(read.status, BlockStatus.Eio);
  assert.equal(pair.rig.all('lost')[0]?.error.code, 'ERR_TIMEOUT');
  assert.equal(pair.rig.session.counters.timeout_err, 1);
});

test('any PDU keeps the session alive although no ping is answered', async () => {
  const { rig, target } = fakePair({ onPdu: (pdu) => pdu.opcode === Opcode.NopOut });
  for (let i = 0; i < 20; i++) {
    await rig.advance(4000);
    target.nopIn(NO_TAG, NO_TAG);
    await rig.settle();
  }
  assert.equal(rig.session.state, 'LOGGED_IN');
});

test('a ping of the target is answered with its LUN and its tag', async () => {
  const { rig, target } = fakePair({}, QUIET);
  const before = target.statSn;
  const lun = Buffer.from('0003000000000000', 'hex');
  target.nopIn(NO_TAG, 0x1234_5678, lun);
  rig.pump();
  const [answer, ...more] = target.all(Opcode.NopOut);
  assert.equal(more.length, 0);
  const pdu = parseNopOut(answer?.bhs ?? Buffer.alloc(48));
  assert.equal(pdu.itt, NO_TAG);
  assert.equal(pdu.ttt, 0x1234_5678);
  assert.ok(pdu.lun.equals(lun));
  assert.ok(pdu.immediate);
  assert.equal(pdu.expStatSn, before, 'a ping uses up no StatSN');
});

test('a command that never ends is aborted; what comes for it later changes nothing', async () => {
  let tag = NO_TAG;
  const pair = fakePair(
    {
      onPdu: (pdu, target) => {
        if (pdu.opcode === Opcode.ScsiCommand && tag === NO_TAG) {
          tag = tagOf(pdu.bhs);
          return true;
        }
        if (pdu.opcode !== Opcode.TaskManagementRequest) return false;
        target.functionResponse(tagOf(pdu.bhs), 0);
        target.response(tag, 0);
        return true;
      },
    },
    QUIET,
  );
  const lun = fakeLun(pair);
  const read = start(lun, BlockOp.Read, 0, 512);
  await pair.rig.advance(29_999);
  assert.equal(read.status, null);
  await pair.rig.advance(1);
  assert.equal(read.status, BlockStatus.Ok, 'it is sent again');
  const abort = parseTaskManagementRequest(pair.target.all(Opcode.TaskManagementRequest)[0]?.bhs ?? Buffer.alloc(48));
  assert.equal(abort.function, TaskFunction.AbortTask);
  assert.equal(abort.referencedTaskTag, tag);
  assert.equal(abort.refCmdSn, 1);
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
  const next = start(lun, BlockOp.Read, 0, 512);
  pair.rig.pump();
  assert.equal(next.status, BlockStatus.Ok);
});

test('a command whose data moves is given more time, but not forever', async () => {
  let itt = NO_TAG;
  const pair = fakePair(
    {
      onPdu: (pdu) => {
        if (pdu.opcode === Opcode.ScsiCommand) itt = tagOf(pdu.bhs);
        return true;
      },
    },
    QUIET,
  );
  const read = start(fakeLun(pair), BlockOp.Read, 0, 65_536);
  pair.rig.pump();
  let sent = 0;
  const data = Buffer.alloc(512);
  for (; pair.target.all(Opcode.TaskManagementRequest).length === 0 && sent < 100; sent++) {
    pair.target.dataIn(itt, { flags: 0, dataSn: sent, offset: 512 * sent, data });
    await pair.rig.advance(30_000);
  }
  assert.equal(sent, 11);
  assert.equal(read.status, null, 'it is being aborted');
});

test('a status that comes before the abort is answered counts', async () => {
  let tag = NO_TAG;
  const pair = fakePair(
    {
      onPdu: (pdu, target) => {
        if (pdu.opcode === Opcode.ScsiCommand) tag = tagOf(pdu.bhs);
        if (pdu.opcode === Opcode.TaskManagementRequest) {
          target.response(tag, 0);
          target.functionResponse(tagOf(pdu.bhs), 1);
        }
        return true;
      },
    },
    QUIET,
  );
  const flush = start(fakeLun(pair), BlockOp.Flush, 0, 0);
  await pair.rig.advance(30_000);
  assert.equal(flush.status, BlockStatus.Ok);
});

for (const [name, response] of [
  ['does not answer ABORT TASK', null],
  ['refuses ABORT TASK', 5],
] as const) {
  test(`a target that ${name} is given up`, async () => {
    const pair = fakePair(
      {
        onPdu: (pdu, target) => {
          if (pdu.opcode === Opcode.TaskManagementRequest && response !== null) {
            target.functionResponse(tagOf(pdu.bhs), response);
          }
          return true;
        },
      },
      QUIET,
    );
    const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
    await pair.rig.advance(30_000);
    assert.equal(read.status, response === null ? null : BlockStatus.Eio);
    // ABORT TASK, LOGICAL UNIT RESET, TARGET WARM RESET.
    await pair.rig.advance(15_000 + 30_000 + 30_000 - 1);
    assert.equal(read.status, response === null ? null : BlockStatus.Eio);
    await pair.rig.advance(1);
    assert.equal(read.status, BlockStatus.Eio);
    assert.equal(pair.rig.all('lost')[0]?.error.code, 'ERR_TIMEOUT');
    assert.deepEqual(
      pair.target.all(Opcode.TaskManagementRequest).map(({ bhs }) => parseTaskManagementRequest(bhs).function),
      [TaskFunction.AbortTask, TaskFunction.LogicalUnitReset, TaskFunction.TargetWarmReset],
    );
  });
}

test('a command that waits for a closed window ends by its time without an abort', async () => {
  const pair = fakePair({ window: 0 }, QUIET);
  const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
  await pair.rig.advance(89_999);
  assert.equal(read.status, null, 'it is tried three times');
  await pair.rig.advance(1);
  assert.equal(read.status, BlockStatus.Eio);
  assert.equal(pair.target.all(Opcode.ScsiCommand).length, 0);
  assert.equal(pair.target.all(Opcode.TaskManagementRequest).length, 0);
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
});

test('a queue behind a slow target is given its time: each command has its own once it is sent', async () => {
  const pair = fakePair({ window: 1, onPdu: (pdu) => pdu.opcode === Opcode.ScsiCommand }, QUIET);
  const lun = fakeLun(pair);
  const reads = [0, 1, 2, 3].map((i) => start(lun, BlockOp.Read, i * 512, 512));
  for (const read of reads) {
    await pair.rig.advance(20_000);
    const last = pair.target.all(Opcode.ScsiCommand).at(-1);
    pair.target.sendRead(tagOf(last?.bhs ?? Buffer.alloc(48)), Buffer.alloc(512));
    pair.rig.pump();
    assert.equal(read.status, BlockStatus.Ok);
  }
  assert.equal(pair.target.all(Opcode.TaskManagementRequest).length, 0);
});

test('a command behind an older one whose data moves is given more time, but not without one', async () => {
  const tags: number[] = [];
  const pair = fakePair(
    {
      onPdu: (pdu) => {
        if (pdu.opcode === Opcode.ScsiCommand) tags.push(tagOf(pdu.bhs));
        return true;
      },
    },
    QUIET,
  );
  const lun = fakeLun(pair);
  const [older, newer] = [0, 1].map(() => start(lun, BlockOp.Read, 0, 2048));
  pair.rig.pump();
  const data = Buffer.alloc(512);
  for (let sent = 0; sent < 3; sent++) {
    pair.target.dataIn(tags[0] as number, { flags: 0, dataSn: sent, offset: 512 * sent, data });
    await pair.rig.advance(29_000);
  }
  assert.equal(pair.target.all(Opcode.TaskManagementRequest).length, 0);
  const flags = DataInFlag.Final | DataInFlag.Status;
  pair.target.dataIn(tags[0] as number, { flags, dataSn: 3, offset: 1536, data });
  pair.rig.pump();
  assert.equal(older?.status, BlockStatus.Ok);
  await pair.rig.advance(3000);
  assert.equal(newer?.status, null);
  assert.equal(pair.target.all(Opcode.TaskManagementRequest).length, 1, 'the newer one is being aborted');
});

test('a window that opens lets the queue go on in its order', () => {
  const pair = fakePair({ window: 0 }, QUIET);
  const lun = fakeLun(pair);
  const reads = [0, 1, 2].map((i) => start(lun, BlockOp.Read, i * 512, 512));
  pair.rig.pump();
  assert.ok(reads.every(({ status }) => status === null));
  pair.target.window = 3;
  pair.target.nopIn(NO_TAG, NO_TAG);
  pair.rig.pump();
  assert.ok(reads.every(({ status }) => status === BlockStatus.Ok));
});

test('StatSN may pass 2^32: what we acknowledge passes with it', () => {
  const pair = fakePair({}, QUIET);
  assert.ok(pair.target.statSn > 0xffff_fff0);
  const lun = fakeLun(pair);
  for (let i = 0; i < 40; i++) {
    start(lun, BlockOp.Read, 0, 512);
    pair.rig.pump();
  }
  const expStatSns = pair.target.all(Opcode.ScsiCommand).map(({ bhs }) => bhs.readUInt32BE(28));
  const first = expStatSns[0] as number;
  assert.deepEqual(
    expStatSns,
    expStatSns.map((_, i) => (first + i) >>> 0),
  );
  assert.ok((expStatSns.at(-1) as number) < 100);
});

const BUSY = [0x08, 0x28];
for (const status of BUSY) {
  test(`status 0x${status.toString(16)} is waited out, and bounded`, async () => {
    let times = 3;
    const pair = fakePair(
      {
        onPdu: (pdu, target) => {
          if (pdu.opcode !== Opcode.ScsiCommand || times-- <= 0) return false;
          target.response(tagOf(pdu.bhs), status);
          return true;
        },
      },
      { timers: { noopIntervalMs: 0, replacementTimeoutMs: 20_000 } },
    );
    const lun = fakeLun(pair);
    const read = start(lun, BlockOp.Read, 0, 512);
    // Pauses of about 10, 10 and 20 ms.
    await pair.rig.advance(29);
    assert.equal(read.status, null);
    await pair.rig.advance(22);
    assert.equal(read.status, BlockStatus.Ok);
    times = Number.POSITIVE_INFINITY;
    const never = start(lun, BlockOp.Read, 0, 512);
    await pair.rig.advance(19_999);
    assert.equal(never.status, null);
    await pair.rig.advance(1);
    assert.equal(never.status, BlockStatus.Eio);
    assert.ok(pair.target.all(Opcode.ScsiCommand).length < 60, 'the pauses grow');
    assert.equal(pair.rig.session.tasksInUse, 0);
  });
}

test('a target that asks for a logout gets one, after what is in flight', async () => {
  const pair = fakePair({}, QUIET);
  const { target, rig } = pair;
  const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
  asyncMessage(target, AsyncEvent.RequestLogout, { parameter3: 5 });
  rig.pump();
  assert.equal(read.status, BlockStatus.Ok);
  assert.equal(target.all(Opcode.LogoutRequest).length, 1);
  assert.equal(rig.all('logged-out')[0]?.byTarget, true);
  assert.equal(rig.session.state, 'FAILED', 'the session may log in again');
});

test('a target that drops the session says for how long', () => {
  const { rig, target } = fakePair({}, QUIET);
  asyncMessage(target, AsyncEvent.DropAllConnections, { parameter2: 3 });
  rig.pump();
  assert.equal(rig.all('lost')[0]?.time2WaitMs, 3000);
});

test('other asynchronous events are told and change nothing; a wish to negotiate is granted', () => {
  const { rig, target } = fakePair(
    {
      onPdu: (pdu, t) => {
        if (pdu.opcode !== Opcode.TextRequest) return false;
        t.textResponse(tagOf(pdu.bhs), { final: true, continues: false, ttt: NO_TAG, data: Buffer.alloc(0) });
        return true;
      },
    },
    QUIET,
  );
  for (const event of [AsyncEvent.ScsiAsync, AsyncEvent.TasksTerminated, AsyncEvent.Vendor, 77])
    asyncMessage(target, event);
  asyncMessage(target, AsyncEvent.RequestNegotiation);
  rig.pump();
  assert.equal(rig.session.state, 'LOGGED_IN');
  assert.ok(rig.all('log').length >= 5);
  assert.equal(target.all(Opcode.TextRequest).length, 1);
  assert.equal(rig.session.counters.async_pdus, 5);
});
function asyncMessage(
  target: FakeTarget,
  event: number,
  more: { parameter2?: number; parameter3?: number } = {},
): void {
  const { parameter2 = 0, parameter3 = 0 } = more;
  const { expCmdSn, maxCmdSn } = target;
  const head = { lun: Buffer.alloc(8), statSn: target.takeStatSn(), expCmdSn, maxCmdSn };
  target.writer.send((b, at) =>
    emitAsyncMessage({ ...head, event, vendorCode: 0, parameter1: 0, parameter2, parameter3 }, b, at),
  );
}

test('a logout that is not answered ends by its time', async () => {
  const pair = fakePair({ onPdu: (pdu) => pdu.opcode === Opcode.LogoutRequest }, QUIET);
  const done = pair.rig.session.logout();
  const failed = assert.rejects(done, (error) => error instanceof AppError && error.code === 'ERR_LOGOUT');
  await pair.rig.advance(15_000);
  await failed;
  assert.equal(pair.rig.session.state, 'FREE');
});

test('early, late and repeated timeouts are harmless', async () => {
  const { rig } = fakePair();
  for (const ms of [0, 1, 1, 1e6]) rig.session.handleTimeout(ms);
  rig.session.handleTimeout(0);
  await rig.settle();
  assert.equal(rig.session.state, 'LOGGED_IN');
});
