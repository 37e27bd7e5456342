// Full feature phase against scripted PDUs: data both ways, numbering, task management, pings, logout (RFC 7143 §4.2, §11).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOp, type BlockRequest } from '../../src/block/block-device.js';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBytes } from '../../src/block/promise.js';
import { NO_TAG, Opcode } from '../../src/iscsi/wire/bhs.js';
import { parseDataIn } from '../../src/iscsi/wire/data-in.js';
import { emitLogoutRequest, parseLogoutResponse } from '../../src/iscsi/wire/logout.js';
import { parseNopIn } from '../../src/iscsi/wire/nop-in.js';
import { emitNopOut } from '../../src/iscsi/wire/nop-out.js';
import { parseR2T } from '../../src/iscsi/wire/r2t.js';
import { parseReject, RejectReason } from '../../src/iscsi/wire/reject.js';
import { parseResponseData, parseScsiResponse } from '../../src/iscsi/wire/scsi-response.js';
import {
  emitTaskManagementRequest,
  parseTaskManagementResponse,
  TaskFunction,
  TaskResponse,
} from '../../src/iscsi/wire/task-management.js';
import { emitText, parseText } from '../../src/iscsi/wire/text.js';
import { emitTextRequest } from '../../src/iscsi/wire/text-request.js';
import { parseTextResponse } from '../../src/iscsi/wire/text-response.js';
import { parseSense } from '../../src/scsi/sense.js';
import { LIMITS } from '../../src/target/limits.js';
import { INITIATOR, makeNode, type Pdu, pattern, ScriptedInitiator, TARGET } from './scripted-initiator.js';

/** A memory disk whose requests of one kind wait for the test. */
class HeldDevice extends MemoryDevice {
  readonly held: (() => void)[] = [];
  holding: number | null = null;
  override submit(request: BlockRequest): void {
    if (request.op === this.holding) this.held.push(() => super.submit(request));
    else super.submit(request);
  }
}

function ready(keys: [string, string][] = [], device = new HeldDevice({ sizeBytes: 2 ** 22 })) {
  const node = makeNode({ device });
  const initiator = new ScriptedInitiator(node);
  initiator.logIn([['InitialR2T', 'No'], ['MaxRecvDataSegmentLength', '8192'], ...keys] as [string, string][]);
  initiator.clearAttention();
  return { node, initiator, device };
}

function responseOf(pdu: Pdu | undefined) {
  assert.equal(pdu?.opcode, Opcode.ScsiResponse);
  const { header, data } = pdu as Pdu;
  const { sense } = parseResponseData(data);
  return { ...parseScsiResponse(header), sense: sense.length > 0 ? parseSense(sense) : null };
}

function senseOf(pdu: Pdu | undefined): string {
  const { sense } = responseOf(pdu);
  return [sense?.key, sense?.asc, sense?.ascq].map((n) => (n ?? 0).toString(16).padStart(2, '0')).join('/');
}

