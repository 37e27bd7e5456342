// F23 on the NBD side: no reply to a FLUSH, or to a command with FUA, leaves before the target has answered the SYNCHRONIZE CACHE
// (or the WRITE with its FUA bit) that makes it true. The NBD server core on a Lun, on the wire of a fake target.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DiskInfo } from '../../src/initiator/probe.js';
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { CDB_AT } from '../../src/iscsi/wire/scsi-command.js';
import { Command, CommandFlag } from '../../src/nbd/wire/constants.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import type { Sense } from '../../src/scsi/sense.js';
import { fakeLun, fakePair, reopen } from '../helpers/fake-pair.js';
import type { FakeTarget, SeenPdu } from '../helpers/fake-target.js';
import { NbdDriver } from '../helpers/nbd-driver.js';
import { type RequestFields, readAnswers, request } from '../helpers/nbd-wire.js';

const { Write16, SynchronizeCache16: Sync, WriteSame16, Unmap } = ScsiOp;
const THIN: DiskInfo['thin'] = {
  unmap: true,
  writeSameUnmap: true,
  readsZeros: true,
  maxUnmapBlocks: 0,
  maxWriteSameBlocks: 0,
};
const FUA_BIT = 0x08;

/** A target that answers nothing that changes or flushes until the test says so. */
class Rig {
  readonly waiting: { op: number; cdb: Buffer; pdu: SeenPdu; target: FakeTarget }[] = [];
  /** Operation codes in the order in which they came. */
  readonly seen: number[] = [];
  readonly pair = fakePair(
    { onPdu: (pdu, target) => this.#hold(pdu, target) },
    { timers: { replacementTimeoutMs: 30_000, noopIntervalMs: 0 } },
  );
  readonly clients: NbdDriver[];

  constructor(disk: Partial<DiskInfo> = {}, clients = 1) {
    const device = fakeLun(this.pair, { thin: THIN, ...disk });
    const entry = { name: 'lun0', description: '', device, readOnly: false };
    this.clients = Array.from({ length: clients }, () => new NbdDriver([entry]).open('lun0'));
  }
  #hold(pdu: SeenPdu, target: FakeTarget): boolean {
    const op = pdu.bhs[CDB_AT] ?? 0;
    if (pdu.opcode !== Opcode.ScsiCommand || ![Write16, Sync, WriteSame16, Unmap].includes(op as never)) return false;
    this.seen.push(op);
    this.waiting.push({ op, cdb: Buffer.from(pdu.bhs.subarray(CDB_AT, CDB_AT + 16)), pdu, target });
    return true;
  }
  /** A client's request; what it has heard by then, as [cookie, error]. */
  ask(fields: RequestFields, client = 0): [number, number][] {
    this.clients[client]?.feed(request(fields));
    return this.heard(client);
  }
  heard(client = 0): [number, number][] {
    this.pair.rig.pump();
    return readAnswers(this.clients[client]?.take() ?? Buffer.alloc(0)).map(({ cookie, error }) => [
      Number(cookie),
      error,
    ]);
  }
  /** The target answers the oldest command that waits, which is `op`; returns its CDB. */
  answer(op: number, sense?: Sense): Buffer {
    const held = this.waiting.shift();
    assert.equal(held?.op, op);
    if (sense !== undefined) held.target.answer(held.pdu.bhs, sense);
    else if (op === Write16) held.target.serve(held.pdu);
    else held.target.response(tagOf(held.pdu.bhs), 0);
    this.pair.rig.pump();
    return held.cdb;
  }
}
const write = (cookie: number, flags = 0): RequestFields => ({
  type: Command.Write,
  cookie: BigInt(cookie),
  flags,
  payload: Buffer.alloc(4096, cookie),
});
const flush = (cookie: number): RequestFields => ({ type: Command.Flush, cookie: BigInt(cookie) });

