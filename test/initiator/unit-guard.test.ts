// Nothing is sent to a unit whose identity is in doubt: after unit attentions, after a new login, whatever it then turns out
// to be (rows F10, F29, F30 and F31 of the fault bench, with the fake target in memory).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { GateState } from '../../src/initiator/gate.js';
import { Lun } from '../../src/initiator/lun.js';
import { compareUnits, putsIdentityInDoubt } from '../../src/initiator/unit-check.js';
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { CDB_AT } from '../../src/iscsi/wire/scsi-command.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense, type Sense } from '../../src/scsi/sense.js';
import { FakeDisk } from '../faults/fake-disk.js';
import { type FakePair, fakeLun, fakePair, lunInfo, reopen, SERIAL, start } from '../helpers/fake-pair.js';
import { type FakeTarget, ops, type SeenPdu } from '../helpers/fake-target.js';
import { pattern } from '../helpers/stream-core.js';

const WAITS = { timers: { replacementTimeoutMs: 30_000, noopIntervalMs: 0 } } as const;

/** A pair, the unit behind it, and what the next commands are answered with in place of their results. */
class Rig {
  readonly disk: Buffer;
  readonly unit: FakeDisk;
  readonly answers: Sense[] = [];
  readonly pair: FakePair;

  constructor(sizeBytes = 2 ** 20) {
    this.disk = Buffer.alloc(sizeBytes);
    this.unit = new FakeDisk({ serial: SERIAL, sizeBytes: 0 });
    this.unit.bytes = this.disk;
    this.pair = fakePair(this.options(this.unit), WAITS);
  }
  options(unit: FakeDisk) {
    const onPdu = (pdu: SeenPdu, target: FakeTarget): boolean => {
      if (pdu.opcode !== Opcode.ScsiCommand) return false;
      const answer = this.answers.shift();
      if (answer !== undefined) target.refuse(tagOf(pdu.bhs), 0x02, buildFixedSense(answer));
      return answer !== undefined;
    };
    return { unit, disk: unit.bytes, onPdu };
  }
  /** Cuts the connection and logs in to a target with that unit. */
  async replace(unit: FakeDisk, evidence: { refused?: boolean } = {}): Promise<FakeTarget> {
    this.pair.rig.link.close('cut');
    if (evidence.refused === true) this.pair.rig.session.noteRefused();
    const target = reopen(this.pair.rig, this.options(unit));
    await this.pair.rig.settle();
    return target;
  }
  warnings(): string[] {
    return this.pair.rig.all('log').flatMap(({ level, message }) => (level === 'warn' ? [message] : []));
  }
}
const WRITES: readonly number[] = [ScsiOp.Write10, ScsiOp.Write16, ScsiOp.WriteSame16, ScsiOp.Unmap];
const writes = (target: FakeTarget) => ops(target).filter((op) => WRITES.includes(op)).length;

