// Block requests as SCSI commands: which CDB, in how many parts, and what each ending means (SBC-3 §5, SPC-4 §4.5).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockFlag, BlockOp, BlockStatus } from '../../src/block/block-device.js';
import type { DiskInfo } from '../../src/initiator/probe.js';
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { DataInFlag } from '../../src/iscsi/wire/data-in.js';
import { emitReject } from '../../src/iscsi/wire/reject.js';
import { commandEdtl } from '../../src/iscsi/wire/scsi-command.js';
import { ResidualFlag } from '../../src/iscsi/wire/scsi-response.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense, type Sense } from '../../src/scsi/sense.js';
import { type FakePair, fakeLun, fakePair, start } from '../helpers/fake-pair.js';
import type { FakeTarget, SeenPdu } from '../helpers/fake-target.js';
import { pattern } from '../helpers/stream-core.js';

const THIN = { unmap: true, writeSameUnmap: true, readsZeros: true, maxUnmapBlocks: 0, maxWriteSameBlocks: 0 };
const PLAIN = { unmap: false, writeSameUnmap: false, readsZeros: false, maxUnmapBlocks: 0, maxWriteSameBlocks: 0 };
const QUIET = { timers: { noopIntervalMs: 0 } };

/** A target that says GOOD to every command once its data has come as immediate data, and takes no note of it. */
function yesMan(pdu: SeenPdu, target: FakeTarget): boolean {
  if (pdu.opcode !== Opcode.ScsiCommand) return pdu.opcode === Opcode.DataOut;
  if ([ScsiOp.Read16, ScsiOp.Read10].some((op) => op === pdu.bhs[32])) {
    target.sendRead(tagOf(pdu.bhs), Buffer.alloc(commandEdtl(pdu.bhs)));
  } else target.response(tagOf(pdu.bhs), 0);
  return true;
}
function cdbs(target: FakeTarget): Buffer[] {
  return target.all(Opcode.ScsiCommand).map(({ bhs }) => bhs.subarray(32, 48));
}
function ops(target: FakeTarget): number[] {
  return cdbs(target).map((cdb) => cdb[0] as number);
}
/** Runs one request to its end on a yes-man with this disk. */
function run(
  disk: Partial<DiskInfo>,
  op: BlockOp,
  offset: number,
  length: number,
  more: Parameters<typeof start>[4] = {},
): { pair: FakePair; status: BlockStatus | null } {
  const pair = fakePair({ onPdu: yesMan, disk: Buffer.alloc(0) }, QUIET);
  const request = start(fakeLun(pair, { blocks: 2 ** 24, ...disk }), op, offset, length, more);
  pair.rig.pump();
  return { pair, status: request.status };
}
/** A target that answers the first commands with these senses or statuses, the rest by the rules. */
function trouble(...answers: (Sense | number)[]): (pdu: SeenPdu, target: FakeTarget) => boolean {
  return (pdu, target) => {
    if (pdu.opcode !== Opcode.ScsiCommand) return false;
    const answer = answers.shift();
    if (answer === undefined) return false;
    if (typeof answer === 'number') target.response(tagOf(pdu.bhs), answer);
    else target.response(tagOf(pdu.bhs), 0x02, { sense: buildFixedSense(answer) });
    return true;
  };
}
const sense = (key: number, asc: number, ascq: number): Sense => ({ key, asc, ascq });
const RESET = sense(6, 0x29, 0x00);

test('READ(16) and WRITE(16) carry LBA and length; FUA where the unit has it', () => {
  const { pair } = run({}, BlockOp.Write, 512 * 0x12_3456, 1024, { payload: pattern(1024), flags: BlockFlag.Fua });
  assert.deepEqual(
    cdbs(pair.target).map((cdb) => cdb.toString('hex')),
    ['8a080000000000123456000000020000'],
  );
  const read = run({}, BlockOp.Read, 512, 512);
  assert.equal(cdbs(read.pair.target)[0]?.toString('hex'), '88000000000000000001000000010000');
});

