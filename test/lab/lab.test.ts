// The two seed paths against a real kernel: each script runs in a small virtual machine and must reach its last line.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';

const LAB = 'test/lab/kernel-lab';
const MINUTES = 60_000;

function lab(script: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(LAB, ['--mem', '3000', '--timeout', '700', '--env', 'LAB_LOGINS', `test/lab/${script}`], {
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
