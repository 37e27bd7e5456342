// F02: connections that end with RST. No wait for a ping, no error, no lost byte.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { count, figure, fioMissing, fioRounds, Rig, spread, tgtMissing, within } from './rig.js';

const RESETS = count('F02_RESETS', 8);
const EVERY_MS = count('F02_EVERY_MS', 400);
const HALF = 4 * 2 ** 20;

/** RST by the kernel to both ends of our connections to `port`; false where the kernel cannot. */
function ssKill(port: number): boolean {
  const out = execFileSync('ss', ['-H', '-K', '-t', 'dst', '127.0.0.1', 'dport', '=', String(port)], {
    encoding: 'utf8',
  });
  return out.trim() !== '';
}

// Side by side: each has a target of its own.
describe('F02: RST under fio --verify and stamped blocks', {
  concurrency: true,
  skip: tgtMissing() || fioMissing(),
}, () => {
  for (const how of ['the proxy', 'ss -K'] as const) {
    it(`by ${how}`, async (t) => {
      const rig = await Rig.start({ proxy: how === 'the proxy', sizeBytes: 2 * HALF });
      const end = new AbortController();
      try {
        if (how === 'ss -K' && !ssKill(rig.tgt.port)) {
          t.skip('this kernel cannot destroy sockets (CONFIG_INET_DIAG_DESTROY)');
          return;
        }
        const disk = await rig.stamped(HALF / 4096);
        const load = disk.run({ signal: end.signal, pauseMs: 2 });
        const checked = fioRounds(rig.uri, { offset: HALF, size: HALF / 4, signal: end.signal });
        const resumed: number[] = [];
        for (let i = 0; i < RESETS; i++) {
          await sleep(EVERY_MS);
          const began = performance.now();
          if (how === 'the proxy') rig.proxy.live.reset();
          else assert.ok(ssKill(rig.tgt.port), 'a connection was there to be reset');
          resumed.push((await within(30_000, 'I/O resumes', disk.nextDone())) - began);
        }
        end.abort();
        await within(60_000, 'the last requests', load);
        const { rounds, failed } = await within(60_000, 'the last round of fio', checked);
        await disk.checkAll();
        assert.deepEqual([disk.problems, disk.failures, failed], [[], [], []]);
        figure(
          'F02',
          `${RESETS} RST by ${how}: 0 errors in ${disk.completed} requests and ${rounds} rounds of fio, resumed ${spread(resumed)}`,
        );
      } finally {
        end.abort();
        await rig.stop();
      }
    });
  }
});