describe('F23: what an NBD client is told is stable', () => {
  it('FLUSH: not before SYNCHRONIZE CACHE of the whole unit has been answered', () => {
    const rig = new Rig();
    assert.deepEqual(rig.ask(write(1)), []);
    rig.answer(Write16);
    assert.deepEqual(rig.heard(), [[1, 0]]);
    assert.deepEqual(rig.ask(flush(2)), []);
    assert.deepEqual(rig.seen, [Write16, Sync]);
    assert.deepEqual(rig.heard(), [], 'the target has it, and has not answered');
    const cdb = rig.answer(Sync);
    assert.deepEqual([cdb[1], cdb.readBigUInt64BE(2), cdb.readUInt32BE(10)], [0, 0n, 0], 'not immediate, all blocks');
    assert.deepEqual(rig.heard(), [[2, 0]]);
  });

  it('FLUSH fails if SYNCHRONIZE CACHE does', () => {
    const rig = new Rig();
    rig.ask(write(1));
    rig.answer(Write16);
    rig.heard();
    rig.ask(flush(2));
    rig.answer(Sync, Senses.WriteError);
    assert.deepEqual(rig.heard(), [[2, 5]]);
  });

  it('each FLUSH has a SYNCHRONIZE CACHE of its own: one that was sent before a write does not cover it', () => {
    const rig = new Rig();
    rig.ask(flush(1));
    rig.ask(write(2));
    const [sync] = rig.waiting.splice(0, 1);
    rig.answer(Write16);
    assert.deepEqual(rig.heard(), [[2, 0]]);
    rig.ask(flush(3));
    if (sync) rig.waiting.unshift(sync);
    rig.answer(Sync);
    assert.deepEqual(rig.heard(), [[1, 0]]);
    assert.deepEqual(rig.seen, [Sync, Write16, Sync]);
    rig.answer(Sync);
    assert.deepEqual(rig.heard(), [[3, 0]]);
  });

  it('MULTI_CONN: a FLUSH on one connection flushes what was written on another', () => {
    const rig = new Rig({}, 2);
    rig.ask(write(1), 0);
    rig.answer(Write16);
    assert.deepEqual(rig.heard(0), [[1, 0]]);
    assert.deepEqual(rig.ask(flush(2), 1), []);
    assert.deepEqual(rig.seen, [Write16, Sync]);
    rig.answer(Sync);
    assert.deepEqual(rig.heard(1), [[2, 0]]);
    assert.deepEqual(rig.heard(0), []);
  });

  it('MULTI_CONN: what a lost cache took is told to each connection with its next FLUSH, once', async () => {
    const rig = new Rig({}, 2);
    rig.ask(write(1), 0);
    rig.answer(Write16);
    rig.heard(0);
    rig.pair.rig.link.close('cut');
    rig.pair.rig.session.noteRefused();
    reopen(rig.pair.rig, { disk: rig.pair.target.disk });
    await rig.pair.rig.settle();
    for (const client of [0, 1]) {
      assert.deepEqual(rig.ask(flush(2), client), [[2, 5]], `client ${client}`);
      assert.deepEqual(rig.ask(flush(3), client), [[3, 0]], `client ${client}`);
    }
  });

  it('WRITE with FUA: the FUA bit goes out, and the reply comes after the answer', () => {
    const rig = new Rig();
    assert.deepEqual(rig.ask(write(1, CommandFlag.Fua)), []);
    const cdb = rig.answer(Write16);
    assert.equal((cdb[1] ?? 0) & FUA_BIT, FUA_BIT);
    assert.deepEqual(rig.heard(), [[1, 0]]);
    assert.deepEqual(rig.seen, [Write16]);
    rig.ask(write(2));
    assert.equal((rig.answer(Write16)[1] ?? 0) & FUA_BIT, 0, 'not without the flag');
  });

  const stabilized: [string, RequestFields, number][] = [
    ['WRITE', write(1, CommandFlag.Fua), Write16],
    ['WRITE_ZEROES', { type: Command.WriteZeroes, flags: CommandFlag.Fua, length: 65_536 }, WriteSame16],
    [
      'WRITE_ZEROES with NO_HOLE',
      { type: Command.WriteZeroes, flags: CommandFlag.Fua | CommandFlag.NoHole, length: 512 },
      WriteSame16,
    ],
    ['TRIM', { type: Command.Trim, flags: CommandFlag.Fua, length: 65_536 }, Unmap],
  ];
  for (const [what, fields, op] of stabilized) {
    it(`${what} with FUA on a unit without FUA: SYNCHRONIZE CACHE follows, and is waited for`, () => {
      const rig = new Rig({ dpofua: false });
      assert.deepEqual(rig.ask(fields), []);
      const cdb = rig.answer(op);
      assert.equal(
        (cdb[1] ?? 0) & FUA_BIT,
        op === WriteSame16 && (fields.flags ?? 0) === CommandFlag.Fua ? FUA_BIT : 0,
      );
      assert.deepEqual(rig.heard(), []);
      assert.deepEqual(rig.seen, [op, Sync]);
      rig.answer(Sync);
      assert.deepEqual(rig.heard(), [[1, 0]]);
    });

    it(`${what} with FUA fails if that SYNCHRONIZE CACHE does`, () => {
      const rig = new Rig({ dpofua: false });
      rig.ask(fields);
      rig.answer(op);
      rig.answer(Sync, Senses.WriteError);
      assert.deepEqual(rig.heard(), [[1, 5]]);
    });
  }

  it('a write-through unit needs no SYNCHRONIZE CACHE for FUA, and is sent one for FLUSH all the same', () => {
    const rig = new Rig({ dpofua: false, writeCache: false });
    rig.ask(write(1, CommandFlag.Fua));
    rig.answer(Write16);
    assert.deepEqual(rig.heard(), [[1, 0]]);
    assert.deepEqual(rig.ask(flush(2)), []);
    rig.answer(Sync);
    assert.deepEqual(rig.heard(), [[2, 0]]);
  });

  it('a FLUSH whose connection is lost waits for the SYNCHRONIZE CACHE of the next one', async () => {
    const rig = new Rig();
    rig.ask(write(1));
    rig.answer(Write16);
    rig.heard();
    rig.ask(flush(2));
    rig.waiting.length = 0;
    rig.pair.rig.link.close('cut');
    assert.deepEqual(rig.heard(), []);
    let held: (() => void) | null = null;
    reopen(rig.pair.rig, {
      disk: rig.pair.target.disk,
      onPdu: ({ opcode, bhs }, target) => {
        if (opcode !== Opcode.ScsiCommand || bhs[CDB_AT] !== Sync) return false;
        held = () => target.response(tagOf(bhs), 0);
        return true;
      },
    });
    await rig.pair.rig.settle();
    assert.deepEqual(rig.heard(), []);
    assert.ok(held !== null);
    (held as () => void)();
    assert.deepEqual(rig.heard(), [[2, 0]]);
  });
});

describe('F20 on the wire: a target without space', () => {
  it('SPACE ALLOCATION FAILED becomes ENOSPC, reads go on, and writes work once there is space', () => {
    const rig = new Rig();
    for (const fields of [write(1), { type: Command.WriteZeroes, length: 65_536, flags: CommandFlag.NoHole }]) {
      rig.ask(fields);
      rig.answer(rig.waiting[0]?.op ?? 0, Senses.SpaceAllocationFailed);
      assert.deepEqual(rig.heard(), [[1, 28]]);
      assert.deepEqual(rig.ask({ type: Command.Read, length: 512 }), [[1, 0]]);
    }
    rig.ask(write(2));
    rig.answer(Write16);
    assert.deepEqual(rig.heard(), [[2, 0]]);
  });
});