const DOUBTS = [
  Senses.PowerOnOrReset,
  Senses.PowerOn,
  Senses.TargetReset,
  Senses.NexusLoss,
  Senses.CapacityChanged,
  Senses.InquiryDataChanged,
  Senses.ReportedLunsChanged,
];
for (const sense of DOUBTS) {
  const name = `${sense.asc.toString(16)}/${sense.ascq.toString(16)}`;
  test(`F10: unit attention ${name} comes before identity is checked, and that before the command is sent again`, async () => {
    const rig = new Rig();
    rig.answers.push(sense);
    const write = start(fakeLun(rig.pair), BlockOp.Write, 0, 4096, { payload: pattern(4096) });
    await rig.pair.rig.settle();
    assert.equal(write.status, BlockStatus.Ok);
    const seen = ops(rig.pair.target);
    assert.equal(seen[0], ScsiOp.Write16);
    assert.equal(seen.at(-1), ScsiOp.Write16);
    const between = seen.slice(1, -1);
    assert.equal(between[0], ScsiOp.TestUnitReady);
    assert.ok(between.includes(ScsiOp.Inquiry) && between.includes(ScsiOp.ServiceActionIn16));
    assert.equal(writes(rig.pair.target), 2);
  });
}
test('F10: reservations, ALUA and thresholds are no matter of identity: the command is sent again at once', async () => {
  for (const sense of [Senses.ReservationsReleased, Senses.ReservationsPreempted, Senses.CommandsCleared]) {
    assert.equal(putsIdentityInDoubt(sense), false);
    const rig = new Rig();
    rig.answers.push(sense);
    const read = start(fakeLun(rig.pair), BlockOp.Read, 0, 512);
    await rig.pair.rig.settle();
    assert.equal(read.status, BlockStatus.Ok);
    assert.deepEqual(ops(rig.pair.target), [ScsiOp.Read16, ScsiOp.Read16]);
  }
});
for (const sense of [Senses.PowerOnOrReset, Senses.ReservationsReleased, Senses.CapacityChanged]) {
  for (const [times, status] of [
    [1, BlockStatus.Ok],
    [8, BlockStatus.Ok],
    [50, BlockStatus.Ok],
    [99, BlockStatus.Ok],
    [100, BlockStatus.Eio],
    [1000, BlockStatus.Eio],
  ] as const) {
    test(`F10: ${times} unit attentions ${sense.asc.toString(16)}h in a row`, async () => {
      const rig = new Rig();
      rig.answers.push(...Array.from({ length: times }, () => sense));
      const read = start(fakeLun(rig.pair), BlockOp.Read, 0, 512);
      await rig.pair.rig.advance(11_000);
      assert.equal(read.status, status);
      assert.ok(ops(rig.pair.target).length < 230, 'no loop');
      await rig.pair.rig.advance(100_000);
      const later = start(fakeLun(rig.pair), BlockOp.Read, 0, 512);
      await rig.pair.rig.advance(100_000);
      // Units are asked again by themselves where their identity is in doubt, until all have been told.
      const rest = times === 1000 && sense === Senses.ReservationsReleased;
      assert.equal(later.status, rest ? BlockStatus.Eio : BlockStatus.Ok);
      assert.equal(rig.pair.rig.session.state, 'LOGGED_IN');
    });
  }
}
test('F10: a unit that reports a change each time it is asked who it is, is given up for a while', async () => {
  const disk = Buffer.alloc(2 ** 16);
  const unit = new FakeDisk({ serial: SERIAL, sizeBytes: 0 });
  unit.bytes = disk;
  let capacities = 0;
  let reads = 0;
  const pair = fakePair(
    {
      unit,
      disk,
      onPdu: (pdu, target) => {
        if (pdu.opcode !== Opcode.ScsiCommand) return false;
        const op = pdu.bhs[CDB_AT];
        const first = op === ScsiOp.Read16 && reads++ === 0;
        const restless = op === ScsiOp.ServiceActionIn16 && capacities++ % 2 === 0;
        if (!first && !restless) return false;
        target.response(tagOf(pdu.bhs), 0x02, { sense: buildFixedSense(Senses.CapacityChanged) });
        return true;
      },
    },
    WAITS,
  );
  const lun = fakeLun(pair);
  const read = start(lun, BlockOp.Read, 0, 512);
  await pair.rig.settle();
  assert.equal(read.status, BlockStatus.Eio);
  assert.match(lun.problem ?? '', /each time it is asked/);
  assert.ok(pair.target.all(Opcode.ScsiCommand).length < 200);
});

test('F29: a unit that has grown serves what it has gained; users are not told of it by themselves', async () => {
  const rig = new Rig();
  const lun = fakeLun(rig.pair);
  const before = lun.sizeBytes;
  assert.equal(start(lun, BlockOp.Read, before, 512).status, BlockStatus.Einval);
  rig.unit.resize(2 * before);
  rig.answers.push(Senses.CapacityChanged);
  const read = start(lun, BlockOp.Read, 0, 512);
  await rig.pair.rig.settle();
  assert.equal(read.status, BlockStatus.Ok);
  assert.equal(lun.sizeBytes, 2 * before);
  assert.equal(lun.problem, null);
});