describe('writing', () => {
  test('immediate data alone is one request and one response', async () => {
    const { initiator, device } = ready();
    const data = pattern(4096);
    const itt = initiator.command('2a 00 00000008 00 0008 00', { write: 4096, data });
    const response = responseOf(initiator.one());
    assert.equal(response.itt, itt);
    assert.equal(response.status, 0);
    assert.ok(!response.overflow && !response.underflow);
    assert.deepEqual(await readBytes(device, 4096, 4096), data);
  });

  test('unsolicited Data-Out up to FirstBurstLength, then R2Ts for the rest, in order', async () => {
    const { initiator, device } = ready([
      ['FirstBurstLength', '8192'],
      ['MaxBurstLength', '16384'],
      ['MaxOutstandingR2T', '2'],
    ]);
    const data = pattern(65_536);
    const itt = initiator.command('2a 00 00000000 00 0080 00', {
      write: data.length,
      data: data.subarray(0, 4096),
      final: false,
    });
    assert.equal(initiator.receive().length, 0);
    initiator.dataOut(itt, NO_TAG, 0, 4096, data.subarray(4096, 8192), true);
    let sequences = 0;
    for (;;) {
      const pdus = initiator.receive();
      if (pdus[0]?.opcode === Opcode.ScsiResponse) {
        assert.equal(responseOf(pdus[0]).status, 0);
        assert.equal(responseOf(pdus[0]).expDataSn, sequences);
        break;
      }
      assert.ok(pdus.length > 0 && pdus.length <= 2);
      for (const { header } of pdus) {
        const r2t = parseR2T(header);
        assert.equal(r2t.r2tSn, sequences++);
        assert.equal(r2t.itt, itt);
        assert.ok(r2t.desiredDataTransferLength <= 16_384);
        const end = r2t.bufferOffset + r2t.desiredDataTransferLength;
        const middle = r2t.bufferOffset + 512;
        initiator.dataOut(itt, r2t.ttt, 0, r2t.bufferOffset, data.subarray(r2t.bufferOffset, middle), false);
        initiator.dataOut(itt, r2t.ttt, 1, middle, data.subarray(middle, end), true);
      }
    }
    assert.equal(sequences, 4);
    assert.deepEqual(await readBytes(device, 0, data.length), data);
  });

  test('pieces that are no whole blocks arrive whole', async () => {
    const { initiator, device } = ready();
    const data = pattern(3 * 512, 9);
    const itt = initiator.command('2a 00 00000001 00 0003 00', {
      write: 1536,
      data: data.subarray(0, 100),
      final: false,
    });
    initiator.dataOut(itt, NO_TAG, 0, 100, data.subarray(100, 777), false);
    initiator.dataOut(itt, NO_TAG, 1, 777, data.subarray(777), true);
    assert.equal(responseOf(initiator.one()).status, 0);
    assert.deepEqual(await readBytes(device, 512, 1536), data);
  });

  for (const [what, dataSn, offset] of [
    ['a missing DataSN', 1, 512],
    ['an offset that leaves a gap', 0, 1024],
    ['an offset that goes back', 0, 0],
  ] as const) {
    test(`${what} ends the command with ABORTED COMMAND and writes nothing more`, async () => {
      const { initiator, device } = ready();
      const itt = initiator.command('2a 00 00000000 00 0003 00', { write: 1536, data: pattern(512), final: false });
      initiator.dataOut(itt, NO_TAG, dataSn, offset, pattern(512, 7), false);
      assert.equal(initiator.receive().length, 0);
      initiator.dataOut(itt, NO_TAG, dataSn + 1, 1024, pattern(512, 7), true);
      assert.equal(senseOf(initiator.one()), '0b/4b/00');
      assert.deepEqual(await readBytes(device, 512, 1024), Buffer.alloc(1024));
      initiator.command('00');
      assert.equal(responseOf(initiator.one()).status, 0);
    });
  }

  test('unsolicited data that nobody allowed is refused', () => {
    const { initiator } = ready();
    const itt = initiator.command('2a 00 00000000 00 0002 00', { write: 1024 });
    const r2t = parseR2T(initiator.one().header);
    initiator.dataOut(itt, NO_TAG, 0, 0, pattern(512), true);
    assert.equal(initiator.receive().length, 0, 'the R2T is still to be answered');
    initiator.dataOut(itt, r2t.ttt, 0, 0, pattern(1024), true);
    assert.equal(senseOf(initiator.one()), '0b/0c/0c');
  });

  test('more immediate data than FirstBurstLength is refused', () => {
    const { initiator } = ready([['FirstBurstLength', '512']]);
    initiator.command('2a 00 00000000 00 0002 00', { write: 1024, data: pattern(1024) });
    assert.equal(senseOf(initiator.one()), '0b/0c/0c');
  });

  test('a refused command takes the data that was promised before it answers', () => {
    const { initiator } = ready();
    const itt = initiator.command('2a 00 7fffffff 00 0002 00', { write: 1024, data: pattern(512), final: false });
    assert.equal(initiator.receive().length, 0);
    initiator.dataOut(itt, NO_TAG, 0, 512, pattern(512), true);
    assert.equal(senseOf(initiator.one()), '05/21/00');
  });

  test('held write data closes the window, and it opens again by itself', () => {
    const { initiator, node, device } = ready();
    device.holding = BlockOp.Write;
    const { memory } = node.context;
    const before = memory.held;
    initiator.command('2a 00 00000000 00 0001 00', { write: 512, data: pattern(512) });
    assert.equal(memory.held, before + 512);
    memory.take(memory.limit);
    initiator.command('00');
    const closed = responseOf(initiator.one());
    initiator.command('00');
    assert.equal(responseOf(initiator.one()).maxCmdSn, closed.maxCmdSn);
    memory.release(memory.limit);
    const opened = parseNopIn(initiator.one().header);
    assert.equal(opened.itt, NO_TAG);
    assert.equal(opened.ttt, NO_TAG);
    assert.equal(opened.maxCmdSn, opened.expCmdSn + LIMITS.window - 1);
    device.held.shift()?.();
    assert.equal(responseOf(initiator.one()).status, 0);
    assert.equal(memory.held, before);
  });

  test('more data than the command wants, come while it waited for its turn, is counted once', () => {
    const { initiator, node, device } = ready();
    const { memory } = node.context;
    const before = memory.held;
    device.holding = BlockOp.Read;
    initiator.command('28 00 00000000 00 0001 00', { read: 512 });
    const waiting = initiator.command('2a 00 00000000 00 0001 00', {
      write: 2048,
      data: pattern(1024),
      final: false,
      attribute: 2,
    });
    initiator.dataOut(waiting, NO_TAG, 0, 1024, pattern(1024), true);
    assert.equal(memory.held, before + 2048);
    device.held.shift()?.();
    const answers = initiator.receive();
    assert.equal(responseOf(answers.at(-1)).status, 0);
    assert.equal(memory.held, before);
  });

  test('far too much held write data ends new writes with TASK SET FULL', () => {
    const { initiator, node } = ready();
    const { memory } = node.context;
    memory.take(2 * memory.limit + 1);
    initiator.command('2a 00 00000000 00 0001 00', { write: 512, data: pattern(512) });
    assert.equal(responseOf(initiator.one()).status, 0x28);
  });
});

