// F29: a LUN that is resized while it is in use: grown, it has more blocks; shrunk, nothing is read or written beyond its
// end, and that is said loudly.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { BlockStatus } from '../../src/block/block-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { pattern, until } from '../helpers/stream-core.js';
import { FakeServer } from './fake-server.js';
import { connect, type Initiator } from './initiator.js';

const BLOCK = 4096;
const SIZE = 2 ** 22;

describe('F29 a LUN is resized', () => {
  let server: FakeServer;
  let initiator: Initiator;
  before(async () => {
    server = await new FakeServer().start();
    initiator = await connect(server.port);
  });
  after(async () => {
    await initiator.close();
    await server.stop();
    assert.deepEqual(server.faults, []);
  });
  /** As a target does it: the unit changes, and the next command is told so. */
  const resize = (sizeBytes: number) => {
    server.disk().resize(sizeBytes);
    let told = false;
    server.script.onCommand = ({ op }) => {
      if (told || (op !== ScsiOp.Read16 && op !== ScsiOp.Write16)) return 'serve';
      told = true;
      return { sense: Senses.CapacityChanged };
    };
  };
  /** Writes and reads back without a pause until `stop()`. */
  const load = () => {
    let stopped = false;
    let rounds = 0;
    const work = (async () => {
      for (; !stopped; rounds++) {
        const bytes = pattern(BLOCK, rounds);
        const offset = (rounds % 64) * BLOCK;
        await writeBytes(initiator.lun, offset, bytes);
        assert.deepEqual(await readBytes(initiator.lun, offset, BLOCK), bytes);
      }
    })();
    return {
      rounds: () => rounds,
      stop: () => {
        stopped = true;
        return work;
      },
    };
  };

  it('grown under load: the device has the new size, and its end can be used', async () => {
    const { rounds, stop } = load();
    await until(() => rounds() > 10, 'there is a load');
    resize(2 * SIZE);
    await until(() => initiator.lun.sizeBytes === 2 * SIZE, 'the new size is known');
    await stop();
    const last = pattern(BLOCK, 77);
    await writeBytes(initiator.lun, 2 * SIZE - BLOCK, last);
    assert.deepEqual(server.disk().bytes.subarray(-BLOCK), last);
    assert.ok(
      initiator.lines.some((line) => /LUN 0 has grown/.test(line)),
      initiator.lines.join('\n'),
    );
  });

  it('shrunk under load: what lies beyond the end is EIO, the rest goes on, and the log warns', async () => {
    const { rounds, stop } = load();
    const before = rounds();
    resize(SIZE / 2);
    await until(() => rounds() > before + 20, 'the load goes on');
    await stop();
    await assert.rejects(readBytes(initiator.lun, SIZE / 2, BLOCK), { status: BlockStatus.Eio });
    await assert.rejects(writeBytes(initiator.lun, SIZE / 2, pattern(BLOCK)), { status: BlockStatus.Eio });
    await assert.rejects(readBytes(initiator.lun, SIZE / 2 - BLOCK, 2 * BLOCK), { status: BlockStatus.Eio });
    assert.equal((await readBytes(initiator.lun, SIZE / 2 - BLOCK, BLOCK)).length, BLOCK);
    assert.ok(
      initiator.lines.some((line) => /^warn: LUN 0 has shrunk/.test(line)),
      initiator.lines.join('\n'),
    );
    assert.equal(server.accepted, 1);
  });

  it('grown again while the target was away: seen at the login, before a command is sent again', async () => {
    delete server.script.onCommand;
    server.disk().resize(3 * SIZE);
    server.session.reset();
    await readBytes(initiator.lun, 0, BLOCK);
    assert.equal(initiator.lun.sizeBytes, 3 * SIZE);
  });
});