test('F29: a unit that has shrunk: EIO beyond its end, a warning, and the rest goes on', async () => {
  const rig = new Rig();
  const lun = fakeLun(rig.pair);
  const before = lun.sizeBytes;
  rig.unit.resize(before / 2);
  rig.answers.push(Senses.CapacityChanged);
  const read = start(lun, BlockOp.Read, 0, 512);
  await rig.pair.rig.settle();
  assert.equal(read.status, BlockStatus.Ok);
  assert.equal(lun.sizeBytes, before / 2);
  const sent = ops(rig.pair.target).length;
  for (const op of [BlockOp.Read, BlockOp.Write]) {
    const beyond = start(lun, op, before / 2, 512, op === BlockOp.Write ? { payload: pattern(512) } : {});
    assert.equal(beyond.status, BlockStatus.Eio);
  }
  assert.equal(start(lun, BlockOp.Read, before, 512).status, BlockStatus.Einval, 'that it never had');
  assert.equal(ops(rig.pair.target).length, sent, 'nothing of it is sent');
  assert.match(rig.warnings().join(), /LUN 0 has shrunk, its size in blocks was 2048 and is 1024/);
});

test('F29: a unit that shrinks without a word is found out by its first LBA out of range', async () => {
  const rig = new Rig();
  const lun = fakeLun(rig.pair);
  rig.unit.resize(2 ** 19);
  rig.answers.push(Senses.LbaOutOfRange);
  const read = start(lun, BlockOp.Read, 2 ** 19, 512);
  await rig.pair.rig.settle();
  assert.equal(read.status, BlockStatus.Eio);
  assert.equal(lun.sizeBytes, 2 ** 19);
});

test('F30: a LUN that is missing for one command fails that one, and goes on when it is there all the same', async () => {
  const rig = new Rig();
  const lun = fakeLun(rig.pair);
  rig.answers.push(Senses.LunNotSupported);
  const first = start(lun, BlockOp.Write, 0, 512, { payload: pattern(512) });
  await rig.pair.rig.settle();
  assert.equal(first.status, BlockStatus.Eio);
  const second = start(lun, BlockOp.Write, 0, 512, { payload: pattern(512) });
  rig.pair.rig.pump();
  assert.equal(second.status, BlockStatus.Ok);
  assert.equal(rig.pair.rig.session.state, 'LOGGED_IN');
});

test('F30: while a unit is gone requests end without being sent; it is asked for every ten seconds', async () => {
  const rig = new Rig();
  let gone = true;
  const pair = fakePair(
    {
      ...rig.options(rig.unit),
      onPdu: (pdu, target) => {
        if (pdu.opcode !== Opcode.ScsiCommand || !gone) return false;
        target.refuse(tagOf(pdu.bhs), 0x02, buildFixedSense(Senses.LunNotSupported));
        return true;
      },
    },
    WAITS,
  );
  const lun = fakeLun(pair);
  const read = start(lun, BlockOp.Read, 0, 512);
  await pair.rig.settle();
  assert.equal(read.status, BlockStatus.Eio);
  assert.equal(lun.gate.state, GateState.Condemned);
  assert.match(lun.problem ?? '', /is gone/);
  const sent = pair.target.all(Opcode.ScsiCommand).length;
  assert.equal(start(lun, BlockOp.Read, 0, 512).status, BlockStatus.Eio);
  assert.equal(pair.target.all(Opcode.ScsiCommand).length, sent);
  await pair.rig.advance(60_000);
  const asked = pair.target.all(Opcode.ScsiCommand).length - sent;
  assert.ok(asked >= 5 && asked <= 7, `${asked} questions in a minute`);
  gone = false;
  await pair.rig.advance(10_000);
  const again = start(lun, BlockOp.Read, 0, 512);
  pair.rig.pump();
  assert.equal(again.status, BlockStatus.Ok);
  assert.equal(lun.problem, null);
});