describe('reading', () => {
  test('Data-In PDUs fit the initiator, end bursts with F, and the last one carries the status', () => {
    const { initiator } = ready([['MaxBurstLength', '16384']]);
    const data = pattern(40_960, 3);
    for (let at = 0; at < data.length; at += 8192) {
      const lba = (at / 512).toString(16).padStart(8, '0');
      initiator.command(`2a 00 ${lba} 00 0010 00`, { write: 8192, data: data.subarray(at, at + 8192) });
      initiator.one();
    }
    initiator.command('28 00 00000000 00 0050 00', { read: data.length });
    const pdus = initiator.receive();
    const parsed = pdus.map((pdu) => parseDataIn(pdu.header));
    assert.ok(pdus.every((pdu) => pdu.opcode === Opcode.DataIn && pdu.data.length <= 8192));
    assert.deepEqual(Buffer.concat(pdus.map((pdu) => pdu.data)), data);
    assert.deepEqual(
      parsed.map((pdu) => pdu.dataSn),
      [0, 1, 2, 3, 4],
    );
    assert.deepEqual(
      parsed.map((pdu) => pdu.bufferOffset),
      [0, 8192, 16_384, 24_576, 32_768],
    );
    assert.deepEqual(
      parsed.map((pdu) => pdu.final),
      [false, true, false, true, true],
    );
    assert.deepEqual(
      parsed.map((pdu) => pdu.hasStatus),
      [false, false, false, false, true],
    );
    assert.equal(parsed[4]?.status, 0);
  });

  test('a shorter buffer than the command reads is an overflow, a longer one an underflow', () => {
    const { initiator } = ready();
    initiator.command('28 00 00000000 00 0002 00', { read: 512 });
    const short = parseDataIn(initiator.one().header);
    assert.ok(short.overflow && short.hasStatus);
    assert.equal(short.residual, 512);
    initiator.command('28 00 00000000 00 0001 00', { read: 2048 });
    const long = parseDataIn(initiator.one().header);
    assert.ok(long.underflow && long.hasStatus);
    assert.equal(long.residual, 1536);
  });

  test('nothing is fetched while the initiator does not read', () => {
    const { initiator } = ready([['MaxRecvDataSegmentLength', '262144']].slice(1) as [string, string][]);
    for (let i = 0; i < 8; i++) initiator.command('28 00 00000000 00 0800 00', { read: 2 ** 20 });
    const waiting = initiator.sink.backlog;
    assert.ok(waiting < 4 * 2 ** 20, `${waiting} bytes wait`);
    let bytes = 0;
    let statuses = 0;
    for (let i = 0; i < 100 && statuses < 8; i++) {
      for (const { header, data } of initiator.receive()) {
        bytes += data.length;
        if (parseDataIn(header).hasStatus) statuses++;
      }
    }
    assert.equal(statuses, 8);
    assert.equal(bytes, 8 * 2 ** 20);
  });
});

