// Commands that are sent once, over our own target in memory: reservations, compare and write, and what a lost answer says.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { readBlockMap } from '../../src/initiator/block-map.js';
import { compareAndWrite } from '../../src/initiator/compare-and-write.js';
import { Gate } from '../../src/initiator/gate.js';
import { changeReservation, readReservations } from '../../src/initiator/reservations.js';
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { CDB_AT } from '../../src/iscsi/wire/scsi-command.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { ReservationType } from '../../src/scsi/persistent-reserve.js';
import { buildFixedSense } from '../../src/scsi/sense.js';
import { ScsiStatus } from '../../src/scsi/status.js';
import { AppError } from '../../src/util/errors.js';
import { FakeDisk } from '../faults/fake-disk.js';
import { fakeLun, fakePair, SERIAL } from '../helpers/fake-pair.js';
import { loggedInPair } from '../helpers/surface.js';

const LUN = Buffer.alloc(8);
const UNIT = { address: LUN, gate: new Gate() };
const MS = 10_000;

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof AppError, String(error));
  return error.code;
}

test('register, reserve, conflict, preempt and clear, by two initiators', async () => {
  const device = new MemoryDevice({ sizeBytes: 2 ** 20, blockSize: 512 });
  const { first, second } = await loggedInPair(device);
  const register = (newKey: bigint) =>
    ({ action: 'register', key: 0n, newKey, ignoreExisting: false, persist: false }) as const;
  await first.run(changeReservation(first.session, UNIT, register(0xabn), MS));
  await second.run(changeReservation(second.session, UNIT, register(0xffff_ffff_ffff_fffen), MS));
  const exclusive = { action: 'reserve', key: 0xabn, type: ReservationType.WriteExclusive } as const;
  await first.run(changeReservation(first.session, UNIT, exclusive, MS));

  const report = await second.run(readReservations(second.session, LUN, MS));
  assert.deepEqual([...report.keys].sort(), [0xabn, 0xffff_ffff_ffff_fffen].sort());
  assert.deepEqual(report.reservation, { key: 0xabn, type: ReservationType.WriteExclusive });
  assert.equal(report.registrations?.length, 2);
  assert.deepEqual(report.capabilities?.types, [1, 3, 5, 6, 7, 8]);

  const zeros = Buffer.alloc(512);
  const swap = { lba: 4, compare: zeros, write: Buffer.alloc(512, 1), blockSize: 512, fua: false };
  const conflict = second.run(compareAndWrite(second.session, UNIT, swap, MS));
  assert.equal(await codeOf(conflict), 'ERR_RESERVATION_CONFLICT');
  await first.run(compareAndWrite(first.session, UNIT, swap, MS));
  await assert.rejects(first.run(compareAndWrite(first.session, UNIT, swap, MS)), /offset 0; nothing was written/);

  const wrongKey = { action: 'release', key: 1n, type: ReservationType.WriteExclusive } as const;
  assert.equal(
    await codeOf(first.run(changeReservation(first.session, UNIT, wrongKey, MS))),
    'ERR_RESERVATION_CONFLICT',
  );
  const preempt = { action: 'preempt', key: 0xffff_ffff_ffff_fffen, victim: 0xabn, type: 1 } as const;
  await second.run(changeReservation(second.session, UNIT, preempt, MS));
  const after = await second.run(readReservations(second.session, LUN, MS));
  assert.deepEqual(after.keys, [0xffff_ffff_ffff_fffen]);
  assert.deepEqual(after.reservation, { key: 0xffff_ffff_ffff_fffen, type: 1 });
  await second.run(changeReservation(second.session, UNIT, { action: 'clear', key: 0xffff_ffff_ffff_fffen }, MS));
  assert.deepEqual((await first.run(readReservations(first.session, LUN, MS))).keys, []);
});