const STRANGERS: [string, (unit: FakeDisk) => void, RegExp][] = [
  ['another serial number', (unit) => (unit.serial = 'fa1e9999'), /designator was/],
  ['another product', (unit) => (unit.product = 'OTHER'), /product was/],
];
for (const [name, change, why] of STRANGERS) {
  test(`F31: ${name} after a new login: everything fails, nothing is written`, async () => {
    const rig = new Rig();
    const lun = fakeLun(rig.pair);
    rig.pair.rig.link.out.faults.held = true;
    const requests = [
      start(lun, BlockOp.Write, 0, 4096, { payload: pattern(4096) }),
      start(lun, BlockOp.WriteZeroes, 8192, 4096),
      start(lun, BlockOp.Read, 0, 4096),
    ];
    rig.pair.rig.pump();
    const stranger = new FakeDisk({ serial: SERIAL, sizeBytes: 2 ** 20 });
    stranger.bytes.fill(0x77);
    change(stranger);
    const target = await rig.replace(stranger);
    await rig.pair.rig.advance(4000);
    assert.deepEqual(
      requests.map(({ status }) => status),
      requests.map(() => BlockStatus.Eio),
    );
    assert.equal(start(lun, BlockOp.Write, 0, 512, { payload: pattern(512) }).status, BlockStatus.Eio);
    assert.equal(writes(target), 0);
    assert.ok(stranger.bytes.equals(Buffer.alloc(2 ** 20, 0x77)));
    assert.match(rig.warnings().join(), why);
    assert.match(lun.problem ?? '', /another unit now, nothing is written to it/);
  });

  test(`F31: ${name} in mid-session, told by a unit attention: nothing is written`, async () => {
    const rig = new Rig();
    const lun = fakeLun(rig.pair);
    rig.disk.fill(0x77);
    change(rig.unit);
    rig.answers.push(Senses.InquiryDataChanged);
    const write = start(lun, BlockOp.Write, 0, 4096, { payload: pattern(4096) });
    await rig.pair.rig.settle();
    assert.equal(write.status, BlockStatus.Eio);
    assert.equal(writes(rig.pair.target), 1, 'the one that met the unit attention');
    assert.ok(rig.disk.equals(Buffer.alloc(2 ** 20, 0x77)));
  });
}

test('F31: a target that names its units a moment late is waited for', async () => {
  const rig = new Rig();
  const lun = fakeLun(rig.pair);
  rig.pair.rig.link.out.faults.held = true;
  const write = start(lun, BlockOp.Write, 0, 4096, { payload: pattern(4096) });
  rig.pair.rig.pump();
  rig.unit.serial = 'fa1e9999';
  const target = await rig.replace(rig.unit);
  await rig.pair.rig.advance(1000);
  assert.equal(write.status, null);
  assert.equal(writes(target), 0);
  rig.unit.serial = SERIAL;
  await rig.pair.rig.advance(200);
  assert.equal(write.status, BlockStatus.Ok);
});

test('a unit that is not ready is waited for, as long as lost connections are', async () => {
  const notReady = (times: number) => Array.from({ length: times }, () => Senses.BecomingReady);
  const rig = new Rig();
  const lun = fakeLun(rig.pair);
  rig.answers.push(...notReady(5));
  await rig.replace(rig.unit);
  const read = start(lun, BlockOp.Read, 0, 512);
  await rig.pair.rig.advance(10_000);
  assert.equal(read.status, BlockStatus.Ok);
  rig.answers.push(...notReady(1000));
  await rig.replace(rig.unit);
  const never = start(lun, BlockOp.Read, 0, 512);
  await rig.pair.rig.advance(29_000);
  assert.equal(never.status, null);
  await rig.pair.rig.advance(3000);
  assert.equal(never.status, BlockStatus.Eio);
  assert.equal(rig.pair.rig.session.state, 'LOGGED_IN');
  rig.answers.length = 0;
  await rig.pair.rig.advance(10_000);
  assert.equal(start(lun, BlockOp.Read, 0, 512).status, null);
  rig.pair.rig.pump();
});

