// Asynchronous Messages in the middle of a write (RFC 7143 §11.9.1; row F09 of the fault bench, with the fake target in memory).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import type { Lun } from '../../src/initiator/lun.js';
import { AsyncEvent, emitAsyncMessage } from '../../src/iscsi/wire/async-message.js';
import { NO_TAG, Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { parseLogoutRequest } from '../../src/iscsi/wire/logout.js';
import { parseNopOut } from '../../src/iscsi/wire/nop-out.js';
import { CDB_AT } from '../../src/iscsi/wire/scsi-command.js';
import { buildResponseData } from '../../src/iscsi/wire/scsi-response.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense, type Sense } from '../../src/scsi/sense.js';
import { type FakePair, fakeLun, fakePair, type Probe, reopen, start } from '../helpers/fake-pair.js';
import type { FakeTarget } from '../helpers/fake-target.js';
import { pattern } from '../helpers/stream-core.js';

const WAITS = { timers: { replacementTimeoutMs: 60_000, noopIntervalMs: 0 } } as const;
const PAYLOAD = pattern(262_144);

interface Message {
  readonly event: number;
  readonly parameter1?: number;
  readonly parameter2?: number;
  readonly parameter3?: number;
  readonly lun?: Buffer;
  readonly sense?: Sense;
}
function send(target: FakeTarget, message: Message): void {
  const { parameter1 = 0, parameter2 = 0, parameter3 = 0, lun = Buffer.alloc(8), event, sense } = message;
  const { expCmdSn, maxCmdSn } = target;
  const head = { lun, statSn: target.takeStatSn(), expCmdSn, maxCmdSn, event, vendorCode: 0 };
  target.writer.send(
    (b, at) => emitAsyncMessage({ ...head, parameter1, parameter2, parameter3 }, b, at),
    sense === undefined ? null : buildResponseData(buildFixedSense(sense)),
  );
}

/** A large write of which one burst has come when the message is sent; what comes after is dropped if `stops`. */
function midWrite(
  message: Message,
  { stops }: { readonly stops: boolean },
): { pair: FakePair & { lun: Lun }; write: Probe } {
  let bursts = 0;
  const pair = fakePair(
    {
      wishes: { initialR2T: true, immediateData: false, maxBurstLength: 65_536 },
      onPdu: (pdu, target) => {
        if (pdu.opcode !== Opcode.DataOut || (pdu.bhs[1] as number) < 0x80 || ++bursts !== 1) return false;
        send(target, message);
        if (stops) target.forget(tagOf(pdu.bhs));
        return stops;
      },
    },
    WAITS,
  );
  const lun = fakeLun(pair);
  const write = start(lun, BlockOp.Write, 0, PAYLOAD.length, { payload: PAYLOAD });
  pair.rig.pump();
  return { pair: { ...pair, lun }, write };
}
function opcodes(target: FakeTarget): number[] {
  return target.seen.map(({ opcode }) => opcode);
}

test('F09 event 0: sense of a unit attention makes the unit be examined; nothing is lost', async () => {
  const { pair, write } = midWrite({ event: AsyncEvent.ScsiAsync, sense: Senses.CapacityChanged }, { stops: false });
  await pair.rig.settle();
  assert.equal(write.status, BlockStatus.Ok);
  assert.equal(pair.rig.all('unit-attention').length, 1);
  const ops = pair.target.all(Opcode.ScsiCommand).map(({ bhs }) => bhs[CDB_AT]);
  assert.ok(ops.includes(ScsiOp.Inquiry) && ops.includes(ScsiOp.ServiceActionIn16));
});

test('F09 event 0: a deferred error that comes out of turn fails the next flush', async () => {
  const { pair, write } = midWrite(
    { event: AsyncEvent.ScsiAsync, sense: { ...Senses.WriteError, deferred: true } },
    { stops: false },
  );
  await pair.rig.settle();
  assert.equal(write.status, BlockStatus.Ok);
  const flushes = [0, 1].map(() => {
    const flush = start(pair.lun, BlockOp.Flush, 0, 0);
    pair.rig.pump();
    return flush.status;
  });
  assert.deepEqual(flushes, [BlockStatus.Eio, BlockStatus.Ok]);
});

test('F09 event 1: no new command, what is under way ends, then Logout; the next session goes on', async () => {
  const { pair, write } = midWrite({ event: AsyncEvent.RequestLogout, parameter3: 10 }, { stops: false });
  assert.equal(write.status, BlockStatus.Ok);
  assert.equal(pair.target.all(Opcode.LogoutRequest).length, 1);
  assert.equal(pair.target.seen.at(-1)?.opcode, Opcode.LogoutRequest);
  assert.equal(pair.rig.all('logged-out')[0]?.byTarget, true);
  assert.equal(pair.rig.session.state, 'FAILED');
  reopen(pair.rig, { disk: pair.target.disk });
  await pair.rig.settle();
  assert.equal(pair.rig.session.recovery, 'none');
});

test('F09 event 1: the Logout leaves within Parameter3 although a command does not end; that one is sent again', async () => {
  const { pair, write } = midWrite({ event: AsyncEvent.RequestLogout, parameter3: 10 }, { stops: true });
  const late = start(fakeLun(pair), BlockOp.Read, 0, 512);
  await pair.rig.advance(4999);
  assert.equal(pair.target.all(Opcode.LogoutRequest).length, 0);
  assert.equal(pair.target.all(Opcode.ScsiCommand).length, 1, 'no new command');
  await pair.rig.advance(1);
  const [logout] = pair.target.all(Opcode.LogoutRequest);
  assert.ok(logout && parseLogoutRequest(logout.bhs).reason === 0);
  assert.equal(pair.rig.session.state, 'FAILED');
  assert.deepEqual([write.status, late.status], [null, null]);
  const target = reopen(pair.rig, { disk: pair.target.disk });
  await pair.rig.settle();
  assert.deepEqual([write.status, late.status], [BlockStatus.Ok, BlockStatus.Ok]);
  assert.ok(target.disk.subarray(0, PAYLOAD.length).equals(PAYLOAD));
});

test('F09 event 1: a target that asks and then does not answer the Logout is left', async () => {
  const pair = fakePair({ onPdu: (pdu) => pdu.opcode !== Opcode.NopOut }, WAITS);
  const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
  send(pair.target, { event: AsyncEvent.RequestLogout, parameter3: 0 });
  await pair.rig.advance(2000);
  assert.equal(pair.target.all(Opcode.LogoutRequest).length, 1);
  assert.equal(pair.rig.all('lost').length, 1);
  assert.equal(read.status, null);
});

for (const event of [AsyncEvent.DropConnection, AsyncEvent.DropAllConnections]) {
  test(`F09 event ${event}: the connection is given up, its wait is told, and the write is sent again`, async () => {
    const { pair, write } = midWrite({ event, parameter2: 3, parameter3: 20 }, { stops: true });
    assert.equal(pair.rig.session.state, 'FAILED');
    assert.equal(pair.rig.all('lost')[0]?.time2WaitMs, 3000);
    assert.equal(pair.target.all(Opcode.LogoutRequest).length, 0);
    assert.equal(write.status, null);
    reopen(pair.rig, { disk: pair.target.disk });
    await pair.rig.settle();
    assert.equal(write.status, BlockStatus.Ok);
    assert.ok(pair.target.disk.subarray(0, PAYLOAD.length).equals(PAYLOAD));
  });
}
test('F09 event 2 for a connection that we do not have is noted', () => {
  const { pair, write } = midWrite({ event: AsyncEvent.DropConnection, parameter1: 7 }, { stops: false });
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
  assert.equal(write.status, BlockStatus.Ok);
});

test('F09 event 4: an empty Text Request, and the write goes on', () => {
  const pair = fakePair(
    {
      wishes: { initialR2T: true, immediateData: false, maxBurstLength: 65_536 },
      onPdu: (pdu, target) => {
        if (pdu.opcode === Opcode.TextRequest) {
          target.textResponse(tagOf(pdu.bhs), { final: true, continues: false, ttt: NO_TAG, data: Buffer.alloc(0) });
          return true;
        }
        if (pdu.opcode === Opcode.ScsiCommand) send(target, { event: AsyncEvent.RequestNegotiation, parameter3: 5 });
        return false;
      },
    },
    WAITS,
  );
  const write = start(fakeLun(pair), BlockOp.Write, 0, PAYLOAD.length, { payload: PAYLOAD });
  pair.rig.pump();
  assert.equal(write.status, BlockStatus.Ok);
  assert.equal(pair.target.all(Opcode.TextRequest).length, 1);
});

test('F09 event 5: Data-Out stops, a NOP-Out that is no ping acknowledges, and the commands are sent again', async () => {
  const lun = Buffer.alloc(8);
  const { pair, write } = midWrite({ event: AsyncEvent.TasksTerminated, lun }, { stops: true });
  await pair.rig.settle();
  assert.equal(write.status, BlockStatus.Ok);
  assert.ok(pair.target.disk.subarray(0, PAYLOAD.length).equals(PAYLOAD));
  const { target } = pair;
  const [nop, ...others] = target.all(Opcode.NopOut);
  assert.equal(others.length, 0);
  const pdu = parseNopOut(nop?.bhs ?? Buffer.alloc(48));
  assert.deepEqual([pdu.itt, pdu.ttt], [NO_TAG, NO_TAG]);
  assert.ok(pdu.lun.equals(lun));
  const after = opcodes(target).slice(target.seen.indexOf(nop as (typeof target.seen)[number]) + 1);
  assert.equal(after[0], Opcode.ScsiCommand, 'no Data-Out of the old command after it');
  assert.equal(target.all(Opcode.ScsiCommand).length, 2);
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
});
test('F09 event 5 for another unit leaves ours alone', async () => {
  const lun = Buffer.from('0005000000000000', 'hex');
  const { pair, write } = midWrite({ event: AsyncEvent.TasksTerminated, lun }, { stops: false });
  await pair.rig.settle();
  assert.equal(write.status, BlockStatus.Ok);
  assert.equal(pair.target.all(Opcode.ScsiCommand).length, 1);
  assert.ok(parseNopOut(pair.target.all(Opcode.NopOut)[0]?.bhs ?? Buffer.alloc(48)).lun.equals(lun));
});

test('F09 vendor and unknown events are noted', () => {
  for (const event of [AsyncEvent.Vendor, 6, 77]) {
    const { pair, write } = midWrite({ event }, { stops: false });
    assert.equal(write.status, BlockStatus.Ok);
    assert.ok(pair.rig.all('log').some(({ message }) => message.includes(`event ${event}`)));
  }
});
