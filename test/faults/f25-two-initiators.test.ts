// F25: two initiators at one logical unit share nothing but the medium: not tags, not conditions, not what one has asked for; and
// what one reserves holds against the other.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { parseR2T } from '../../src/iscsi/wire/r2t.js';
import { emitTaskManagementRequest, TaskFunction } from '../../src/iscsi/wire/task-management.js';
import { HeldDevice, responseOf, senseOf } from '../target/ready.js';
import { INITIATOR, makeNode, NO_AUTH, pattern, ScriptedInitiator } from '../target/scripted-initiator.js';
import { count } from './rig.js';

const ROUNDS = count('F25_ROUNDS', 300);
const OTHER = 'iqn.2022-08.com.test:node02.initiator01';
const GOOD = 0x00;
const CONFLICT = 0x18;
const WRITE_EXCLUSIVE = 1;
const EXCLUSIVE_ACCESS_REGISTRANTS = 6;

function two() {
  const device = new HeldDevice({ sizeBytes: 2 ** 20 });
  const acls = [INITIATOR, OTHER].map((initiatorName) => ({ initiatorName, auth: null, mappedLuns: null }));
  const node = makeNode({ device, acls, group: { auth: NO_AUTH } });
  // Even the ISID is the same: it is the name that makes the difference.
  const login = (name: string) => {
    const initiator = new ScriptedInitiator(node);
    const { response } = initiator.login([...initiator.names(name), ['InitialR2T', 'No']]);
    assert.equal(response.statusClass, 0);
    initiator.clearAttention();
    return initiator;
  };
  return { node, device, a: login(INITIATOR), b: login(OTHER) };
}
function status(initiator: ScriptedInitiator, pdus = initiator.receive()): number {
  const last = pdus.at(-1) ?? assert.fail('no answer');
  if (last.opcode === Opcode.DataIn) return last.header[3] ?? -1;
  return responseOf(last).status;
}
function read(initiator: ScriptedInitiator, lba = 0): number {
  initiator.command(`28 00 ${hex(lba)} 00 0001 00`, { read: 512 });
  return status(initiator);
}
function write(initiator: ScriptedInitiator, lba = 0, data = Buffer.alloc(512)): number {
  initiator.command(`2a 00 ${hex(lba)} 00 0001 00`, { write: 512, data });
  return status(initiator);
}
function sense(initiator: ScriptedInitiator, cdb = '00'): string {
  initiator.command(cdb);
  return senseOf(initiator.one());
}
/** PERSISTENT RESERVE OUT (SPC-4 §6.14). */
async function reserveOut(
  initiator: ScriptedInitiator,
  action: number,
  type: number,
  key: number,
  actionKey: number,
): Promise<number> {
  const list = Buffer.alloc(24);
  list.writeUInt32BE(key, 4);
  list.writeUInt32BE(actionKey, 12);
  initiator.command(`5f 0${action} 0${type} 00 00 00 00 00 18 00`, { write: 24, data: list });
  return status(initiator, await initiator.settle());
}
function manage(initiator: ScriptedInitiator, kind: number): void {
  const tmf = { function: kind, lun: Buffer.alloc(8), itt: initiator.nextItt(), referencedTaskTag: 0xffffffff };
  const numbers = { refCmdSn: 0, expDataSn: 0, immediate: true, cmdSn: initiator.cmdSn, expStatSn: 0 };
  initiator.send((bytes, at) => emitTaskManagementRequest({ ...tmf, ...numbers }, bytes, at));
}
function hex(lba: number): string {
  return lba.toString(16).padStart(8, '0');
}

