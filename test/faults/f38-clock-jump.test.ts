// F38: the clock of day jumps by an hour, both ways, under load, while idle and while the target is away. No timer may notice:
// no reconnect, no request that fails before its time, no recovery that waits for an hour.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { figure, tgtMissing } from './rig.js';

const LIBRARY = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`)
  .find((path) => existsSync(path));

interface Outcome {
  readonly jumps: number[];
  readonly reconnects: number;
  readonly premature: number;
  readonly resumedMs: number;
  readonly problems: unknown[];
  readonly failures: { what: string }[];
}

describe('F38: the clock of day jumps', { skip: tgtMissing() || libraryMissing() }, () => {
  it('and no timer notices', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lunctl-f38-'));
    const offsets = join(folder, 'offset');
    writeFileSync(offsets, '+0\n');
    try {
      const { jumps, reconnects, premature, resumedMs, problems, failures } = await jumper(offsets);
      assert.deepEqual(
        jumps.map((seconds) => Math.round(seconds / 10) * 10),
        [3600, -7200, 3600, 3600, -7200, 7200, -7200],
        'the clock did jump',
      );
      assert.equal(reconnects, 0);
      assert.equal(premature, 0);
      assert.deepEqual([problems, failures], [[], []]);
      assert.ok(resumedMs < 5000, `${resumedMs} ms`);
      figure(
        'F38',
        `${jumps.length} jumps of 1-2 h: 0 reconnects, 0 early failures, resumed ${(resumedMs / 1000).toFixed(2)} s after the target`,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

function jumper(offsets: string): Promise<Outcome> {
  const script = new URL('./clock-jump.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, ['--import', 'tsx', script, offsets], {
    env: {
      ...process.env,
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: offsets,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  let [output, errors] = ['', ''];
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (errors += chunk));
  return new Promise((resolve, reject) => {
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(output) as Outcome);
      else reject(new Error(`it ended with ${code}: ${errors}`));
    });
  });
}

function libraryMissing(): string | false {
  return LIBRARY === undefined ? 'libfaketime is not installed: apt-get install libfaketime' : false;
}