test('FUA without DPOFUA becomes WRITE and SYNCHRONIZE CACHE; without a cache it is nothing', () => {
  const more = { payload: pattern(512), flags: BlockFlag.Fua };
  const cached = run({ dpofua: false }, BlockOp.Write, 0, 512, more);
  assert.deepEqual(ops(cached.pair.target), [ScsiOp.Write16, ScsiOp.SynchronizeCache16]);
  assert.equal(cached.status, BlockStatus.Ok);
  const through = run({ dpofua: false, writeCache: false }, BlockOp.Write, 0, 512, more);
  assert.deepEqual(ops(through.pair.target), [ScsiOp.Write16]);
});

test('a unit that knows READ CAPACITY(10) only gets 10-byte commands', () => {
  const disk = { use10: true, dpofua: true };
  assert.deepEqual(ops(run(disk, BlockOp.Read, 0, 512).pair.target), [ScsiOp.Read10]);
  assert.deepEqual(ops(run(disk, BlockOp.Write, 0, 512, { payload: pattern(512) }).pair.target), [ScsiOp.Write10]);
  assert.deepEqual(ops(run(disk, BlockOp.Flush, 0, 0).pair.target), [ScsiOp.SynchronizeCache10]);
  assert.deepEqual(ops(run(disk, BlockOp.Read, 0, 2 ** 25).pair.target), [ScsiOp.Read10, ScsiOp.Read10]);
});

test('a request above the limit of the unit becomes several commands, in order', () => {
  const { pair, status } = run({ maxTransfer: 65_536 }, BlockOp.Read, 0, 200 * 1024);
  assert.equal(status, BlockStatus.Ok);
  assert.deepEqual(
    cdbs(pair.target).map((cdb) => [Number(cdb.readBigUInt64BE(2)), cdb.readUInt32BE(10)]),
    [
      [0, 128],
      [128, 128],
      [256, 128],
      [384, 16],
    ],
  );
  const real = fakePair({}, QUIET);
  const payload = pattern(200 * 1024);
  const lun = fakeLun(real, { maxTransfer: 65_536 });
  const write = start(lun, BlockOp.Write, 512, payload.length, { payload });
  real.rig.pump();
  const read = start(lun, BlockOp.Read, 512, payload.length);
  real.rig.pump();
  assert.equal(write.status, BlockStatus.Ok);
  assert.ok(read.bytes.equals(payload));
  assert.equal(lun.readBytes, payload.length);
  assert.equal(lun.writtenBytes, payload.length);
});

test('TRIM is UNMAP with a list of one range, cut at the limits of the unit', () => {
  const { pair, status } = run({ thin: { ...THIN, maxUnmapBlocks: 1000 } }, BlockOp.Trim, 512 * 7, 512 * 2500);
  assert.equal(status, BlockStatus.Ok);
  const lists = pair.target
    .all(Opcode.ScsiCommand)
    .map(({ data }) => [data.length, Number(data.readBigUInt64BE(8)), data.readUInt32BE(16)]);
  assert.deepEqual(lists, [
    [24, 7, 1000],
    [24, 1007, 1000],
    [24, 2007, 500],
  ]);
  assert.deepEqual(ops(pair.target), [ScsiOp.Unmap, ScsiOp.Unmap, ScsiOp.Unmap]);
});

