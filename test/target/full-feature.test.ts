// Full feature phase against scripted PDUs: numbering, pings, text, logout, digests (RFC 7143 §4.2, §11).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOp } from '../../src/block/block-device.js';
import { readBytes } from '../../src/block/promise.js';
import { NO_TAG, Opcode } from '../../src/iscsi/wire/bhs.js';
import { emitLogoutRequest, parseLogoutResponse } from '../../src/iscsi/wire/logout.js';
import { parseNopIn } from '../../src/iscsi/wire/nop-in.js';
import { emitNopOut } from '../../src/iscsi/wire/nop-out.js';
import { parseR2T } from '../../src/iscsi/wire/r2t.js';
import { parseReject, RejectReason } from '../../src/iscsi/wire/reject.js';
import { emitText, parseText } from '../../src/iscsi/wire/text.js';
import { emitTextRequest } from '../../src/iscsi/wire/text-request.js';
import { parseTextResponse } from '../../src/iscsi/wire/text-response.js';
import { LIMITS } from '../../src/target/limits.js';
import { ready, responseOf, senseOf } from './ready.js';
import { INITIATOR, makeNode, type Pdu, pattern, ScriptedInitiator, TARGET } from './scripted-initiator.js';

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
