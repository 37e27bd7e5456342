// How long a session without a connection waits, and how it ends: the replacement timeout, poisoned commands, logouts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import type { InitiatorTimers } from '../../src/initiator/options.js';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { type FakePair, fakeLun, fakePair, reopen, start } from '../helpers/fake-pair.js';
import type { FakeTargetOptions } from '../helpers/fake-target.js';
import { pattern } from '../helpers/stream-core.js';

function waiting(timers: Partial<InitiatorTimers>, target: FakeTargetOptions = {}): FakePair {
  return fakePair(target, { timers: { noopIntervalMs: 0, replacementTimeoutMs: 120_000, ...timers } });
}

test('after the replacement timeout requests end once with EIO, later ones at once, and a login makes them work again', async () => {
  const pair = waiting({ replacementTimeoutMs: 7000 });
  const { rig } = pair;
  const lun = fakeLun(pair);
  const held = start(lun, BlockOp.Read, 0, 4096);
  rig.link.close('cut');
  await rig.advance(3000);
  const later = start(lun, BlockOp.Write, 0, 512, { payload: pattern(512) });
  await rig.advance(3999);
  assert.deepEqual([held.status, later.status, rig.session.recovery], [null, null, 'waiting']);
  await rig.advance(2);
  assert.deepEqual([held.status, later.status], [BlockStatus.Eio, BlockStatus.Eio]);
  assert.equal(rig.session.state, 'FAILED');
  assert.equal(rig.session.recovery, 'expired');
  assert.equal(start(lun, BlockOp.Flush, 0, 0).status, BlockStatus.Eio);
  await rig.advance(60_000);
  assert.equal(rig.all('expired').length, 1);
  assert.equal(rig.session.deadline, undefined);
  reopen(rig, {});
  const again = start(lun, BlockOp.Read, 0, 4096);
  assert.equal(again.status, null, 'it waits for the unit to be asked');
  await rig.settle();
  assert.equal(again.status, BlockStatus.Ok);
  assert.equal(rig.session.recovery, 'none');
  assert.equal(rig.session.tasksInUse, 0);
});

test('0 waits for nothing; a time without end waits for ever', async () => {
  const none = waiting({ replacementTimeoutMs: 0 });
  const impatient = start(fakeLun(none), BlockOp.Read, 0, 512);
  none.rig.link.close('cut');
  assert.equal(impatient.status, BlockStatus.Eio);
  assert.equal(none.rig.session.recovery, 'expired');
  assert.deepEqual(
    none.rig.outputs.map(({ kind }) => kind).filter((kind) => kind !== 'log'),
    ['logged-in', 'lost', 'expired'],
  );
  for (const replacementTimeoutMs of [Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY]) {
    const pair = waiting({ replacementTimeoutMs });
    const patient = start(fakeLun(pair), BlockOp.Read, 0, 512);
    pair.rig.link.close('cut');
    await pair.rig.advance(10 * 86_400_000);
    assert.equal(patient.status, null);
    reopen(pair.rig, {});
    await pair.rig.settle();
    assert.equal(patient.status, BlockStatus.Ok);
  }
});

test('a target that lets us in and falls silent before the units are asked does not extend the wait for ever', async () => {
  const pair = waiting({ replacementTimeoutMs: 20_000, noopIntervalMs: 5000, noopTimeoutMs: 5000 });
  const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
  pair.rig.link.close('cut');
  const silent = { onPdu: () => true };
  for (let times = 0; times < 3 && read.status === null; times++) {
    reopen(pair.rig, silent);
    assert.equal(pair.rig.session.recovery, 'checking');
    await pair.rig.advance(11_000);
    assert.equal(pair.rig.session.state, 'FAILED');
  }
  assert.equal(read.status, BlockStatus.Eio);
});

test('a command that costs the session its connection again and again ends, and the session lives', async () => {
  const poison = (pdu: { opcode: number; bhs: Buffer }) =>
    pdu.opcode === Opcode.TaskManagementRequest || (pdu.opcode === Opcode.ScsiCommand && pdu.bhs[32] === 0x8a);
  const pair = waiting({ replacementTimeoutMs: Number.POSITIVE_INFINITY }, { onPdu: poison });
  const { rig } = pair;
  const lun = fakeLun(pair);
  const write = start(lun, BlockOp.Write, 0, 512, { payload: pattern(512) });
  for (let logins = 0; logins < 12 && write.status === null; logins++) {
    await rig.advance(200_000);
    if (rig.session.state === 'FAILED') reopen(rig, { onPdu: poison });
  }
  assert.equal(write.status, BlockStatus.Eio);
  // One that has cost six connections is not given the two more tries of any command that takes too long.
  assert.equal(rig.all('lost').length, 6);
  if (rig.session.state === 'FAILED') reopen(rig, { onPdu: poison });
  await rig.settle();
  const read = start(lun, BlockOp.Read, 0, 512);
  await rig.settle();
  assert.equal(read.status, BlockStatus.Ok);
  assert.equal(rig.session.state, 'LOGGED_IN');
});