test('TRIM in several commands is cut where a granule of the unit ends', () => {
  const granule = { blocks: 8, alignment: 3 };
  const thin = { ...THIN, maxUnmapBlocks: 20, granule };
  const ranges = ({ pair }: { pair: FakePair }) =>
    pair.target.all(Opcode.ScsiCommand).map(({ data }) => [data.readUInt32BE(12), data.readUInt32BE(16)]);
  // Granules begin at 3, 11, 19, 27 …
  assert.deepEqual(ranges(run({ thin }, BlockOp.Trim, 5 * 512, 50 * 512)), [
    [5, 14],
    [19, 16],
    [35, 20],
  ]);
  const small = { ...THIN, maxUnmapBlocks: 4, granule };
  assert.deepEqual(ranges(run({ thin: small }, BlockOp.Trim, 0, 10 * 512)), [
    [0, 3],
    [3, 4],
    [7, 3],
  ]);
  const same = { ...THIN, unmap: false, maxWriteSameBlocks: 20, granule };
  const { pair } = run({ thin: same }, BlockOp.Trim, 5 * 512, 50 * 512);
  assert.deepEqual(
    cdbs(pair.target).map((cdb) => [cdb.readUInt32BE(6), cdb.readUInt32BE(10)]),
    [
      [5, 14],
      [19, 16],
      [35, 20],
    ],
  );
});

test('TRIM by WRITE SAME where that is all the unit has, and ENOTSUP where it has nothing', () => {
  const same = run({ thin: { ...THIN, unmap: false } }, BlockOp.Trim, 0, 4096);
  assert.equal(cdbs(same.pair.target)[0]?.toString('hex'), '93080000000000000000000000080000');
  assert.equal(run({ thin: PLAIN }, BlockOp.Trim, 0, 4096).status, BlockStatus.Enotsup);
});

test('TRIM and WRITE ZEROES with FUA end with SYNCHRONIZE CACHE', () => {
  const flags = BlockFlag.Fua;
  assert.deepEqual(ops(run({ thin: THIN }, BlockOp.Trim, 0, 4096, { flags }).pair.target), [
    ScsiOp.Unmap,
    ScsiOp.SynchronizeCache16,
  ]);
  assert.deepEqual(ops(run({ thin: THIN }, BlockOp.WriteZeroes, 0, 4096, { flags }).pair.target), [
    ScsiOp.WriteSame16,
    ScsiOp.SynchronizeCache16,
  ]);
});

test('WRITE ZEROES unmaps only where unmapped blocks read as zeros and holes are allowed', () => {
  const unmapBit = (thin: DiskInfo['thin'], flags: number): number => {
    const { pair } = run({ thin }, BlockOp.WriteZeroes, 0, 4096, { flags });
    assert.equal(ops(pair.target)[0], ScsiOp.WriteSame16);
    assert.ok(pair.target.all(Opcode.ScsiCommand)[0]?.data.equals(Buffer.alloc(512)), 'one block of zeros');
    return (cdbs(pair.target)[0]?.[1] ?? 0) & 0x08;
  };
  assert.equal(unmapBit(THIN, 0), 0x08);
  assert.equal(unmapBit(THIN, BlockFlag.NoHole), 0);
  assert.equal(unmapBit({ ...THIN, readsZeros: false }, 0), 0);
  assert.equal(unmapBit({ ...PLAIN, maxWriteSameBlocks: 100 }, 0), 0);
});

test('WRITE ZEROES writes zeros where the unit knows no WRITE SAME, unless that is too slow', () => {
  const pair = fakePair({}, QUIET);
  pair.target.disk.fill(0xff);
  const length = 2 ** 20 + 512;
  const zero = start(fakeLun(pair, { thin: PLAIN }), BlockOp.WriteZeroes, 512, length);
  pair.rig.pump();
  assert.equal(zero.status, BlockStatus.Ok);
  assert.deepEqual(ops(pair.target), [ScsiOp.Write16, ScsiOp.Write16]);
  assert.ok(pair.target.disk.subarray(512, 512 + length).equals(Buffer.alloc(length)));
  assert.equal(pair.target.disk[512 + length], 0xff);
  assert.equal(
    run({ thin: PLAIN }, BlockOp.WriteZeroes, 0, 4096, { flags: BlockFlag.FastZero }).status,
    BlockStatus.Enotsup,
  );
});

