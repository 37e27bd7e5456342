// F12, first level: a session worker is killed -9 under a mounted file system. I/O fails within a second, nothing hangs, the
// file system can be unmounted, and after a new login it is clean.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { succeed } from '../helpers/programs.js';
import { count, figure, isAlive, Rig, tgtMissing } from './rig.js';

const KILLS = count('F12_KILLS', 1);
const STUCK_MS = 5000;

const state = (pid: number) => /^State:\s+(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];

/** Direct writes to `file` until one fails; settles with the time of the last failure message. */
function writer(file: string): { pid: number; ended: Promise<number> } {
  const child = spawn('dd', ['if=/dev/zero', `of=${file}`, 'bs=4k', 'oflag=direct', 'conv=notrunc'], {
    stdio: 'ignore',
  });
  const ended = new Promise<number>((resolve) => child.once('close', () => resolve(performance.now())));
  return { pid: child.pid ?? 0, ended };
}

describe('F12: the worker is killed under a mounted file system', {
  skip: tgtMissing() || whyNoLoopDisks() || false,
}, () => {
  it('I/O fails at once, umount works, and the file system is clean after a new login', async () => {
    const rig = await Rig.start({ proxy: false, sizeBytes: 64 * 2 ** 20, request: { attach: 'fuse' } });
    const mountPoint = mkdtempSync(join(tmpdir(), 'lunctl-f12-'));
    const failedAfter: number[] = [];
    const device = () => rig.session.devices[0]?.path ?? '';
    try {
      await succeed('mkfs.ext4', '-q', device());
      for (let i = 0; i < KILLS; i++) {
        await succeed('mount', device(), mountPoint);
        await succeed('cp', '/bin/ls', `${mountPoint}/kept${i}`);
        await succeed('sync', '-f', mountPoint);
        const load = writer(`${mountPoint}/big`);
        await sleep(300 + Math.random() * 300);
        const killed = performance.now();
        process.kill(rig.session.pid, 'SIGKILL');
        const ended = await Promise.race([load.ended, sleep(STUCK_MS).then(() => null)]);
        assert.ok(ended !== null, `the writer is stuck in state ${isAlive(load.pid) ? state(load.pid) : '-'}`);
        assert.ok(ended >= killed, 'the writer was at work until then');
        failedAfter.push(ended - killed);
        await succeed('umount', mountPoint);
        await rig.login();
        // The journal is replayed as after any crash; then nothing may be wrong.
        await succeed('mount', device(), mountPoint);
        for (let n = 0; n <= i; n++) await succeed('cmp', '/bin/ls', `${mountPoint}/kept${n}`);
        await succeed('umount', mountPoint);
        await succeed('fsck.ext4', '-fn', device());
      }
      figure(
        'F12',
        `${KILLS} workers killed under ext4: I/O failed after at most ${Math.max(...failedAfter).toFixed(0)} ms, nothing stuck, fsck clean`,
      );
      assert.ok(Math.max(...failedAfter) < 1000);
    } finally {
      await succeed('umount', mountPoint).catch(() => {});
      await rig.stop();
      rmdirSync(mountPoint);
    }
  });
});