describe('numbering', () => {
  test('commands run in CmdSN order; a hole is waited for; what is outside the window is ignored', () => {
    const { initiator } = ready();
    const first = initiator.cmdSn;
    initiator.command('00', { cmdSn: first + 1, itt: 501 });
    initiator.command('00', { cmdSn: first + LIMITS.window + 5, itt: 502 });
    initiator.command('00', { cmdSn: first - 1, itt: 503 });
    assert.equal(initiator.receive().length, 0);
    initiator.command('00', { cmdSn: first, itt: 500 });
    const answers = initiator.receive().map(responseOf);
    assert.deepEqual(
      answers.map((a) => a.itt),
      [500, 501],
    );
    assert.equal(answers[1]?.expCmdSn, first + 2);
    assert.equal(answers[1]?.statSn, (answers[0]?.statSn ?? 0) + 1);
  });

  test('an immediate command overtakes a hole and uses no number up', () => {
    const { initiator } = ready();
    initiator.command('00', { immediate: true, itt: 600 });
    const answer = responseOf(initiator.one());
    assert.equal(answer.itt, 600);
    assert.equal(answer.expCmdSn, initiator.cmdSn);
  });

  test('a tag in use is rejected', () => {
    const { initiator, device } = ready();
    device.holding = BlockOp.Read;
    const itt = initiator.command('28 00 00000000 00 0001 00', { read: 512 });
    initiator.command('00', { itt });
    const reject = initiator.one();
    assert.equal(reject.opcode, Opcode.Reject);
    assert.equal(parseReject(reject.header).reason, RejectReason.TaskInProgress);
    assert.equal(reject.data.length, 48);
    device.held.shift()?.();
    assert.equal(initiator.one().opcode, Opcode.DataIn);
  });
});

