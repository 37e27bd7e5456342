// F11: a unit that has no time: BUSY is waited for, TASK SET FULL also makes us ask for less at once, and a reservation of
// somebody else's is an error at once.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { BlockStatus } from '../../src/block/block-device.js';
import { readBytes, writeBytes } from '../../src/block/promise.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { ScsiStatus } from '../../src/scsi/status.js';
import { DEFAULT_TIMERS } from '../../src/services/session/info.js';
import { lateness } from '../helpers/lateness.js';
import { pattern } from '../helpers/stream-core.js';
import { FakeServer } from './fake-server.js';
import { connect, type Initiator } from './initiator.js';

const BLOCK = 4096;
/** In place of two minutes; less than five seconds is taken for five. */
const PATIENCE_MS = 6000;
const timers = { ...DEFAULT_TIMERS, replacementTimeoutMs: PATIENCE_MS };

describe('F11 a busy unit', { concurrency: true }, () => {
  const busyFor = async (ms: number, status: number, login = {}) => {
    const server = await new FakeServer().start();
    const initiator = await connect(server.port, login);
    const until = performance.now() + ms;
    let commands = 0;
    server.script.onCommand = ({ op }) => {
      if (op !== ScsiOp.Write16) return 'serve';
      commands++;
      return performance.now() < until ? { status } : 'serve';
    };
    const stop = lateness();
    const began = performance.now();
    const outcome = await writeBytes(initiator.lun, 0, pattern(BLOCK)).then(
      () => BlockStatus.Ok,
      (error: { status: number }) => error.status,
    );
    const took = performance.now() - began;
    const late = stop();
    await initiator.close();
    await server.stop();
    assert.deepEqual(server.faults, []);
    assert.equal(server.accepted, 1);
    return { outcome, took, late, commands };
  };

  for (const [name, status] of [
    ['BUSY', ScsiStatus.Busy],
    ['TASK SET FULL', ScsiStatus.TaskSetFull],
  ] as const) {
    it(`${name} for 5 s, then GOOD: the write succeeds, without a storm of tries`, async () => {
      const { outcome, took, late, commands } = await busyFor(5000, status);
      assert.equal(outcome, BlockStatus.Ok);
      assert.ok(took >= 4900 && took < 7500 + late, `${took} ms, ${late} ms late`);
      assert.ok(commands >= 4 && commands < 60, `${commands} commands`);
    });
    it(`${name} for ever: EIO when the replacement timeout is over`, async () => {
      const { outcome, took, late } = await busyFor(60_000, status, { timers });
      assert.equal(outcome, BlockStatus.Eio);
      assert.ok(Math.abs(took - PATIENCE_MS) < 1000 + late, `${took} ms, ${late} ms late`);
    });
  }
});

describe('F11 the queue', () => {
  let server: FakeServer;
  let initiator: Initiator;
  beforeEach(async () => {
    server = await new FakeServer().start();
    initiator = await connect(server.port);
  });
  afterEach(async () => {
    await initiator.close();
    await server.stop();
    assert.deepEqual(server.faults, []);
  });

  it('RESERVATION CONFLICT is EIO within 100 ms, after one try', async () => {
    let commands = 0;
    server.script.onCommand = ({ op }) => {
      if (op !== ScsiOp.Write16 && op !== ScsiOp.Read16) return 'serve';
      commands++;
      return { status: ScsiStatus.ReservationConflict };
    };
    for (const work of [() => readBytes(initiator.lun, 0, BLOCK), () => writeBytes(initiator.lun, 0, pattern(BLOCK))]) {
      const times: number[] = [];
      for (let i = 0; i < 5; i++) {
        const began = performance.now();
        await assert.rejects(work(), { status: BlockStatus.Eio });
        times.push(performance.now() - began);
      }
      // The quickest: what else the machine has to do is not ours.
      assert.ok(Math.min(...times) < 100, `${times.join(', ')} ms`);
    }
    assert.equal(commands, 10);
  });

  it('of a unit with room for four commands is not filled again and again, and grows when there is room', async () => {
    let room = 4;
    let inside = 0;
    let most = 0;
    let refused = 0;
    server.script.onCommand = (command) => {
      if (command.op !== ScsiOp.Write16) return 'serve';
      if (inside >= room) {
        refused++;
        return { status: ScsiStatus.TaskSetFull };
      }
      most = Math.max(most, ++inside);
      setTimeout(() => {
        inside--;
        command.connection.serve(command);
      }, 2);
      return 'keep';
    };
    /** `width` writers, `each` writes of each. */
    const write = (width: number, each: number) =>
      Promise.all(
        Array.from({ length: width }, async (_, writer) => {
          for (let i = 0; i < each; i++) {
            const offset = ((writer * each + i) % 1024) * BLOCK;
            await writeBytes(initiator.lun, offset, pattern(BLOCK, offset));
          }
        }),
      );
    await write(32, 30);
    assert.equal(most, 4);
    assert.ok(refused > 0);
    const first = refused;
    await write(32, 30);
    // A queue that did not adapt would be refused 28 of 32 times and more.
    assert.ok(refused - first < 32 * 30, `${refused - first} of ${32 * 30} writes were refused`);
    room = 64;
    most = 0;
    await write(32, 60);
    assert.ok(most >= 16, `${most} commands at once once there is room`);
  });
});
