// One SCSI command by itself, as `session.execute` sends it: what came of it, as it came.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Opcode, itt as tagOf } from '../../src/iscsi/wire/bhs.js';
import { DataInFlag } from '../../src/iscsi/wire/data-in.js';
import { emitReject } from '../../src/iscsi/wire/reject.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { buildFixedSense } from '../../src/scsi/sense.js';
import { fakePair, QUIET } from '../helpers/fake-pair.js';
import { sense } from './answers.js';

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