describe('task management', () => {
  function manage(
    initiator: ScriptedInitiator,
    fn: number,
    options: { tag?: number; refCmdSn?: number; lun?: number } = {},
  ) {
    const lun = Buffer.alloc(8);
    lun[1] = options.lun ?? 0;
    const request = {
      immediate: true,
      function: fn,
      lun,
      itt: initiator.nextItt(),
      referencedTaskTag: options.tag ?? NO_TAG,
      cmdSn: initiator.cmdSn,
      expStatSn: 0,
      refCmdSn: options.refCmdSn ?? 0,
      expDataSn: 0,
    };
    initiator.send((b, at) => emitTaskManagementRequest(request, b, at));
  }
  function answerOf(pdu: Pdu): number {
    assert.equal(pdu.opcode, Opcode.TaskManagementResponse);
    return parseTaskManagementResponse(pdu.header).response;
  }

  test('ABORT TASK answers only when the write that had started has returned, and the command stays silent', () => {
    const { initiator, device } = ready();
    device.holding = BlockOp.Write;
    const tag = initiator.command('2a 00 00000000 00 0001 00', { write: 512, data: pattern(512) });
    manage(initiator, TaskFunction.AbortTask, { tag, refCmdSn: initiator.cmdSn - 1 });
    assert.equal(initiator.receive().length, 0);
    device.held.shift()?.();
    assert.equal(answerOf(initiator.one()), TaskResponse.Complete);
  });

  test('ABORT TASK of a command that waits for data ends it at once; its late data is ignored', () => {
    const { initiator } = ready();
    const tag = initiator.command('2a 00 00000000 00 0002 00', { write: 1024 });
    const r2t = parseR2T(initiator.one().header);
    manage(initiator, TaskFunction.AbortTask, { tag, refCmdSn: initiator.cmdSn - 1 });
    assert.equal(answerOf(initiator.one()), TaskResponse.Complete);
    initiator.dataOut(tag, r2t.ttt, 0, 0, pattern(1024), true);
    assert.equal(initiator.receive().length, 0);
    manage(initiator, TaskFunction.AbortTask, { tag, refCmdSn: initiator.cmdSn - 1 });
    assert.equal(answerOf(initiator.one()), TaskResponse.TaskDoesNotExist);
  });

  test('a LUN reset stops every command of the unit and is told to everybody', () => {
    const { initiator, node, device } = ready();
    const other = new ScriptedInitiator(node, Buffer.from('80aabbcc0002', 'hex'));
    other.logIn();
    other.clearAttention();
    device.holding = BlockOp.Read;
    other.command('28 00 00000000 00 0001 00', { read: 512 });
    manage(initiator, TaskFunction.LogicalUnitReset);
    assert.equal(initiator.receive().length, 0);
    device.held.shift()?.();
    assert.equal(answerOf(initiator.one()), TaskResponse.Complete);
    assert.equal(other.receive().length, 0);
    for (const each of [initiator, other]) {
      each.command('00');
      assert.equal(senseOf(each.one()), '06/29/03');
    }
  });

  test('a command without a unit that still takes its data can be aborted', () => {
    const { initiator } = ready();
    const tag = initiator.command('2a 00 00000000 00 0002 00', {
      write: 1024,
      data: pattern(512),
      final: false,
      lun: 9,
    });
    assert.equal(initiator.receive().length, 0);
    manage(initiator, TaskFunction.AbortTask, { tag, refCmdSn: initiator.cmdSn - 1, lun: 9 });
    assert.equal(answerOf(initiator.one()), TaskResponse.Complete);
    initiator.dataOut(tag, NO_TAG, 0, 512, pattern(512), true);
    assert.equal(initiator.receive().length, 0);
  });

  test('functions and LUNs that do not exist are told apart', () => {
    const { initiator } = ready();
    manage(initiator, TaskFunction.LogicalUnitReset, { lun: 9 });
    assert.equal(answerOf(initiator.one()), TaskResponse.LunDoesNotExist);
    manage(initiator, TaskFunction.TaskReassign);
    assert.equal(answerOf(initiator.one()), TaskResponse.ReassignmentNotSupported);
    manage(initiator, TaskFunction.ClearAca);
    assert.equal(answerOf(initiator.one()), TaskResponse.FunctionNotSupported);
  });

  test('an ORDERED command waits for older ones, and later ones for it', () => {
    const { initiator, device } = ready();
    device.holding = BlockOp.Read;
    const slow = initiator.command('28 00 00000000 00 0001 00', { read: 512 });
    const ordered = initiator.command('00', { attribute: 2 });
    const after = initiator.command('00');
    const head = initiator.command('00', { attribute: 3 });
    assert.deepEqual(
      initiator.receive().map((pdu) => responseOf(pdu).itt),
      [head],
    );
    device.held.shift()?.();
    const tags = initiator.receive().map(({ header }) => header.readUInt32BE(16));
    assert.deepEqual(tags, [slow, ordered, after]);
  });
});