test('a connection that is lost during the examination begins a new one; nothing is sent in between', async () => {
  const rig = new Rig();
  const lun = fakeLun(rig.pair);
  rig.pair.rig.link.out.faults.held = true;
  const write = start(lun, BlockOp.Write, 0, 4096, { payload: pattern(4096) });
  rig.pair.rig.pump();
  for (let round = 0; round < 5; round++) {
    rig.pair.rig.link.close('cut');
    const target = reopen(rig.pair.rig, rig.options(rig.unit));
    // The first question is out, or some of them are answered.
    for (let step = 0; step < round; step++) {
      rig.pair.rig.pump();
      await Promise.resolve();
    }
    assert.equal(writes(target), 0);
  }
  const target = await rig.replace(rig.unit);
  assert.equal(write.status, BlockStatus.Ok);
  assert.equal(writes(target), 1);
});

// What a restart takes with it (decisions: evidence only)

const LOSSES: [string, (rig: Rig) => Promise<unknown>, number][] = [
  ['a refused connection', (rig) => rig.replace(rig.unit, { refused: true }), 1],
  ['unit attention 29h/01h', (rig) => reports(rig, Senses.PowerOn), 1],
  ['unit attention 29h/03h', (rig) => reports(rig, Senses.TargetReset), 1],
  ['unit attention 29h/00h: many targets say so on each new nexus', (rig) => reports(rig, Senses.PowerOnOrReset), 0],
  ['unit attention 29h/07h', (rig) => reports(rig, Senses.NexusLoss), 0],
  ['another unit that stood in its place for a while', standIn, 1],
  ['a new connection', (rig) => rig.replace(rig.unit), 0],
];
async function standIn(rig: Rig): Promise<void> {
  await rig.replace(new FakeDisk({ serial: 'fa1e9999', sizeBytes: 2 ** 20 }));
  await rig.pair.rig.advance(4000);
  await rig.replace(rig.unit);
}
async function reports(rig: Rig, sense: Sense): Promise<void> {
  rig.answers.push(sense);
  await rig.replace(rig.unit);
}
for (const [name, happens, losses] of LOSSES) {
  test(`unflushed writes and ${name}: ${losses === 0 ? 'no loss' : 'the next flush fails, once'}`, async () => {
    const rig = new Rig();
    const lun = fakeLun(rig.pair);
    start(lun, BlockOp.Write, 0, 512, { payload: pattern(512) });
    await rig.pair.rig.settle();
    assert.equal(lun.unflushed, true);
    await happens(rig);
    assert.equal(lun.writeLosses, losses);
    const flushes = [0, 1].map(() => {
      const flush = start(lun, BlockOp.Flush, 0, 0);
      rig.pair.rig.pump();
      return flush.status;
    });
    assert.deepEqual(flushes, [losses === 0 ? BlockStatus.Ok : BlockStatus.Eio, BlockStatus.Ok]);
    assert.equal(
      rig.warnings().some((message) => message.includes('may be lost')),
      losses > 0,
    );
    await happens(rig);
    assert.equal(lun.writeLosses, losses, 'nothing is unflushed any more');
  });
}
test('a flush that was under way at the restart fails too', async () => {
  const rig = new Rig();
  const lun = fakeLun(rig.pair);
  start(lun, BlockOp.Write, 0, 512, { payload: pattern(512) });
  await rig.pair.rig.settle();
  rig.pair.rig.link.out.faults.held = true;
  const flush = start(lun, BlockOp.Flush, 0, 0);
  rig.pair.rig.pump();
  await rig.replace(rig.unit, { refused: true });
  assert.equal(flush.status, BlockStatus.Eio);
  assert.equal(lun.writeLosses, 1);
});
test('what needs no flush is not lost: written through, with FUA, flushed, or in a cache that keeps its contents', async () => {
  const runs: [Parameters<typeof fakeLun>[1], number, boolean][] = [
    [{ writeCache: false }, 0, false],
    [{ nonVolatileCache: true }, 0, false],
    [{}, 1, false],
    [{}, 0, true],
  ];
  for (const [disk, flags, flushes] of runs) {
    const rig = new Rig();
    rig.unit.writeCache = disk?.writeCache ?? true;
    const lun = fakeLun(rig.pair, disk);
    start(lun, BlockOp.Write, 0, 512, { payload: pattern(512), flags });
    await rig.pair.rig.settle();
    if (flushes) start(lun, BlockOp.Flush, 0, 0);
    rig.pair.rig.pump();
    await rig.replace(rig.unit, { refused: true });
    assert.equal(lun.writeLosses, 0);
  }
});
test('a command of somebody else that meets the unit attention tells the unit too', async () => {
  const rig = new Rig();
  const lun = fakeLun(rig.pair);
  start(lun, BlockOp.Write, 0, 512, { payload: pattern(512) });
  await rig.pair.rig.settle();
  rig.answers.push(Senses.PowerOn);
  const cdb = Buffer.alloc(6);
  const asked = rig.pair.rig.session.execute({ lun: Buffer.alloc(8), cdb, timeoutMs: 1000 });
  await rig.pair.rig.settle();
  assert.equal((await asked).status, 2);
  assert.equal(lun.writeLosses, 1);
  assert.ok(ops(rig.pair.target).includes(ScsiOp.Inquiry));
});

