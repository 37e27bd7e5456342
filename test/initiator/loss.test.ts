// A connection that breaks: whatever byte it breaks at, every request ends once, and no buffer stays held (RFC 7143 §7).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { AppError } from '../../src/util/errors.js';
import { RefBuffer } from '../../src/util/ref-buffer.js';
import { type FakePair, fakeLun, fakePair, reopen, start } from '../helpers/fake-pair.js';
import type { PairOptions } from '../helpers/pair.js';
import { pattern } from '../helpers/stream-core.js';

const WISHES = { maxRecvDataSegmentLength: 8192, maxBurstLength: 65_536, firstBurstLength: 16_384 } as const;

function everythingAtOnce(faults: PairOptions): { pair: FakePair; statuses: (number | null)[]; freed: () => number } {
  const pair = fakePair({ wishes: WISHES, disk: Buffer.alloc(2 ** 20) }, faults);
  let freed = 0;
  const owner = new RefBuffer(pattern(131_072), () => freed++);
  const lun = fakeLun(pair);
  const requests = [
    start(lun, BlockOp.Write, 0, 131_072, { payload: owner.buffer, owner }),
    start(lun, BlockOp.Read, 262_144, 65_536),
    start(lun, BlockOp.Write, 524_288, 4096, { payload: pattern(4096) }),
    start(lun, BlockOp.Flush, 0, 0),
    start(lun, BlockOp.Read, 0, 512),
  ];
  owner.release();
  pair.rig.pump();
  return { pair, statuses: requests.map(({ status }) => status), freed: () => freed };
}

const whole = everythingAtOnce({});
const sent = whole.pair.rig.link.out.sent;
const received = whole.pair.rig.link.back.sent;

test('the exchange that is cut below works when it is not', () => {
  assert.deepEqual(whole.statuses, [0, 0, 0, 0, 0]);
  assert.equal(whole.freed(), 1);
  assert.ok(sent > 100_000 && received > 60_000);
});

for (const direction of ['out', 'back'] as const) {
  test(`cut at many bytes of the way ${direction}`, () => {
    const total = direction === 'out' ? sent : received;
    const fine = Array.from({ length: 400 }, (_, i) => i);
    const coarse = Array.from({ length: 150 }, (_, i) => Math.floor(400 + (i * (total - 400)) / 150));
    let lost = 0;
    for (const cutAt of [...fine, ...coarse]) {
      const { pair, statuses, freed } = everythingAtOnce({ [direction]: { cutAt } });
      assert.ok(
        statuses.every((status) => status === BlockStatus.Ok || status === BlockStatus.Eio),
        `cut at ${cutAt}: ${statuses}`,
      );
      assert.equal(pair.rig.session.tasksInUse, 0, `cut at ${cutAt}: slots`);
      assert.equal(freed(), 1, `cut at ${cutAt}: payload`);
      assert.equal(pair.rig.session.connection, null);
      const ends = pair.rig.all('lost').length + pair.rig.all('login-failed').length;
      assert.equal(ends, 1, `cut at ${cutAt}: one ending`);
      lost += pair.rig.all('lost').length;
      assert.equal(pair.rig.session.deadline, undefined, 'nothing is waited for');
    }
    assert.ok(lost > 100, 'most cuts come after the login');
  });
}

test('after a loss everything fails at once, until a new connection of the same session logs in', async () => {
  const pair = fakePair({}, { back: { cutAt: 3000 } });
  const lun = fakeLun(pair);
  const first = start(lun, BlockOp.Read, 0, 65_536);
  pair.rig.pump();
  assert.equal(first.status, BlockStatus.Eio);
  assert.equal(pair.rig.session.state, 'FAILED');
  assert.equal(pair.rig.session.lastError?.code, 'ERR_TRANSPORT');
  assert.equal(start(lun, BlockOp.Read, 0, 512).status, BlockStatus.Eio);
  await assert.rejects(
    pair.rig.session.execute({ lun: Buffer.alloc(8), cdb: Buffer.alloc(6), timeoutMs: 1000 }),
    (error) => error instanceof AppError && error.code === 'ERR_NOT_CONNECTED',
  );
  const { isid } = pair.rig.session;
  const target = reopen(pair.rig, {});
  assert.equal(pair.rig.session.state, 'LOGGED_IN');
  const login = target.seen[0]?.bhs ?? Buffer.alloc(48);
  assert.ok(login.subarray(8, 14).equals(isid), 'the same ISID');
  assert.equal(login.readUInt16BE(14), 0, 'TSIH 0: reinstatement');
  await pair.rig.settle();
  const again = start(lun, BlockOp.Read, 0, 4096);
  pair.rig.pump();
  assert.equal(again.status, BlockStatus.Ok);
});

test('a session does not open a second connection beside a living one', () => {
  const pair = fakePair();
  assert.throws(() => reopen(pair.rig, {}), /has a connection/);
});

test('close waits for the requests in flight', async () => {
  const back = { held: false };
  const pair = fakePair({}, { back });
  back.held = true;
  const lun = fakeLun(pair);
  const read = start(lun, BlockOp.Read, 0, 512);
  pair.rig.pump();
  let closed = false;
  const closing = lun.close().then(() => {
    closed = true;
  });
  assert.equal(start(lun, BlockOp.Read, 0, 512).status, BlockStatus.Eshutdown);
  await pair.rig.settle();
  assert.equal(closed, false);
  back.held = false;
  await pair.rig.settle();
  await closing;
  assert.equal(read.status, BlockStatus.Ok);
  await lun.close();
});

test('logout waits for what is in flight, sends one Logout Request, and fails what comes later', async () => {
  const pair = fakePair();
  const lun = fakeLun(pair);
  const write = start(lun, BlockOp.Write, 0, 2 ** 21, { payload: pattern(2 ** 21) });
  const done = pair.rig.session.logout();
  assert.equal(start(lun, BlockOp.Read, 0, 512).status, BlockStatus.Eio);
  await pair.rig.settle();
  await done;
  assert.equal(write.status, BlockStatus.Ok);
  assert.equal(pair.rig.session.state, 'FREE');
  assert.equal(pair.target.all(6).length, 1);
  assert.equal(pair.target.seen.at(-1)?.opcode, 6);
  await pair.rig.session.logout();
});