describe('the session', () => {
  test('a ping is answered with its data; a quiet initiator is pinged at 15 s and given up 30 s later', () => {
    const { initiator } = ready();
    const ping = { immediate: true, lun: Buffer.alloc(8), itt: 77, ttt: NO_TAG, cmdSn: initiator.cmdSn, expStatSn: 0 };
    initiator.send((b, at) => emitNopOut(ping, b, at), Buffer.from('hello'));
    const pong = initiator.one();
    assert.equal(parseNopIn(pong.header).itt, 77);
    assert.equal(pong.data.toString(), 'hello');
    initiator.now += 15_000;
    initiator.connection.handleTimeout(initiator.now);
    const asked = parseNopIn(initiator.one().header);
    assert.equal(asked.itt, NO_TAG);
    assert.notEqual(asked.ttt, NO_TAG);
    initiator.now += 29_000;
    initiator.send((b, at) => emitNopOut({ ...ping, itt: NO_TAG, ttt: asked.ttt }, b, at));
    initiator.now += 14_999;
    initiator.connection.handleTimeout(initiator.now);
    assert.equal(initiator.receive().length, 0);
    initiator.now += 1;
    initiator.connection.handleTimeout(initiator.now);
    initiator.receive();
    initiator.now += 30_000;
    initiator.connection.handleTimeout(initiator.now);
    assert.ok(initiator.closed);
  });

  test('logout is answered when nothing is in flight any more, then the connection closes', () => {
    const { initiator, node, device } = ready();
    device.holding = BlockOp.Write;
    initiator.command('2a 00 00000000 00 0001 00', { write: 512, data: pattern(512) });
    const logout = { immediate: true, reason: 0, itt: 900, cid: 1, cmdSn: initiator.cmdSn, expStatSn: 0 };
    initiator.send((b, at) => emitLogoutRequest(logout, b, at));
    assert.equal(initiator.receive().length, 0);
    device.held.shift()?.();
    const answer = initiator.one();
    assert.equal(answer.opcode, Opcode.LogoutResponse);
    assert.equal(parseLogoutResponse(answer.header).response, 0);
    assert.ok(initiator.closed);
    assert.equal(node.context.sessions.size, 0);
    assert.equal(node.context.memory.held, 0);
  });

  test('a connection that breaks leaves nothing behind once its writes have returned', () => {
    const { initiator, node, device } = ready();
    device.holding = BlockOp.Write;
    initiator.command('2a 00 00000000 00 0001 00', { write: 512, data: pattern(512) });
    initiator.command('2a 00 00000000 00 0800 00', { write: 2 ** 20 });
    initiator.connection.onClosed('reset by the initiator');
    assert.equal(node.context.sessions.size, 1);
    device.held.shift()?.();
    assert.equal(node.context.sessions.size, 0);
    assert.equal(node.context.memory.held, 0);
    assert.equal(node.unit.nexuses.size, 0);
  });

  test('SNACK and unknown operation codes are rejected; a flood of them ends the connection', () => {
    const { initiator } = ready();
    const send = (opcode: number) =>
      initiator.send((b, at) => {
        b.fill(0, at, at + 48);
        b[at] = opcode;
      });
    send(0x10);
    assert.equal(parseReject(initiator.one().header).reason, RejectReason.SnackReject);
    send(0x1c);
    assert.equal(parseReject(initiator.one().header).reason, RejectReason.CommandNotSupported);
    assert.throws(
      () => {
        for (let i = 0; i < 100; i++) send(0x1c);
      },
      { code: 'ERR_PROTOCOL' },
    );
  });

  test('SendTargets tells a discovery session what it may log into, a normal one its own target', () => {
    const node = makeNode();
    const request = (itt: number, cmdSn: number) => ({
      immediate: false,
      final: true,
      continues: false,
      lun: Buffer.alloc(8),
      itt,
      ttt: NO_TAG,
      cmdSn,
      expStatSn: 0,
    });
    const ask = (initiator: ScriptedInitiator, value: string) => {
      const pdu = request(5, initiator.cmdSn++);
      initiator.send((b, at) => emitTextRequest(pdu, b, at), emitText([['SendTargets', value]]));
      const { header, data } = initiator.one();
      assert.ok(parseTextResponse(header).final);
      return parseText(data);
    };
    const discovery = new ScriptedInitiator(node);
    discovery.login([
      ['InitiatorName', INITIATOR],
      ['SessionType', 'Discovery'],
    ]);
    assert.deepEqual(ask(discovery, 'All'), [
      ['TargetName', TARGET],
      ['TargetAddress', '127.0.0.1:3260,1'],
    ]);
    const stranger = new ScriptedInitiator(node, Buffer.from('80aabbcc0009', 'hex'));
    stranger.login([
      ['InitiatorName', 'iqn.2022-08.com.test:stranger'],
      ['SessionType', 'Discovery'],
    ]);
    assert.deepEqual(ask(stranger, 'All'), []);
    const normal = new ScriptedInitiator(node, Buffer.from('80aabbcc000a', 'hex'));
    normal.logIn();
    assert.deepEqual(ask(normal, ''), [
      ['TargetName', TARGET],
      ['TargetAddress', '127.0.0.1:3260,1'],
    ]);
    assert.deepEqual(ask(normal, 'All'), [['SendTargets', 'Reject']]);
  });
});