describe('F25 two initiators at one logical unit', () => {
  it(`write and read their halves with the same tags, ${ROUNDS} times`, () => {
    const { a, b } = two();
    for (let round = 0; round < ROUNDS; round++) {
      const open = [a, b].map((initiator, side) => {
        const data = pattern(1024, round * 2 + side);
        const lba = side * 1024 + ((round * 7) % 1000);
        const itt = initiator.command(`2a 00 ${hex(lba)} 00 0002 00`, { write: 1024, itt: 5000 + round });
        return { initiator, data, lba, itt, ttt: parseR2T(initiator.one().header).ttt };
      });
      for (const { initiator, data, itt, ttt } of open.reverse()) {
        initiator.dataOut(itt, ttt, 0, 0, data.subarray(0, 512), false);
        initiator.dataOut(itt, ttt, 1, 512, data.subarray(512), true);
        assert.equal(status(initiator), GOOD);
      }
      for (const { initiator, data, lba } of open) {
        initiator.command(`28 00 ${hex(lba)} 00 0002 00`, { read: 1024 });
        assert.ok(initiator.one().data.equals(data), `round ${round}`);
      }
    }
  });

  it('a data-out of one with the tags of the other changes nothing', () => {
    const { a, b } = two();
    const itt = a.command('2a 00 00000000 00 0001 00', { write: 512, itt: 77 });
    const { ttt } = parseR2T(a.one().header);
    b.dataOut(77, ttt, 0, 0, Buffer.alloc(512, 0xbb), true);
    assert.equal(b.receive().length, 0);
    a.dataOut(itt, ttt, 0, 0, Buffer.alloc(512, 0xaa), true);
    assert.equal(status(a), GOOD);
    b.command('28 00 00000000 00 0001 00', { read: 512 });
    assert.ok(b.one().data.equals(Buffer.alloc(512, 0xaa)));
  });

  it('RESERVE(6) of one holds against the other, until it is released, its holder goes, or the unit is reset', () => {
    for (const end of ['release', 'logout', 'reset'] as const) {
      const { a, b } = two();
      a.command('16');
      assert.equal(status(a), GOOD);
      assert.deepEqual([read(b), write(b), read(a), write(a)], [CONFLICT, CONFLICT, GOOD, GOOD]);
      b.command('12 00 00 0024 00', { read: 36 });
      assert.equal(status(b), GOOD, 'INQUIRY is for everybody');
      b.command('17');
      assert.equal(status(b), GOOD, 'RELEASE of somebody else does nothing');
      assert.equal(read(b), CONFLICT);
      if (end === 'release') a.command('17');
      else if (end === 'logout') a.connection.onClosed('gone');
      else manage(a, TaskFunction.LogicalUnitReset);
      if (end === 'reset') assert.match(sense(b), /^06\/29\//);
      assert.equal(write(b), GOOD, end);
    }
  });

  it('a persistent reservation of one holds against the other, and outlives the session', async () => {
    const { node, a, b } = two();
    assert.equal(await reserveOut(a, 0, 0, 0, 0xa), GOOD);
    assert.equal(await reserveOut(a, 1, WRITE_EXCLUSIVE, 0xa, 0), GOOD);
    assert.deepEqual([read(b), write(b), write(a)], [GOOD, CONFLICT, GOOD]);
    a.connection.onClosed('gone');
    assert.equal(write(b), CONFLICT);
    const again = new ScriptedInitiator(node);
    again.logIn();
    again.clearAttention();
    assert.equal(await reserveOut(again, 2, WRITE_EXCLUSIVE, 0xa, 0), GOOD);
    assert.equal(write(b), GOOD);
  });

  it('tells the other: released 2A/04, preempted 2A/03 and 2A/05; and nobody the one who did it', async () => {
    const { a, b } = two();
    for (const [initiator, key] of [
      [a, 0xa],
      [b, 0xb],
    ] as const) {
      assert.equal(await reserveOut(initiator, 0, 0, 0, key), GOOD);
    }
    assert.equal(await reserveOut(a, 1, EXCLUSIVE_ACCESS_REGISTRANTS, 0xa, 0), GOOD);
    assert.equal(await reserveOut(a, 2, EXCLUSIVE_ACCESS_REGISTRANTS, 0xa, 0), GOOD);
    assert.equal(sense(b), '06/2a/04');
    assert.equal(read(a), GOOD);
    assert.equal(await reserveOut(a, 4, WRITE_EXCLUSIVE, 0xa, 0xb), GOOD);
    assert.equal(sense(b), '06/2a/05');
    assert.equal(await reserveOut(b, 0, 0, 0, 0xb), GOOD);
    assert.equal(await reserveOut(a, 3, 0, 0xa, 0), GOOD);
    assert.equal(sense(b), '06/2a/03');
    assert.deepEqual([read(a), read(b)], [GOOD, GOOD]);
  });

  it('a condition is told to each once, in its own time', () => {
    const { device, a, b } = two();
    Object.defineProperty(device, 'sizeBytes', { value: 2 ** 21 });
    assert.equal(sense(a), '06/2a/09');
    assert.equal(read(a), GOOD);
    assert.equal(sense(b), '06/2a/09');
    assert.deepEqual([read(a), read(b)], [GOOD, GOOD]);
  });

  it('ABORT TASK SET is for one’s own commands; CLEAR TASK SET for all, and the other is told 2F/00', () => {
    const { device, a, b } = two();
    const hold = (initiator: ScriptedInitiator) => initiator.command('28 00 00000000 00 0001 00', { read: 512 });
    const release = () => {
      device.holding = null;
      for (const go of device.held.splice(0)) go();
    };
    device.holding = 0;
    hold(a);
    hold(b);
    assert.equal(device.held.length, 2);
    manage(a, TaskFunction.AbortTaskSet);
    release();
    assert.deepEqual(
      a.receive().map(({ opcode }) => opcode),
      [Opcode.TaskManagementResponse],
    );
    assert.equal(status(b), GOOD);
    device.holding = 0;
    hold(a);
    hold(b);
    manage(a, TaskFunction.ClearTaskSet);
    release();
    assert.deepEqual(
      a.receive().map(({ opcode }) => opcode),
      [Opcode.TaskManagementResponse],
    );
    assert.equal(b.receive().length, 0);
    assert.equal(sense(b), '06/2f/00');
  });
});