test('a read that is sent again delivers only what it has not delivered yet', async () => {
  const disk = pattern(2 ** 17);
  const login = { negotiate: { maxRecvDataSegmentLength: 8192 } };
  const whole = fakePair({ disk }, { login });
  const before = whole.rig.link.back.arrived;
  for (const beyond of [1, 47, 48, 49, 8192 + 48, 8192 + 49, 3 * 8240 + 100, 8 * 8240 - 1]) {
    const pair = fakePair(
      { disk },
      { login, timers: { noopIntervalMs: 0, replacementTimeoutMs: 1000 }, back: { cutAt: before + beyond } },
    );
    const lun = fakeLun(pair);
    const read = start(lun, BlockOp.Read, 4096, 65_536);
    pair.rig.pump();
    const first = read.received;
    assert.equal(pair.rig.session.state, 'FAILED', `${beyond}`);
    assert.equal(first, Math.floor(beyond / 8240) * 8192, 'whole PDUs only');
    reopen(pair.rig, { disk });
    await pair.rig.settle();
    // The probe throws on a byte that comes twice or not at all.
    assert.equal(read.status, BlockStatus.Ok, `${beyond}`);
    assert.ok(read.bytes.equals(disk.subarray(4096, 4096 + 65_536)), `${beyond}`);
  }
});

test('a login that breaks off at every byte, again and again, keeps the commands waiting', async () => {
  const pair = waiting({});
  const { rig } = pair;
  const lun = fakeLun(pair);
  const write = start(lun, BlockOp.Write, 0, 512, { payload: pattern(512) });
  const length = rig.link.back.arrived;
  rig.link.close('cut');
  for (let cutAt = 0; cutAt < length; cutAt++) {
    reopen(rig, {}, { back: { cutAt } });
    assert.equal(rig.session.state, 'FAILED', `cut at ${cutAt}`);
    assert.equal(write.status, null);
  }
  assert.equal(rig.all('login-failed').length, length);
  const target = reopen(rig, {});
  await rig.settle();
  assert.equal(write.status, BlockStatus.Ok);
  assert.equal(target.all(Opcode.ScsiCommand).filter(({ bhs }) => bhs[32] === 0x8a).length, 1);
});

const STATES: [string, (pair: FakePair) => void][] = [
  ['waiting', () => {}],
  ['logging in', ({ rig }) => void reopen(rig, {}, { back: { held: true } })],
  ['checking', ({ rig }) => void reopen(rig, { onPdu: ({ opcode }) => opcode === Opcode.ScsiCommand })],
];
for (const [name, prepare] of STATES) {
  test(`a logout while ${name} ends what waits, and the session`, async () => {
    const pair = waiting({ logoutTimeoutMs: 2000 });
    const { rig } = pair;
    const lun = fakeLun(pair);
    const read = start(lun, BlockOp.Read, 0, 512);
    rig.link.close('cut');
    prepare(pair);
    assert.equal(read.status, null);
    const done = rig.session.logout().catch(() => {});
    assert.equal(read.status, BlockStatus.Eio);
    assert.equal(start(lun, BlockOp.Read, 0, 512).status, BlockStatus.Eio);
    await rig.advance(2001);
    await done;
    assert.equal(rig.session.state, 'FREE');
    assert.equal(rig.session.recovery, 'none');
    assert.equal(rig.session.tasksInUse, 0);
    assert.equal(rig.session.deadline, undefined);
  });
}

test('a logout against silence takes its time and no more, and ends what was sent', async () => {
  const pair = waiting({ logoutTimeoutMs: 3000 }, { onPdu: () => true });
  const { rig } = pair;
  const read = start(fakeLun(pair), BlockOp.Read, 0, 512);
  rig.pump();
  const done = assert.rejects(rig.session.logout());
  await rig.advance(3001);
  await done;
  assert.equal(read.status, BlockStatus.Eio);
  assert.equal(rig.session.state, 'FREE');
});