test('MISCOMPARE tells the first byte that differs', async () => {
  const device = new MemoryDevice({ sizeBytes: 2 ** 20, blockSize: 512 });
  const { first } = await loggedInPair(device);
  const compare = Buffer.alloc(1024);
  compare[700] = 1;
  const swap = { lba: 7, compare, write: Buffer.alloc(1024, 9), blockSize: 512, fua: true };
  await assert.rejects(first.run(compareAndWrite(first.session, UNIT, swap, MS)), {
    code: 'ERR_MISCOMPARE',
    message: 'MISCOMPARE at LBA 7: the first byte that differs is at offset 700; nothing was written',
  });
});

test('an answer that is lost with the connection: outcome unknown, and nothing is sent again', async () => {
  const device = new MemoryDevice({ sizeBytes: 2 ** 20, blockSize: 512 });
  const { first, second } = await loggedInPair(device);
  const swap = { lba: 0, compare: Buffer.alloc(512), write: Buffer.alloc(512, 7), blockSize: 512, fua: false };
  // Takes the unit attention of a new nexus away.
  await first.run(readReservations(first.session, LUN, MS));
  const lost = codeOf(compareAndWrite(first.session, UNIT, swap, MS));
  // The command leaves and is executed; the answer stays on its way.
  for (let i = 0; i < 20; i++) {
    first.rig.link.out.deliver();
    await new Promise((resolve) => setImmediate(resolve));
  }
  first.rig.link.close('cut');
  assert.equal(await lost, 'ERR_AGAIN');
  const done = { ...swap, compare: swap.write, write: Buffer.alloc(512, 8) };
  await second.run(compareAndWrite(second.session, UNIT, done, MS));
  // Without a connection it is certain that nothing has been sent.
  assert.equal(await codeOf(compareAndWrite(first.session, UNIT, swap, MS)), 'ERR_NOT_CONNECTED');
});

test('the map of a unit that tells no holes is one run', async () => {
  const device = new MemoryDevice({ sizeBytes: 2 ** 20, blockSize: 512 });
  Object.defineProperty(device, 'allocation', { value: undefined });
  const { first } = await loggedInPair(device);
  const map = (lba: number, end: number) => first.run(readBlockMap(first.session, LUN, { lba, end }, MS));
  assert.deepEqual(await map(0, 2048), [{ lba: 0, blocks: 2048, status: 0 }]);
  assert.deepEqual(await map(5, 9), [{ lba: 5, blocks: 4, status: 0 }]);
});

for (const busyFirst of [false, true]) {
  const when = busyFirst ? 'while it waits for a busy unit' : 'in place of its answer';
  test(`a unit that becomes another one ${when} gets no COMPARE AND WRITE again`, async () => {
    const unit = new FakeDisk({ serial: SERIAL, sizeBytes: 0 });
    let sent = 0;
    const pair = fakePair(
      {
        unit,
        onPdu: ({ opcode, bhs }, target) => {
          if (opcode !== Opcode.ScsiCommand || bhs[CDB_AT] !== ScsiOp.CompareAndWrite) return false;
          sent++;
          unit.serial = 'another';
          if (busyFirst) target.refuse(tagOf(bhs), ScsiStatus.Busy);
          else target.refuse(tagOf(bhs), 0x02, buildFixedSense(Senses.ReportedLunsChanged));
          return true;
        },
      },
      { timers: { replacementTimeoutMs: 30_000, noopIntervalMs: 0 } },
    );
    unit.bytes = pair.target.disk;
    const lun = fakeLun(pair);
    const swap = { lba: 0, compare: Buffer.alloc(512), write: Buffer.alloc(512, 7), blockSize: 512, fua: false };
    const code = codeOf(compareAndWrite(pair.rig.session, lun, swap, MS));
    pair.rig.pump();
    if (busyFirst) lun.recheck();
    await pair.rig.advance(10_000);
    assert.equal(sent, 1);
    assert.equal(await code, busyFirst ? 'ERR_AGAIN' : 'ERR_NOT_CONNECTED');
    assert.match(lun.problem ?? '', /another unit/);
    // Nor is a new one sent now.
    assert.equal(await codeOf(compareAndWrite(pair.rig.session, lun, swap, MS)), 'ERR_NOT_CONNECTED');
    assert.equal(sent, 1);
  });
}
