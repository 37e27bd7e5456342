// F10: unit attentions on k of n commands: each is answered by trying again, up to a hundred in a row; those that put the
// unit's identity in doubt are looked into before anything is sent again.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { BlockStatus } from '../../src/block/block-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { type Sense, SenseKey } from '../../src/scsi/sense.js';
import { pattern } from '../helpers/stream-core.js';
import { type FakeCommand, FakeServer } from './fake-server.js';
import { connect, type Initiator } from './initiator.js';

const BLOCK = 4096;
/** Unit attentions in a row for one command. */
const IN_A_ROW = Array.from({ length: 100 }, (_, i) => i + 1);
const unitAttention = (asc: number, ascq: number): Sense => ({ key: SenseKey.UnitAttention, asc, ascq });

describe('F10 unit attentions', () => {
  let server: FakeServer;
  let initiator: Initiator;
  const content = pattern(2 ** 20, 3);
  before(async () => {
    server = await new FakeServer().start();
    content.copy(server.disk().bytes);
    initiator = await connect(server.port);
  });
  after(async () => {
    await initiator.close();
    await server.stop();
    assert.deepEqual(server.faults, []);
    assert.equal(server.accepted, 1, 'none of it is worth a connection');
  });
  const lbaOf = ({ cdb }: FakeCommand) => Number(cdb.readBigUInt64BE(2)) / (BLOCK / 512);

  it('k in a row before a read, for every k from 1 to 100: it succeeds up to 99, and a hundred end in EIO', async () => {
    const left = new Map(IN_A_ROW.map((k) => [k, k]));
    server.script.onCommand = (command) => {
      const more = command.op === ScsiOp.Read16 ? (left.get(lbaOf(command)) ?? 0) : 0;
      if (more === 0) return 'serve';
      left.set(lbaOf(command), more - 1);
      return { sense: Senses.ModeParametersChanged };
    };
    const results = await Promise.all(
      IN_A_ROW.map((k) =>
        readBytes(initiator.lun, k * BLOCK, BLOCK).then(
          (bytes) => bytes.equals(content.subarray(k * BLOCK, (k + 1) * BLOCK)),
          (error: { status: number }) => error.status,
        ),
      ),
    );
    assert.deepEqual(
      results,
      IN_A_ROW.map((k) => (k < 100 ? true : BlockStatus.Eio)),
    );
  });

  it('on every third of 300 commands: no request notices', async () => {
    let seen = 0;
    server.script.onCommand = () => (++seen % 3 === 0 ? { sense: Senses.ReservationsReleased } : 'serve');
    for (let i = 0; i < 150; i++) {
      const bytes = pattern(BLOCK, i);
      await writeBytes(initiator.lun, i * BLOCK, bytes);
      bytes.copy(content, i * BLOCK);
      assert.deepEqual(await readBytes(initiator.lun, i * BLOCK, BLOCK), bytes);
    }
    assert.deepEqual(server.disk().bytes.subarray(0, content.length), content);
    assert.ok(seen >= 450);
  });

  for (const [asc, ascq] of [
    [0x29, 0x00],
    [0x29, 0x01],
    [0x29, 0x03],
    [0x2a, 0x09],
    [0x3f, 0x03],
    [0x3f, 0x0e],
    [0x28, 0x00],
  ] as const) {
    const name = `${asc.toString(16)}h/${ascq.toString(16).padStart(2, '0')}h`;
    it(`${name} in answer to a write: the unit is asked who it is before the write is sent again`, async () => {
      const ops: string[] = [];
      let told = false;
      server.script.onCommand = ({ op, cdb }) => {
        if (told) ops.push(op === ScsiOp.Inquiry && cdb[1] === 1 ? `vpd ${cdb[2]?.toString(16)}` : op.toString(16));
        if (told || op !== ScsiOp.Write16) return 'serve';
        told = true;
        return { sense: unitAttention(asc, ascq) };
      };
      await writeBytes(initiator.lun, 0, pattern(BLOCK, asc * 256 + ascq));
      const write = ops.indexOf(ScsiOp.Write16.toString(16));
      const before = ops.slice(0, write);
      for (const question of ['vpd 83', 'vpd 80', ScsiOp.ServiceActionIn16.toString(16)]) {
        assert.ok(write >= 0 && before.includes(question), `${question} before the write: ${ops.join(', ')}`);
      }
    });
  }
});
