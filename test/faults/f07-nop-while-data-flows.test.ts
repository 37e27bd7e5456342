// F07: a ping without an answer means nothing while data flows (every received PDU is life), and an event loop that stood still
// has not heard what waits in its socket. Neither may cost the connection.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../helpers/stream-core.js';
import { count, figure, Rig, tgtMissing } from './rig.js';

const ROUNDS = count('F07_ROUNDS', 1);
const DELAYED_MS = count('F07_DELAYED_MS', 3000);
const STALL_MS = 3000;
const Opcode = { NopOut: 0x00, NopIn: 0x20 } as const;

// Side by side: they mostly wait.
describe('F07: no false alarm', { concurrency: true, skip: tgtMissing() }, () => {
  it('pings that are lost, or answered late, while data flows', async () => {
    const rig = await Rig.start({ timers: { noopIntervalMs: 400, noopTimeoutMs: 400 } });
    try {
      const disk = await rig.stamped();
      await disk.write(0);
      const { toTarget, toInitiator } = rig.proxy.live;
      let lost = 0;
      // A NOP-Out is immediate and carries no CmdSN of its own: without it the numbers still follow each other.
      toTarget.rule = ({ opcode }) => {
        if (opcode !== Opcode.NopOut) return undefined;
        lost++;
        return 'drop';
      };
      for (let i = 0; i < ROUNDS; i++) {
        await until(() => lost > i, 'a ping is sent and lost');
        const end = new AbortController();
        const load = disk.run({ signal: end.signal, depth: 4 });
        await sleep(1200);
        end.abort();
        await load;
      }
      toTarget.rule = null;
      toInitiator.rule = ({ opcode }) => (opcode === Opcode.NopIn ? DELAYED_MS * 2 : undefined);
      const end = new AbortController();
      const load = disk.run({ signal: end.signal, depth: 4 });
      await sleep(DELAYED_MS);
      end.abort();
      await load;
      assert.equal(rig.proxy.links.length, 1, 'no reconnect');
      assert.deepEqual([disk.problems, disk.failures], [[], []]);
      figure('F07', `${lost} pings lost while data flowed, 0 reconnects`);
    } finally {
      await rig.stop();
    }
  });

  for (const load of [true, false]) {
    it(`a worker that stands still for ${STALL_MS / 1000} s ${load ? 'under load' : 'while idle'}`, async () => {
      const rig = await Rig.start({ timers: { noopIntervalMs: 1000, noopTimeoutMs: 1000 } });
      const end = new AbortController();
      try {
        const disk = await rig.stamped();
        await disk.write(0);
        const running = load ? disk.run({ signal: end.signal }) : Promise.resolve();
        for (let i = 0; i < ROUNDS; i++) {
          await sleep(load ? 300 : 900);
          process.kill(rig.session.pid, 'SIGSTOP');
          try {
            await sleep(STALL_MS);
          } finally {
            process.kill(rig.session.pid, 'SIGCONT');
          }
        }
        await sleep(1500);
        end.abort();
        await running;
        assert.equal(rig.proxy.links.length, 1, 'no reconnect');
        assert.deepEqual([disk.problems, disk.failures], [[], []]);
        figure(
          'F07',
          `${ROUNDS} stalls of ${STALL_MS / 1000} s ${load ? 'under load' : 'idle'}, NOP 1 + 1 s: 0 reconnects`,
        );
      } finally {
        end.abort();
        await rig.stop();
      }
    });
  }
});

describe('F07: no false alarm in the same process', { skip: tgtMissing() }, () => {
  it(`an event loop that is busy for ${STALL_MS / 1000} s`, async () => {
    // The proxy would stand still with us: straight to tgt, which gives each session a TSIH of its own.
    const rig = await Rig.start({
      worker: 'inside',
      proxy: false,
      timers: { noopIntervalMs: 1000, noopTimeoutMs: 1000 },
    });
    const end = new AbortController();
    try {
      const disk = await rig.stamped();
      const running = disk.run({ signal: end.signal });
      const { tsih } = await rig.info();
      for (let i = 0; i < ROUNDS; i++) {
        await sleep(300);
        const until = performance.now() + STALL_MS;
        while (performance.now() < until);
      }
      await sleep(1500);
      end.abort();
      await running;
      assert.equal((await rig.info()).tsih, tsih, 'no reconnect');
      assert.deepEqual([disk.problems, disk.failures], [[], []]);
      figure('F07', `${ROUNDS} busy loops of ${STALL_MS / 1000} s in the session's own process: 0 reconnects`);
    } finally {
      end.abort();
      await rig.stop();
    }
  });
});
