// Helper programs: what they get, how long they may take, and what is said when they fail.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasTool, missingTool, runTool, startTool } from '../../src/disk/run.js';
import { TOOL_ENVIRONMENT } from '../../src/disk/tools.js';
import { AppError } from '../../src/util/errors.js';

describe('runTool', () => {
  test('standard input in, standard output out, nothing by a shell', async () => {
    assert.deepEqual(await runTool('cat', ['--', '-'], { input: '$HOME `id`\n' }), {
      status: 0,
      stdout: '$HOME `id`\n',
      stderr: '',
    });
    assert.equal((await runTool('cat', [])).stdout, '');
    assert.equal((await runTool('dd', ['bs=1', 'status=none'], { input: 'AB', encoding: 'hex' })).stdout, '4142');
    await assert.rejects(runTool('dd', ['if=/nowhere'], { encoding: 'hex' }), {
      message: /^dd failed with exit status 1: .*\/nowhere/,
    });
  });

  test('the environment is ours and nothing else', async () => {
    process.env.LUNCTL_TEST_SECRET = 'must not leak';
    try {
      const { stdout } = await runTool('cat', ['/proc/self/environ']);
      const seen = Object.fromEntries(
        stdout
          .split('\0')
          .filter((line) => line !== '')
          .map((line) => line.split(/=(.*)/s)),
      );
      assert.deepEqual(Object.keys(seen).sort(), Object.keys(TOOL_ENVIRONMENT).sort());
    } finally {
      delete process.env.LUNCTL_TEST_SECRET;
    }
  });

  test('a failure names program, exit status and what it said, on one line', async () => {
    await assert.rejects(runTool('cat', ['--', '/nowhere/a\u001b[31mb\nc']), (error: unknown) => {
      assert.ok(error instanceof AppError);
      assert.equal(error.code, 'ERR_HELPER');
      assert.match(error.message, /^cat failed with exit status 1: cat: .*\/nowhere\/a.*No such file or directory/);
      assert.doesNotMatch(error.message, /\p{Cc}/u);
      return true;
    });
  });

  test('an exit status can be an answer', async () => {
    const { status } = await runTool('cat', ['--', '/nowhere'], { okStatuses: [0, 1] });
    assert.equal(status, 1);
  });

  test('out of time, endless output, interrupted: ended and reaped each time', async () => {
    const pids: number[] = [];
    const onStart = (pid: number) => pids.push(pid);
    const endless = ['if=/dev/zero', 'of=/dev/null', 'bs=64k'];
    await assert.rejects(runTool('dd', endless, { timeoutMs: 50, onStart }), {
      code: 'ERR_HELPER',
      message: /^dd did not end within 0.05 s/,
    });
    await assert.rejects(runTool('cat', ['/dev/zero'], { onStart }), { code: 'ERR_HELPER' });
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    await assert.rejects(runTool('dd', endless, { signal: controller.signal, onStart }), { code: 'ERR_INTERRUPTED' });
    const reason = new AppError('ERR_TERMINATED', 'terminated');
    await assert.rejects(runTool('dd', endless, { signal: AbortSignal.abort(reason), onStart }), reason);
    assert.equal(pids.length, 3);
    const live = new Set(readdirSync('/proc'));
    assert.deepEqual(
      pids.filter((pid) => live.has(String(pid))),
      [],
    );
  });
});

describe('the lock of a disk', () => {
  test('is waited for, held while the program runs, and let go with it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lunctl-lock-'));
    const disk = join(folder, 'disk');
    writeFileSync(disk, '');
    const free = () => spawnSync('flock', ['--nonblock', disk, 'true']).status === 0;
    try {
      const last = join(folder, 'last');
      writeFileSync(last, '');
      // What it does last while it holds the lock is seen by who gets it next; its end may be told later than that.
      const other = spawn('flock', [disk, 'sh', '-c', 'echo held; sleep 0.5; echo done > "$0"', last], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(other.stdout, 'data');
      const pids: number[] = [];
      const onStart = (pid: number) => pids.push(pid);
      const { stdout } = await runTool('cat', ['/proc/self/comm', last], { lock: disk, onStart });
      assert.equal(stdout, 'cat\ndone\n');
      const controller = new AbortController();
      const endless = ['if=/dev/zero', 'of=/dev/null', 'bs=64k'];
      const running = runTool('dd', endless, { lock: disk, diesWithUs: true, onStart, signal: controller.signal });
      running.catch(() => {});
      // The program is the process that was started: a signal reaches it and nothing else.
      const comm = () => readFileSync(`/proc/${pids[1]}/comm`, 'utf8');
      while (pids[1] === undefined || comm() !== 'dd\n') await sleep(5);
      assert.equal(free(), false);
      controller.abort();
      await assert.rejects(running, { code: 'ERR_INTERRUPTED' });
      assert.equal(free(), true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test('what a program prints is told while it runs, with variables of its own', async () => {
  const told: string[] = [];
  const { stdout } = await runTool('cat', ['/proc/self/environ'], {
    env: { HOME: '/state' },
    onOutput: (text) => told.push(text),
  });
  assert.equal(told.join(''), stdout);
  assert.ok(stdout.split('\0').includes('HOME=/state'));
});

describe('startTool', () => {
  test('stays until it is stopped, in a process group of its own', async () => {
    const tool = await startTool('dd', ['if=/dev/zero', 'of=/dev/null', 'bs=64k']);
    const fields = readFileSync(`/proc/${tool.pid}/stat`, 'utf8').split(' ');
    assert.equal(Number(fields[4]), tool.pid);
    await tool.stop();
    assert.match((await tool.ended).message, /^dd was ended by SIGTERM/);
  });
  test('an early end tells why', async () => {
    const tool = await startTool('cat', ['--', '/nowhere']);
    assert.match((await tool.ended).message, /^cat failed with exit status 1: .*No such file/);
    await tool.stop();
  });
});

test('a missing program is named with its Debian package', () => {
  const error = missingTool('sfdisk');
  assert.equal(error.message, 'sfdisk is not installed');
  assert.match(error.hint ?? '', /apt-get install fdisk$/);
  assert.equal(hasTool('cat'), true);
});
