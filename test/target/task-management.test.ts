// Task management and the order of tasks against scripted PDUs (RFC 7143 §11.5, §11.6; SAM-5 §7, §8).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BlockOp } from '../../src/block/block-device.js';
import { NO_TAG, Opcode } from '../../src/iscsi/wire/bhs.js';
import { parseR2T } from '../../src/iscsi/wire/r2t.js';
import {
  emitTaskManagementRequest,
  parseTaskManagementResponse,
  TaskFunction,
  TaskResponse,
} from '../../src/iscsi/wire/task-management.js';
import { ready, responseOf, senseOf } from './ready.js';
import { type Pdu, pattern, ScriptedInitiator } from './scripted-initiator.js';

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