test('units are told apart by name, serial number, maker and block size; a new revision is an update', () => {
  const known = lunInfo();
  const { disk } = known;
  assert.ok(disk);
  const kind = (now: Parameters<typeof compareUnits>[1]) => compareUnits({ ...known, disk }, now).kind;
  assert.equal(kind(known), 'same');
  assert.equal(kind({ ...known, revision: '2' }), 'same');
  for (const field of ['designator', 'serial', 'vendor', 'product'] as const) {
    assert.equal(kind({ ...known, [field]: 'x' }), 'other', field);
    assert.equal(kind({ ...known, [field]: '' }), 'other', field);
  }
  assert.equal(kind({ ...known, disk: { ...disk, blockSize: 4096 } }), 'other');
  assert.equal(kind({ ...known, deviceType: 0x0c, disk: null }), 'other');
  assert.equal(kind({ ...known, disk: { ...disk, blocks: disk.blocks + 1 } }), 'grown');
  assert.equal(kind({ ...known, disk: { ...disk, blocks: disk.blocks - 1 } }), 'shrunk');
});

test('a unit that is opened while others are still being examined is examined too, and then served', async () => {
  const rig = new Rig();
  const first = fakeLun(rig.pair);
  rig.answers.push(...Array.from({ length: 5 }, () => Senses.BecomingReady));
  await rig.replace(rig.unit);
  assert.equal(first.gate.state, GateState.Closed);
  assert.equal(rig.pair.rig.session.recovery, 'checking');
  const later = fakeLun(rig.pair);
  const read = start(later, BlockOp.Read, 0, 512);
  assert.equal(read.status, null);
  await rig.pair.rig.advance(25_000);
  assert.equal(read.status, BlockStatus.Ok);
  assert.equal(later.gate.state, GateState.Open);
});

test('a change of LUNs that one unit reports puts every unit of the session in doubt, before a command of theirs leaves', async () => {
  const rig = new Rig();
  const [first, second] = [fakeLun(rig.pair), new Lun(rig.pair.rig.session, { ...lunInfo(), ...OTHER_LUN })];
  rig.answers.push(Senses.ReportedLunsChanged);
  const read = start(first, BlockOp.Read, 0, 512);
  rig.pair.rig.link.out.deliver();
  rig.pair.rig.link.back.deliver();
  assert.equal(second.gate.state, GateState.Closed);
  const write = start(second, BlockOp.Write, 0, 512, { payload: pattern(512) });
  await rig.pair.rig.settle();
  assert.deepEqual([read.status, write.status], [BlockStatus.Ok, BlockStatus.Ok]);
  assert.equal(second.gate.state, GateState.Open);
  assert.ok(ops(rig.pair.target).filter((op) => op === ScsiOp.TestUnitReady).length >= 2, 'both were asked');
});
const OTHER_LUN = { lun: 1, address: Buffer.from([0, 1, 0, 0, 0, 0, 0, 0]) } as const;
