// Data both ways against scripted PDUs: Data-Out asked for and unasked, R2T, Data-In, residuals (RFC 7143 §11.7, §11.8).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOp } from '../../src/block/block-device.js';
import { readBytes } from '../../src/block/promise.js';
import { NO_TAG, Opcode } from '../../src/iscsi/wire/bhs.js';
import { parseDataIn } from '../../src/iscsi/wire/data-in.js';
import { parseNopIn } from '../../src/iscsi/wire/nop-in.js';
import { parseR2T } from '../../src/iscsi/wire/r2t.js';
import { LIMITS } from '../../src/target/limits.js';
import { ready, responseOf, senseOf } from './ready.js';
import { pattern } from './scripted-initiator.js';

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
