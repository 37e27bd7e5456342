// Against a real kernel: each script runs in a small virtual machine and must reach its last line.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';

const LAB = 'test/lab/kernel-lab';
const MINUTES = 60_000;
/** How much the scripts do; each has a short form of its own. */
const COUNTS = ['LAB_LOGINS', 'LAB_SETS', 'LAB_KILLS', 'LAB_ROUNDS', 'LAB_STALE'];

function lab(script: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const environment = COUNTS.flatMap((name) => ['--env', name]);
    const child = spawn(LAB, ['--mem', '3000', '--timeout', '700', ...environment, `test/lab/${script}`], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output += chunk.toString();
      process.stderr.write(chunk);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

for (const [title, script] of [
  ["devices come and go by the kernel's nbd, and the demo runs on it", 'attach-nbd.sh'],
  ['our client mounts a LUN of LIO, set up by targetcli', 'lio-client.sh'],
  ['every parameter set and digest against LIO', 'lio-matrix.sh'],
  ['CHAP against LIO', 'lio-chap.sh'],
  ['LIO and the network end the connection under load, and no request fails', 'lio-recovery.sh'],
  ['a worker killed under a mounted file system (F12)', 'worker-killed.sh'],
  ["open-iscsi mounts a LUN of our target, by the guide's own commands", 'open-iscsi-serve.sh'],
] as const) {
  test(title, { timeout: 15 * MINUTES }, async (t) => {
    if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
      if (process.env.CI) assert.fail('CI must run the kernel lab: root on Debian');
      t.skip('the kernel lab needs root on Debian, where it installs qemu-system-x86 and a kernel by itself');
      return;
    }
    const { code, output } = await lab(script);
    assert.equal(code, 0, output.slice(-4000));
    assert.match(output, /^LAB PASSED$/m);
  });
}
