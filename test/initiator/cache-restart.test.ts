// A target that is restarted between the commands of one request: what its volatile cache held of that request is gone,
// although nobody has been told of it yet. Whatever is acknowledged afterwards has been sent to the new one as a whole.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockFlag, BlockOp, BlockStatus } from '../../src/block/block-device.js';
import type { DiskInfo } from '../../src/initiator/probe.js';
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { CDB_AT } from '../../src/iscsi/wire/scsi-command.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense, SenseKey } from '../../src/scsi/sense.js';
import { fakeLun, fakePair, type Probe, reopen, start } from '../helpers/fake-pair.js';
import type { FakeTarget, FakeTargetOptions, SeenPdu } from '../helpers/fake-target.js';
import { pattern } from '../helpers/stream-core.js';

const WAITS = { timers: { replacementTimeoutMs: 30_000, noopIntervalMs: 0 } } as const;

const opOf = ({ opcode, bhs }: SeenPdu) => (opcode === Opcode.ScsiCommand ? (bhs[CDB_AT] as number) : -1);
/** Takes the `at`th command (from 0) of that operation, and perhaps answers it. */
function intercept(op: number, at: number, act: (pdu: SeenPdu, target: FakeTarget) => void): FakeTargetOptions {
  let count = 0;
  return {
    onPdu: (pdu, target) => {
      if (opOf(pdu) !== op || count++ !== at) return false;
      act(pdu, target);
      return true;
    },
  };
}
/** Starts a request, cuts the connection at an unanswered command, and logs in to a target whose disk is blank again. */
async function restarted(
  disk: Partial<DiskInfo>,
  unanswered: FakeTargetOptions,
  begin: (lun: ReturnType<typeof fakeLun>) => Probe,
  evidence = true,
) {
  const pair = fakePair(unanswered, WAITS);
  const lun = fakeLun(pair, disk);
  const request = begin(lun);
  await pair.rig.settle();
  assert.equal(request.status, null);
  pair.rig.link.close('cut');
  if (evidence) pair.rig.session.noteRefused();
  const target = reopen(pair.rig, {});
  await pair.rig.settle();
  return { rig: pair.rig, lun, request, target };
}
const writes = (target: FakeTarget) => target.seen.filter((pdu) => opOf(pdu) === ScsiOp.Write16).length;

test('a write of several commands is sent again as a whole when the cache that had its first ones is lost', async () => {
  const bytes = pattern(16_384);
  const { request, target } = await restarted(
    { maxTransfer: 4096 },
    intercept(ScsiOp.Write16, 2, ({ bhs }, at) => at.abandon(tagOf(bhs))),
    (lun) => start(lun, BlockOp.Write, 0, bytes.length, { payload: bytes }),
  );
  assert.equal(request.status, BlockStatus.Ok);
  assert.ok(target.disk.subarray(0, bytes.length).equals(bytes), 'every acknowledged byte is there');
});

test('a write with FUA to a unit without that bit is written again when the cache is lost before it was emptied', async () => {
  const bytes = pattern(4096);
  const { request, target } = await restarted(
    { dpofua: false },
    intercept(ScsiOp.SynchronizeCache16, 0, () => {}),
    (lun) => start(lun, BlockOp.Write, 0, bytes.length, { payload: bytes, flags: BlockFlag.Fua }),
  );
  assert.equal(request.status, BlockStatus.Ok);
  assert.ok(target.disk.subarray(0, bytes.length).equals(bytes), 'what is stable is there');
  assert.equal(opOf(target.seen.at(-1) as SeenPdu), ScsiOp.SynchronizeCache16);
});

for (const [name, disk, evidence] of [
  ['without a cache', { writeCache: false }, true],
  ['with a cache that keeps its contents', { nonVolatileCache: true }, true],
  ['without evidence of a restart', {}, false],
] as const) {
  test(`${name} only the rest of a write is sent`, async () => {
    const bytes = pattern(16_384);
    const { request, target } = await restarted(
      { maxTransfer: 4096, ...disk },
      intercept(ScsiOp.Write16, 2, ({ bhs }, at) => at.abandon(tagOf(bhs))),
      (lun) => start(lun, BlockOp.Write, 0, bytes.length, { payload: bytes }),
      evidence,
    );
    assert.equal(request.status, BlockStatus.Ok);
    assert.equal(writes(target), 2);
  });
}

test('a FLUSH that fails for somebody else between a write and its own SYNCHRONIZE CACHE', async () => {
  const medium = buildFixedSense({ ...Senses.PowerOn, key: SenseKey.MediumError, asc: 0x0c, ascq: 0 });
  const held: number[] = [];
  let syncs = 0;
  const pair = fakePair(
    {
      onPdu: (pdu, target) => {
        if (opOf(pdu) !== ScsiOp.SynchronizeCache16 || ++syncs > 2) return false;
        // The FLUSH ends with an error while the write's own one is under way; that one is told nothing of it.
        if (syncs === 1) held.push(tagOf(pdu.bhs));
        else {
          target.response(tagOf(pdu.bhs), 0x02, { sense: medium });
          for (const itt of held) target.response(itt, 0);
        }
        return true;
      },
    },
    WAITS,
  );
  const lun = fakeLun(pair, { dpofua: false });
  const write = start(lun, BlockOp.Write, 0, 4096, { payload: pattern(4096), flags: BlockFlag.Fua });
  await pair.rig.settle();
  const flush = start(lun, BlockOp.Flush, 0, 0);
  await pair.rig.settle();
  assert.equal(flush.status, BlockStatus.Eio);
  assert.equal(write.status, BlockStatus.Ok);
  assert.equal(writes(pair.target), 2, 'written again');
});

test('a unit whose cache is lost again and again does not keep a request for ever', async () => {
  let target = 0;
  const pair = fakePair(
    {
      onPdu: (pdu, at) => {
        if (opOf(pdu) !== ScsiOp.Write16 || target++ % 3 !== 1) return false;
        at.abandon(tagOf(pdu.bhs));
        at.response(tagOf(pdu.bhs), 0x02, { sense: buildFixedSense(Senses.PowerOn) });
        return true;
      },
    },
    WAITS,
  );
  const write = start(fakeLun(pair, { maxTransfer: 4096 }), BlockOp.Write, 0, 8192, { payload: pattern(8192) });
  await pair.rig.advance(20_000);
  assert.equal(write.status, BlockStatus.Eio);
  assert.ok(writes(pair.target) < 100);
});