test('a unit that refuses WRITE SAME gets zeros written, from then on at once', () => {
  const pair = fakePair({ onPdu: trouble(sense(5, 0x20, 0)) }, QUIET);
  pair.target.disk.fill(0xff);
  const lun = fakeLun(pair, { thin: { ...PLAIN, writeSameUnmap: true } });
  for (const offset of [0, 8192]) {
    const zero = start(lun, BlockOp.WriteZeroes, offset, 4096);
    pair.rig.pump();
    assert.equal(zero.status, BlockStatus.Ok);
    assert.ok(pair.target.disk.subarray(offset, offset + 4096).equals(Buffer.alloc(4096)));
  }
  assert.deepEqual(ops(pair.target), [ScsiOp.WriteSame16, ScsiOp.Write16, ScsiOp.Write16]);
});

test('a flush that the unit does not know is granted only without a cache', () => {
  const pair = fakePair({ onPdu: trouble(sense(5, 0x20, 0), sense(5, 0x20, 0)) }, QUIET);
  const through = start(fakeLun(pair, { writeCache: false }), BlockOp.Flush, 0, 0);
  pair.rig.pump();
  assert.equal(through.status, BlockStatus.Ok);
  const cached = start(fakeLun(pair), BlockOp.Flush, 0, 0);
  pair.rig.pump();
  assert.equal(cached.status, BlockStatus.Eio);
});

test('unit attentions are reported and the command sent again', async () => {
  const pair = fakePair({ onPdu: trouble(RESET, sense(6, 0x2a, 0x09), sense(11, 0, 0)) }, QUIET);
  pattern(4096).copy(pair.target.disk);
  const lun = fakeLun(pair);
  const read = start(lun, BlockOp.Read, 0, 4096);
  await pair.rig.settle();
  assert.equal(read.status, BlockStatus.Ok);
  assert.ok(read.bytes.equals(pattern(4096)));
  assert.deepEqual(
    pair.rig.all('unit-attention').map((output) => [output.sense.asc, output.sense.ascq]),
    [
      [0x29, 0],
      [0x2a, 9],
    ],
  );
});

/** As tgt answers a read with a unit attention: with bytes that mean nothing, and then with the status. */
function rubbishFirst(answer: Sense | number): (pdu: SeenPdu, target: FakeTarget) => boolean {
  let times = 2;
  return (pdu, target) => {
    if (pdu.opcode !== Opcode.ScsiCommand || pdu.bhs[32] !== ScsiOp.Read16 || times-- <= 0) return false;
    const itt = tagOf(pdu.bhs);
    for (const at of [0, 8192]) {
      target.dataIn(itt, { flags: 0, dataSn: at / 8192, offset: at, data: Buffer.alloc(8192, 0xee) });
    }
    if (typeof answer === 'number') target.response(itt, answer);
    else target.response(itt, 0x02, { sense: buildFixedSense(answer) });
    return true;
  };
}
for (const [name, answer] of [
  ['a unit attention', RESET],
  ['ABORTED COMMAND', sense(11, 0x47, 0x05)],
  ['BUSY', 0x08],
  ['TASK ABORTED', 0x40],
] as const) {
  test(`bytes that come with ${name} are not data: they are taken back, or the read fails`, async () => {
    for (const forgets of [true, false]) {
      const pair = fakePair({ onPdu: rubbishFirst(answer) }, QUIET);
      pattern(65_536).copy(pair.target.disk);
      const lun = fakeLun(pair, { maxTransfer: 32_768 });
      const read = start(lun, BlockOp.Read, 0, 65_536, { forgets });
      await pair.rig.advance(1000);
      assert.equal(read.status, forgets ? BlockStatus.Ok : BlockStatus.Eio);
      if (forgets) assert.ok(read.bytes.equals(pattern(65_536)));
      assert.equal(pair.rig.session.tasksInUse, 0);
    }
  });
}

