// A target whose LUNs change tells each of them in turn, and perhaps not the one that has become another: whichever says it,
// nothing more is sent to any unit before it has been asked who it is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { Lun } from '../../src/initiator/lun.js';
import { lunOf, Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { CDB_AT } from '../../src/iscsi/wire/scsi-command.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { designatorToText, naaDesignator, naaFromSerial } from '../../src/scsi/designator.js';
import { encodeLun } from '../../src/scsi/lun.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense } from '../../src/scsi/sense.js';
import { FakeDisk } from '../faults/fake-disk.js';
import { type FakePair, fakePair, lunInfo, type Probe, SERIAL, start } from '../helpers/fake-pair.js';
import type { FakeTarget, SeenPdu } from '../helpers/fake-target.js';
import { pattern } from '../helpers/stream-core.js';

const SIZE = 2 ** 16;
const serialOf = (lun: number) => `${SERIAL}${lun}`;
const named = (lun: number) => ({ serial: serialOf(lun), sizeBytes: SIZE });
const identity = (lun: number) => {
  const serial = serialOf(lun);
  const designator = designatorToText(naaDesignator(naaFromSerial(serial)));
  return { ...lunInfo({ blocks: SIZE / 512 }), lun, address: encodeLun(lun), serial, designator };
};

class Units {
  readonly units: FakeDisk[];
  readonly luns: Lun[];
  readonly pair: FakePair;
  /** LUNs that have a change to report; and those that report it when their size is asked for that many times. */
  readonly attentions = new Set<number>();
  readonly late = new Map<number, number>();

  constructor(count: number, window = 128) {
    this.units = Array.from({ length: count }, (_, lun) => new FakeDisk(named(lun)));
    const diskOf = (lun: Buffer) => this.#at(lun).bytes;
    const onPdu = (pdu: SeenPdu, target: FakeTarget) => pdu.opcode === Opcode.ScsiCommand && this.#answer(pdu, target);
    this.pair = fakePair({ diskOf, onPdu, window }, { timers: { replacementTimeoutMs: 30_000, noopIntervalMs: 0 } });
    this.luns = this.units.map((_, lun) => new Lun(this.pair.rig.session, identity(lun)));
  }
  #at(lun: Buffer): FakeDisk {
    return this.units[lun[1] as number] as FakeDisk;
  }
  #answer({ bhs }: SeenPdu, target: FakeTarget): boolean {
    const lun = lunOf(bhs)[1] as number;
    const op = bhs[CDB_AT];
    const left = this.late.get(lun);
    if (op === ScsiOp.ServiceActionIn16 && left !== undefined) {
      if (left === 0) this.attentions.add(lun);
      this.late.set(lun, left - 1);
    }
    if (op !== ScsiOp.Inquiry && this.attentions.delete(lun)) {
      target.refuse(tagOf(bhs), 0x02, buildFixedSense(Senses.ReportedLunsChanged));
      return true;
    }
    const said = this.#at(lunOf(bhs)).answer(bhs.subarray(CDB_AT, CDB_AT + 16));
    if (said !== null) target.answer(bhs, said);
    return said !== null;
  }
  write(lun: number): Probe {
    return start(this.luns[lun] as Lun, BlockOp.Write, 0, 512, { payload: pattern(512) });
  }
  ops(lun: number): number[] {
    const commands = this.pair.target.all(Opcode.ScsiCommand).filter(({ bhs }) => lunOf(bhs)[1] === lun);
    return commands.map(({ bhs }) => bhs[CDB_AT] as number);
  }
  writes(lun: number): number {
    return this.ops(lun).filter((op) => op === ScsiOp.Write16).length;
  }
}
const allOk = (probes: readonly Probe[]) =>
  assert.deepEqual(
    probes.map(({ status }) => status),
    probes.map(() => BlockStatus.Ok),
  );