describe('a wrong data digest', () => {
  const digests: [string, string][] = [['DataDigest', 'CRC32C']];
  const rejectOf = (pdu: Pdu | undefined) => {
    assert.equal(pdu?.opcode, Opcode.Reject);
    assert.deepEqual(parseReject((pdu as Pdu).header).reason, RejectReason.DataDigestError);
  };

  test('of a command: a Reject, and the connection ends, because its CmdSN would never be filled', async () => {
    const { initiator, device } = ready(digests);
    initiator.spoilNext = true;
    initiator.command('2a 00 00000008 00 0008 00', { write: 4096, data: pattern(4096) });
    rejectOf(initiator.one());
    assert.equal(initiator.closed, true);
    assert.match(JSON.stringify(initiator.events.at(-1)), /ScsiCommand with a wrong data digest/);
    initiator.command('28 00 00000008 00 0008 00', { read: 4096 });
    assert.deepEqual(await initiator.settle(), [], 'nothing is served after that');
    assert.deepEqual(await readBytes(device, 4096, 4096), Buffer.alloc(4096));
  });

  test('of a Text Request: the same', () => {
    const { initiator } = ready(digests);
    initiator.spoilNext = true;
    const lun = Buffer.alloc(8);
    const numbers = { itt: initiator.nextItt(), ttt: NO_TAG, cmdSn: initiator.cmdSn++, expStatSn: 0 };
    const request = { immediate: false, final: true, continues: false, lun, ...numbers };
    initiator.send((b, at) => emitTextRequest(request, b, at), emitText([['SendTargets', '']]));
    rejectOf(initiator.one());
    assert.equal(initiator.closed, true);
  });

  test('of an immediate ping: a Reject, and the session goes on', () => {
    const { initiator } = ready(digests);
    initiator.spoilNext = true;
    const numbers = { itt: initiator.nextItt(), ttt: NO_TAG, cmdSn: initiator.cmdSn, expStatSn: 0 };
    initiator.send((b, at) => emitNopOut({ immediate: true, lun: Buffer.alloc(8), ...numbers }, b, at), pattern(16));
    rejectOf(initiator.one());
    assert.equal(initiator.closed, false);
    initiator.command('00');
    assert.equal(responseOf(initiator.one()).status, 0);
  });

  for (const solicited of [false, true]) {
    test(`of a Data-Out PDU ${solicited ? 'that was asked for' : 'that came unasked'}: a Reject, and CHECK CONDITION after the rest`, async () => {
      const { initiator, device } = ready(digests);
      const data = pattern(12_288);
      const itt = initiator.command('2a 00 00000000 00 0018 00', { write: data.length, final: solicited });
      const ttt = solicited ? parseR2T(initiator.one().header).ttt : NO_TAG;
      initiator.spoilNext = true;
      initiator.dataOut(itt, ttt, 0, 0, data.subarray(0, 8192), false);
      rejectOf(initiator.one());
      initiator.dataOut(itt, ttt, 1, 8192, data.subarray(8192), true);
      assert.equal(senseOf(initiator.one()), '0b/47/05');
      assert.equal(initiator.closed, false);
      assert.deepEqual(await readBytes(device, 0, 4096), Buffer.alloc(4096));
      initiator.command('2a 00 00000008 00 0008 00', { write: 4096, data: pattern(4096) });
      assert.equal(responseOf(initiator.one()).status, 0);
    });
  }
});
