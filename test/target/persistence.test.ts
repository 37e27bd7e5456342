// APTPL (SPC-4 §5.12.5): what is kept, when, and what a restart finds of it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { LogicalUnit } from '../../src/target/logical-unit.js';
import type { KeptReservations, ReservationKeeper } from '../../src/target/reservations.js';
import { answerOf, begin, run } from './run-command.js';
import { makeNode, ScriptedInitiator } from './scripted-initiator.js';

class TestKeeper implements ReservationKeeper {
  kept: KeptReservations | null = null;
  fail = false;
  writes = 0;
  hold: (() => void)[] | null = null;
  async keep(state: KeptReservations | null): Promise<void> {
    this.writes++;
    if (this.hold !== null) await new Promise<void>((resolve) => this.hold?.push(resolve));
    if (this.fail) throw new Error('no space');
    this.kept = state;
  }
}

/** A start of the server: two initiators on a disk whose reservations `keeper` keeps. */
function start(keeper: TestKeeper | null) {
  const device = new MemoryDevice({ sizeBytes: 2 ** 20 });
  const unit = new LogicalUnit({ name: 'disk', serial: 'a0'.repeat(16), device, keeper });
  const node = makeNode({ group: { luns: [{ lun: 0, unit }] } });
  const [first, second] = ['1', '2'].map((n) => {
    const initiator = new ScriptedInitiator(node, Buffer.from(`80aabbcc000${n}`, 'hex'));
    initiator.logIn();
    initiator.clearAttention();
    return initiator;
  }) as [ScriptedInitiator, ScriptedInitiator];
  return { first, second };
}
function list(key: number, newKey: number, aptpl: boolean): Buffer {
  const b = Buffer.alloc(24);
  b.writeBigUInt64BE(BigInt(key), 0);
  b.writeBigUInt64BE(BigInt(newKey), 8);
  b[20] = aptpl ? 1 : 0;
  return b;
}
const out = (action: number, type: number): string =>
  `5f ${action.toString(16).padStart(2, '0')} ${type.toString(16).padStart(2, '0')} 00000000 0018 00`;
const register = (i: ScriptedInitiator, key: number, newKey: number, aptpl = true) =>
  run(i, out(0, 0), { data: list(key, newKey, aptpl) });
const reserve = (i: ScriptedInitiator, key: number, type: number) =>
  run(i, out(1, type), { data: list(key, 0, false) });
const capabilities = async (i: ScriptedInitiator): Promise<number[]> => {
  const { data } = await run(i, '5e 02 0000000000 00ff 00', { read: 255 });
  return [(data[2] ?? 0) & 1, (data[3] ?? 0) & 1];
};
const WRITE = '2a 00 00000000 00 0001 00';

describe('APTPL', () => {
  test('without a place to keep it, it is refused, and said not to be there', async () => {
    const { first } = start(null);
    assert.deepEqual(await capabilities(first), [0, 0]);
    assert.equal((await register(first, 0, 5)).sense, '05/26/00');
    assert.equal((await register(first, 0, 5, false)).status, 0);
  });

  test('a reservation is there after a restart, for its holder and against others', async () => {
    const keeper = new TestKeeper();
    const before = start(keeper);
    assert.deepEqual(await capabilities(before.first), [1, 0]);
    assert.equal((await register(before.first, 0, 5)).status, 0);
    assert.equal((await reserve(before.first, 5, 1)).status, 0);
    assert.deepEqual(await capabilities(before.first), [1, 1]);
    const after = start(keeper);
    assert.equal((await run(after.second, WRITE, { data: Buffer.alloc(512) })).status, 0x18);
    assert.equal((await run(after.first, WRITE, { data: Buffer.alloc(512) })).status, 0);
    const { data } = await run(after.second, '5e 01 0000000000 00ff 00', { read: 255 });
    assert.deepEqual([data.readUInt32BE(0), data.readBigUInt64BE(8), data[21]], [0, 5n, 1]);
  });

  test('without APTPL nothing is kept; a REGISTER without it drops what was', async () => {
    const keeper = new TestKeeper();
    const { first } = start(keeper);
    await register(first, 0, 5, false);
    await reserve(first, 5, 1);
    assert.equal(keeper.writes, 0);
    await register(first, 5, 6);
    assert.equal(keeper.kept?.held?.type, 1);
    await register(first, 6, 7, false);
    assert.equal(keeper.kept, null);
    assert.deepEqual(await capabilities(first), [1, 0]);
  });

  test('every change is kept: PREEMPT, RELEASE, CLEAR', async () => {
    const keeper = new TestKeeper();
    const { first, second } = start(keeper);
    await register(first, 0, 5);
    await register(second, 0, 6);
    await reserve(first, 5, 3);
    assert.equal((await run(second, out(4, 1), { data: list(6, 5, false) })).status, 0);
    assert.deepEqual(
      keeper.kept?.registrations.map(({ key }) => key),
      [6n],
    );
    assert.equal(keeper.kept?.held?.type, 1);
    assert.equal((await run(second, out(2, 1), { data: list(6, 0, false) })).status, 0);
    assert.equal(keeper.kept?.held, null);
    assert.equal((await run(second, out(3, 0), { data: list(6, 0, false) })).status, 0);
    assert.deepEqual(keeper.kept?.registrations, []);
  });

  test('the status comes after it is kept, and the next change after that', async () => {
    const keeper = new TestKeeper();
    const { first, second } = start(keeper);
    keeper.hold = [];
    begin(first, out(0, 0), { data: list(0, 5, true) });
    begin(second, out(0, 0), { data: list(0, 6, true) });
    assert.deepEqual(await first.settle(), []);
    assert.deepEqual(await second.settle(), []);
    assert.equal(keeper.hold.length, 1);
    keeper.hold.shift()?.();
    assert.equal(answerOf(await first.settle()).status, 0);
    assert.equal(keeper.kept?.registrations.length, 1);
    keeper.hold.shift()?.();
    assert.equal(answerOf(await second.settle()).status, 0);
    assert.equal(keeper.kept?.registrations.length, 2);
  });

  test('what cannot be kept has not happened', async () => {
    const keeper = new TestKeeper();
    const { first, second } = start(keeper);
    await register(first, 0, 5);
    keeper.fail = true;
    assert.equal((await reserve(first, 5, 1)).sense, '04/44/00');
    assert.equal((await register(second, 0, 6)).sense, '04/44/00');
    assert.equal((await run(second, WRITE, { data: Buffer.alloc(512) })).status, 0);
    const { data } = await run(first, '5e 00 0000000000 00ff 00', { read: 255 });
    assert.deepEqual([data.readUInt32BE(4), data.readBigUInt64BE(8)], [8, 5n]);
    keeper.fail = false;
    assert.equal((await reserve(first, 5, 1)).status, 0);
  });
});