const ENDINGS: [string, Sense | number, BlockStatus][] = [
  ['a medium error', sense(3, 0x11, 0), BlockStatus.Eio],
  ['write protection', sense(7, 0x27, 0), BlockStatus.Eperm],
  ['a thin unit without room', sense(7, 0x27, 7), BlockStatus.Enospc],
  ['an unknown WRITE', sense(5, 0x20, 0), BlockStatus.Eio],
  ['a reservation conflict', 0x18, BlockStatus.Eio],
  ['a status that nobody knows', 0x77, BlockStatus.Eio],
];
for (const [name, answer, status] of ENDINGS) {
  test(`a write meets ${name}`, () => {
    const pair = fakePair({ onPdu: trouble(answer) }, QUIET);
    const write = start(fakeLun(pair), BlockOp.Write, 0, 512, { payload: pattern(512) });
    pair.rig.pump();
    assert.equal(write.status, status);
    assert.equal(pair.target.all(Opcode.ScsiCommand).length, 1, 'it is not sent again');
    assert.equal(pair.rig.session.state, 'LOGGED_IN');
  });
}
test('a deferred error fails the next flush: it was about a write that had been acknowledged, and the command is done', () => {
  const lost = { ...sense(3, 0x0c, 0), deferred: true };
  for (const op of [BlockOp.Read, BlockOp.Write, BlockOp.Flush]) {
    const pair = fakePair({ onPdu: trouble(0, lost) }, QUIET);
    const lun = fakeLun(pair);
    const run = (what: BlockOp): BlockStatus | null => {
      const length = what === BlockOp.Flush ? 0 : 512;
      const request = start(lun, what, 0, length, what === BlockOp.Write ? { payload: pattern(512) } : {});
      pair.rig.pump();
      return request.status;
    };
    assert.equal(run(BlockOp.Write), BlockStatus.Ok);
    assert.equal(run(op), op === BlockOp.Flush ? BlockStatus.Eio : BlockStatus.Ok);
    assert.equal(run(BlockOp.Flush), op === BlockOp.Flush ? BlockStatus.Ok : BlockStatus.Eio);
    assert.equal(run(BlockOp.Flush), BlockStatus.Ok);
    assert.equal(lun.writeLosses, 1);
  }
});
test('tells whether acknowledged changes may be in the cache alone', () => {
  const held: number[] = [];
  const pair = fakePair({
    onPdu: (pdu, target) => {
      if (pdu.opcode !== Opcode.ScsiCommand) return false;
      if (pdu.bhs[32] === ScsiOp.SynchronizeCache16) held.push(tagOf(pdu.bhs));
      else target.response(tagOf(pdu.bhs), 0);
      return true;
    },
  });
  const lun = fakeLun(pair);
  const write = (flags = 0) => {
    start(lun, BlockOp.Write, 0, 512, { payload: pattern(512), flags });
    pair.rig.pump();
  };
  const answer = (status: number) => {
    pair.target.response(held.shift() ?? 0, status);
    pair.rig.pump();
  };
  write(BlockFlag.Fua);
  assert.equal(lun.unflushed, false);
  write();
  assert.equal(lun.unflushed, true);
  start(lun, BlockOp.Flush, 0, 0);
  pair.rig.pump();
  write();
  answer(0);
  assert.equal(lun.unflushed, true, 'the second write came after the flush');
  start(lun, BlockOp.Flush, 0, 0);
  pair.rig.pump();
  answer(0);
  assert.equal(lun.unflushed, false);
  const uncached = fakeLun(pair, { writeCache: false });
  start(uncached, BlockOp.Write, 0, 512, { payload: pattern(512) });
  pair.rig.pump();
  assert.equal(uncached.unflushed, false);
});
test('recovered errors are success; CHECK CONDITION without sense is not', () => {
  const recovered = fakePair({ onPdu: trouble(sense(1, 0x17, 0)) }, QUIET);
  const write = start(fakeLun(recovered), BlockOp.Write, 0, 512, { payload: pattern(512) });
  recovered.rig.pump();
  assert.equal(write.status, BlockStatus.Ok);
  const silent = fakePair({ onPdu: trouble(0x02) }, QUIET);
  const failed = start(fakeLun(silent), BlockOp.Write, 0, 512, { payload: pattern(512) });
  silent.rig.pump();
  assert.equal(failed.status, BlockStatus.Eio);
});
test('a target failure is an error whatever status goes with it', () => {
  const pair = fakePair({
    onPdu: (pdu, target) => {
      target.response(tagOf(pdu.bhs), 0, { response: 1 });
      return true;
    },
  });
  const flush = start(fakeLun(pair), BlockOp.Flush, 0, 0);
  pair.rig.pump();
  assert.equal(flush.status, BlockStatus.Eio);
});

