// F03: the network swallows everything and tells nobody. The initiator finds out within the NOP interval and timeout (10 s by
// default), comes back as soon as it can, and nothing is lost.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { count, figure, Rig, tgtMissing, within } from './rig.js';

/** NOP interval and timeout; the defaults, 5000 both, in the long form. */
const NOP_MS = count('F03_NOP_MS', 600);
const DOWN_MS = count('F03_DOWN_MS', 2500);
const timers = { noopIntervalMs: NOP_MS, noopTimeoutMs: NOP_MS };
/** At the default times the bound of interval + timeout is exact; at short ones a loaded machine is late by more than they spare. */
const SLACK_MS = NOP_MS >= 5000 ? 0 : 4000;

describe('F03: black holes', { skip: tgtMissing() }, () => {
  for (const load of [true, false]) {
    it(`a connection that is swallowed ${load ? 'under load' : 'while idle'}`, async () => {
      const rig = await Rig.start({ timers });
      const end = new AbortController();
      try {
        const disk = await rig.stamped();
        await disk.write(0);
        const running = load ? disk.run({ signal: end.signal }) : Promise.resolve();
        await sleep(300);
        const began = performance.now();
        const [known, { initiator }] = [rig.proxy.logins.length, rig.proxy.live];
        const givenUp = new Promise((resolve) => initiator.once('end', resolve).once('error', resolve));
        rig.proxy.live.blackHole();
        await within(30_000, 'the connection is given up', givenUp);
        const detected = performance.now() - began;
        const back = async () => {
          while (rig.proxy.logins.length === known) await sleep(5);
        };
        await within(10_000, 'a new login', back());
        if (load) await within(10_000, 'I/O resumes', disk.nextDone());
        end.abort();
        await within(20_000, 'the last requests', running);
        await disk.checkAll();
        assert.deepEqual([disk.problems, disk.failures], [[], []]);
        figure(
          'F03',
          `${load ? 'under load' : 'idle'}, NOP ${NOP_MS / 1000} + ${NOP_MS / 1000} s: detected after ${(detected / 1000).toFixed(2)} s`,
        );
        assert.ok(detected <= 2 * NOP_MS + SLACK_MS, `${detected} ms`);
      } finally {
        end.abort();
        await rig.stop();
      }
    });
  }

  it('a link that goes down and comes up again', { skip: netnsMissing() }, async () => {
    const net = new Namespace();
    try {
      const rig = await Rig.start({ timers, proxy: false, tgt: { host: net.far, netns: net.name } });
      const end = new AbortController();
      try {
        const disk = await rig.stamped();
        const running = disk.run({ signal: end.signal });
        await sleep(300);
        net.link('down');
        const began = performance.now();
        await within(2 * NOP_MS + 5000, 'the session is lost', lost(rig));
        const detected = performance.now() - began;
        await sleep(Math.max(0, DOWN_MS - detected));
        net.link('up');
        const up = performance.now();
        const resumed = (await within(30_000, 'I/O resumes', disk.nextDone())) - up;
        end.abort();
        await within(20_000, 'the last requests', running);
        await disk.checkAll();
        assert.deepEqual([disk.problems, disk.failures], [[], []]);
        figure(
          'F03',
          `link down for ${DOWN_MS / 1000} s: detected after ${(detected / 1000).toFixed(2)} s, resumed ${(resumed / 1000).toFixed(2)} s after it was up`,
        );
        assert.ok(detected <= 2 * NOP_MS + SLACK_MS, `${detected} ms`);
      } finally {
        end.abort();
        net.link('up');
        await rig.stop();
      }
    } finally {
      net.remove();
    }
  });
});

async function lost(rig: Rig): Promise<void> {
  while ((await rig.info()).state !== 'FAILED') await sleep(20);
}

/** A network namespace, joined to ours by two virtual interfaces. */
class Namespace {
  readonly name = `lunctl-f03-${process.pid}`;
  readonly #ours = `lf3a${process.pid}`.slice(0, 15);
  readonly #theirs = `lf3b${process.pid}`.slice(0, 15);
  readonly far: string;

  constructor() {
    const net = `10.213.${process.pid % 250}`;
    this.far = `${net}.2`;
    ip('netns', 'add', this.name);
    ip('link', 'add', this.#ours, 'type', 'veth', 'peer', 'name', this.#theirs, 'netns', this.name);
    ip('addr', 'add', `${net}.1/24`, 'dev', this.#ours);
    ip('link', 'set', this.#ours, 'up');
    ip('-n', this.name, 'addr', 'add', `${this.far}/24`, 'dev', this.#theirs);
    ip('-n', this.name, 'link', 'set', this.#theirs, 'up');
  }
  link(state: 'up' | 'down'): void {
    ip('-n', this.name, 'link', 'set', this.#theirs, state);
  }
  remove(): void {
    ip('netns', 'del', this.name);
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' });
}

function netnsMissing(): string | false {
  const name = `lunctl-probe-${process.pid}`;
  try {
    ip('netns', 'add', name);
    ip('netns', 'del', name);
    return false;
  } catch {
    return 'network namespaces need root, and ip: apt-get install iproute2';
  }
}