for (const count of [2, 16]) {
  for (const how of ['a command', 'a question of somebody else']) {
    test(`a swapped unit that its neighbour alone reports to ${how}, ${count} LUNs: nothing more is written`, async () => {
      const rig = new Units(count, 4);
      const { session } = rig.pair.rig;
      const swapped = count - 1;
      // What a target does not tell at all it cannot be asked about: these are still sent, and land on the old unit.
      const before = rig.write(swapped);
      rig.pair.rig.pump();
      allOk([before]);
      rig.units[swapped] = new FakeDisk({ ...named(99) });
      for (let lun = 0; lun < swapped; lun++) rig.attentions.add(lun);
      const cdb = Buffer.alloc(16);
      if (how === 'a command') start(rig.luns[0] as Lun, BlockOp.Read, 0, 512);
      else void session.execute({ lun: encodeLun(0), cdb, timeoutMs: 1000 }).catch(() => {});
      rig.pair.rig.pump();
      const late = Array.from({ length: 8 }, () => rig.write(swapped));
      await rig.pair.rig.settle();
      assert.equal(rig.writes(swapped), 1, 'the one before the swap');
      assert.deepEqual(rig.units[swapped]?.bytes, Buffer.alloc(SIZE));
      for (const { status } of late) assert.equal(status, BlockStatus.Eio);
      assert.match(rig.luns[swapped]?.problem ?? '', /is another unit now, nothing is written to it/);
      const others = rig.luns.slice(0, swapped);
      assert.deepEqual(others.map(({ problem }) => problem).filter(Boolean), []);
      const after = others.map((_, lun) => rig.write(lun));
      rig.pair.rig.pump();
      allOk(after);
    });
  }

  test(`what is queued for ${count} LUNs when one of them reports the change waits for all the answers`, async () => {
    const rig = new Units(count, 2);
    rig.attentions.add(0);
    rig.units[1] = new FakeDisk({ ...named(99) });
    const first = start(rig.luns[0] as Lun, BlockOp.Read, 0, 512);
    const queued = Array.from({ length: 16 }, () => rig.write(1));
    await rig.pair.rig.settle();
    allOk([first]);
    assert.ok(rig.writes(1) <= 2, `${rig.writes(1)} writes, of which two were on their way`);
    assert.equal(queued.filter(({ status }) => status === BlockStatus.Eio).length, 16 - rig.writes(1));
  });

  test(`${count} LUNs that each report the change are the same as before, and no request fails`, async () => {
    const rig = new Units(count);
    for (let lun = 0; lun < count; lun++) rig.attentions.add(lun);
    const probes = rig.luns.map((_, lun) => rig.write(lun));
    await rig.pair.rig.settle();
    allOk(probes);
    assert.deepEqual(rig.luns.map(({ problem }) => problem).filter(Boolean), []);
    assert.ok(rig.ops(0).length < 60, `${rig.ops(0).length} commands to LUN 0`);
  });

  test(`${count} LUNs that report it one after the other, while all are being asked, are the same as before`, async () => {
    const rig = new Units(count);
    for (let lun = 1; lun < count; lun++) rig.late.set(lun, lun - 1);
    rig.attentions.add(0);
    const probes = rig.luns.map((_, lun) => rig.write(lun));
    await rig.pair.rig.advance(5000);
    allOk(probes);
    assert.equal(rig.attentions.size, 0);
    for (const left of rig.late.values()) assert.ok(left < 0, 'each has had its turn');
    assert.deepEqual(rig.luns.map(({ problem }) => problem).filter(Boolean), []);
  });
}

test('a unit that reports the change again and again is given up for a while; its neighbour is not', async () => {
  const rig = new Units(2);
  let reports = 0;
  const { answer } = rig.units[0] as FakeDisk;
  rig.units[0] = Object.assign(new FakeDisk({ ...named(0) }), {
    answer(this: FakeDisk, cdb: Buffer) {
      const restless = cdb[0] === ScsiOp.ServiceActionIn16 && reports++ % 2 === 0;
      return restless ? Senses.ReportedLunsChanged : answer.call(this, cdb);
    },
  });
  rig.attentions.add(0);
  const probes = [rig.write(0), rig.write(1)];
  await rig.pair.rig.settle();
  assert.equal(probes[0]?.status, BlockStatus.Eio);
  assert.match(rig.luns[0]?.problem ?? '', /each time it is asked/);
  allOk([probes[1] as Probe]);
  assert.equal(rig.luns[1]?.problem, null);
});