test('GOOD for less than was asked for is an error: data, residual, both ways', () => {
  const short = (answer: (itt: number, target: FakeTarget) => void, op: BlockOp): BlockStatus | null => {
    const pair = fakePair({
      onPdu: (pdu, target) => {
        if (pdu.opcode === Opcode.ScsiCommand) answer(tagOf(pdu.bhs), target);
        return true;
      },
    });
    const payload = op === BlockOp.Write ? { payload: pattern(1024) } : {};
    const request = start(fakeLun(pair), op, 0, 1024, payload);
    pair.rig.pump();
    return request.status;
  };
  const end = DataInFlag.Final | DataInFlag.Status;
  const data = Buffer.alloc(512);
  assert.equal(
    short(
      (itt, t) => t.dataIn(itt, { flags: end | DataInFlag.Underflow, dataSn: 0, offset: 0, data, residual: 512 }),
      BlockOp.Read,
    ),
    BlockStatus.Eio,
  );
  assert.equal(
    short((itt, t) => t.dataIn(itt, { flags: end, dataSn: 0, offset: 0, data }), BlockOp.Read),
    BlockStatus.Eio,
  );
  assert.equal(
    short((itt, t) => t.response(itt, 0), BlockOp.Read),
    BlockStatus.Eio,
  );
  const flags = ResidualFlag.Underflow;
  assert.equal(
    short((itt, t) => t.response(itt, 0, { flags, residual: 512 }), BlockOp.Write),
    BlockStatus.Eio,
  );
});

test('GOOD for more than was asked for is an error: the unit has other blocks than it had', () => {
  const answers: Record<'read' | 'write', (itt: number, target: FakeTarget) => void> = {
    read: (itt, t) => {
      const flags = DataInFlag.Final | DataInFlag.Status | DataInFlag.Overflow;
      t.dataIn(itt, { flags, dataSn: 0, offset: 0, data: Buffer.alloc(1024), residual: 7168 });
    },
    write: (itt, t) => t.response(itt, 0, { flags: ResidualFlag.Overflow, residual: 7168 }),
  };
  for (const kind of ['read', 'write'] as const) {
    const pair = fakePair({
      onPdu: (pdu, target) => {
        if (pdu.opcode === Opcode.ScsiCommand) answers[kind](tagOf(pdu.bhs), target);
        return true;
      },
    });
    const op = kind === 'read' ? BlockOp.Read : BlockOp.Write;
    const request = start(fakeLun(pair), op, 0, 1024, kind === 'read' ? {} : { payload: pattern(1024) });
    pair.rig.pump();
    assert.equal(request.status, BlockStatus.Eio, kind);
  }
});

test('GOOD for a write whose bytes the target has not all taken is an error', () => {
  const hasty = (op: BlockOp): BlockStatus | null => {
    const pair = fakePair({ onPdu: yesMan, wishes: { initialR2T: true, immediateData: false } }, QUIET);
    const request = start(fakeLun(pair), op, 0, 8192, op === BlockOp.Write ? { payload: pattern(8192) } : {});
    pair.rig.pump();
    return request.status;
  };
  assert.equal(hasty(BlockOp.Write), BlockStatus.Eio);
  assert.equal(hasty(BlockOp.WriteZeroes), BlockStatus.Eio);
});

test('execute gives status, sense, data and residual as they came', async () => {
  const bytes = Buffer.from('an answer of 22 bytes.');
  const pair = fakePair({
    onPdu: (pdu, target) => {
      const itt = tagOf(pdu.bhs);
      if (pdu.bhs[32] === ScsiOp.Inquiry) {
        const flags = DataInFlag.Final | DataInFlag.Status | DataInFlag.Underflow;
        target.dataIn(itt, { flags, dataSn: 0, offset: 0, data: bytes, residual: 233 });
      } else if (pdu.bhs[32] === ScsiOp.ModeSense6) {
        const flags = DataInFlag.Final | DataInFlag.Status | DataInFlag.Overflow;
        target.dataIn(itt, { flags, dataSn: 0, offset: 0, data: bytes.subarray(0, 4), residual: 20 });
      } else target.response(itt, 0x02, { sense: buildFixedSense(sense(5, 0x20, 0)) });
      return true;
    },
  });
  const lun = Buffer.alloc(8);
  const ask = (op: number, dataInLength: number) =>
    pair.rig.session.execute({ lun, cdb: Buffer.from([op]), dataInLength, timeoutMs: 1000 });
  const inquiry = ask(ScsiOp.Inquiry, 255);
  const mode = ask(ScsiOp.ModeSense6, 4);
  const unknown = ask(0xc0, 0);
  pair.rig.pump();
  assert.deepEqual(await inquiry, { status: 0, sense: null, data: bytes, residual: 233 });
  assert.deepEqual((await mode).residual, -20);
  const refused = await unknown;
  assert.equal(refused.status, 0x02);
  assert.equal(refused.sense?.[12], 0x20);
});

test('execute rejects with the name of the command: rejected by the target, failed, out of time', async () => {
  const lun = Buffer.alloc(8);
  const cdb = Buffer.from([ScsiOp.TestUnitReady]);
  const failing = fakePair({
    onPdu: (pdu, target) => {
      target.response(tagOf(pdu.bhs), 0, { response: 1 });
      return true;
    },
  });
  const failed = failing.rig.session.execute({ lun, cdb, timeoutMs: 1000 });
  failing.rig.pump();
  await assert.rejects(failed, /failed to execute TEST UNIT READY/);
  const rejecting = fakePair({
    onPdu: (pdu, target) => {
      const { expCmdSn, maxCmdSn } = target;
      const reject = { reason: 0x05, statSn: target.takeStatSn(), expCmdSn, maxCmdSn, dataSn: 0 };
      target.writer.send((b, at) => emitReject(reject, b, at), pdu.bhs);
      return true;
    },
  });
  const rejected = rejecting.rig.session.execute({ lun, cdb, timeoutMs: 1000 });
  rejecting.rig.pump();
  await assert.rejects(rejected, /rejected TEST UNIT READY/);
  const closed = fakePair({ window: 0 }, QUIET);
  const late = assert.rejects(closed.rig.session.execute({ lun, cdb, timeoutMs: 1000 }), /TEST UNIT READY within 1 s/);
  await closed.rig.advance(1000);
  await late;
  assert.throws(() => closed.rig.session.execute({ lun, cdb, dataOut: cdb, dataInLength: 1, timeoutMs: 1 }), /one way/);
});

test('the driver is told when a command brings the deadline nearer', () => {
  const pair = fakePair({ window: 0 }, QUIET);
  assert.equal(pair.rig.session.deadline, undefined);
  const before = pair.rig.wakes;
  start(fakeLun(pair), BlockOp.Read, 0, 512);
  assert.equal(pair.rig.wakes, before + 1);
  assert.equal(pair.rig.session.deadline, pair.rig.clock.ms + 30_000);
  start(fakeLun(pair), BlockOp.Read, 0, 512);
  assert.equal(pair.rig.wakes, before + 1, 'a later deadline is no news');
});

test('what a read-only LUN, a bad range and a full table are told', () => {
  const pair = fakePair({ window: 0 }, QUIET);
  const lun = fakeLun(pair, { readOnly: true });
  for (const op of [BlockOp.Write, BlockOp.Trim, BlockOp.WriteZeroes]) {
    assert.equal(start(lun, op, 0, 512, { payload: pattern(512) }).status, BlockStatus.Eperm);
  }
  assert.equal(start(lun, BlockOp.Read, 2 ** 24, 512).status, BlockStatus.Einval);
  assert.equal(start(lun, BlockOp.Read, 1, 512).status, BlockStatus.Einval);
  const waiting = Array.from({ length: 16_384 }, () => start(lun, BlockOp.Read, 0, 512));
  assert.equal(start(lun, BlockOp.Read, 0, 512).status, BlockStatus.Enomem);
  pair.rig.link.close('over');
  assert.ok(waiting.every(({ status }) => status === BlockStatus.Eio));
  assert.equal(pair.rig.session.tasksInUse, 0);
});

test('a cache that cannot be emptied: the flush fails, and others who have written hear of it too', () => {
  for (const [op, flags, disk] of [
    [BlockOp.Flush, 0, {}],
    [BlockOp.Write, BlockFlag.Fua, { dpofua: false }],
  ] as const) {
    const failing = op === BlockOp.Flush ? [0, sense(3, 0x0c, 0)] : [0, 0, sense(4, 0x44, 0)];
    const pair = fakePair({ onPdu: trouble(...failing) }, QUIET);
    const lun = fakeLun(pair, disk);
    const run = (what: BlockOp, more = 0): BlockStatus | null => {
      const isWrite = what === BlockOp.Write;
      const payload = isWrite ? { payload: pattern(512), flags: more } : {};
      const request = start(lun, what, 0, isWrite ? 512 : 0, payload);
      pair.rig.pump();
      return request.status;
    };
    assert.equal(run(BlockOp.Write), BlockStatus.Ok);
    assert.equal(run(op, flags), BlockStatus.Eio);
    assert.equal(lun.writeLosses, 1);
    assert.equal(lun.unflushed, true, 'nobody knows what has become of it');
    assert.equal(run(BlockOp.Flush), BlockStatus.Ok, 'who asked has been told');
    assert.equal(lun.writeLosses, 1);
  }
});

test('a flush that is lost says nothing about the cache', () => {
  const pair = fakePair({ onPdu: (pdu) => pdu.opcode === Opcode.ScsiCommand }, QUIET);
  const lun = fakeLun(pair);
  const flush = start(lun, BlockOp.Flush, 0, 0);
  pair.rig.pump();
  pair.rig.link.close('cut');
  assert.equal(flush.status, BlockStatus.Eio);
  assert.equal(lun.writeLosses, 0);
});

test('execute does not keep bytes that came with BUSY', async () => {
  let busy = true;
  const pair = fakePair(
    {
      onPdu: (pdu, target) => {
        if (pdu.opcode !== Opcode.ScsiCommand) return false;
        const itt = tagOf(pdu.bhs);
        const flags = busy ? 0 : DataInFlag.Final | DataInFlag.Status;
        target.dataIn(itt, { flags, dataSn: 0, offset: 0, data: Buffer.alloc(96, busy ? 0xee : 0x11) });
        if (busy) target.response(itt, 0x08);
        busy = false;
        return true;
      },
    },
    QUIET,
  );
  const asked = pair.rig.session.execute({
    lun: Buffer.alloc(8),
    cdb: Buffer.from([ScsiOp.Inquiry]),
    dataInLength: 96,
    timeoutMs: 1000,
  });
  await pair.rig.advance(100);
  assert.deepEqual((await asked).data, Buffer.alloc(96, 0x11));
});
