// Against a real kernel: each script runs in a small virtual machine and must reach its last line.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism, freemem } from 'node:os';
import { createInterface } from 'node:readline';
import { before, describe, type TestContext, test } from 'node:test';

const LAB = 'test/lab/kernel-lab';
/** How much the scripts do; without them each takes its short form. */
const COUNTS = [
  ...['LAB_LOGINS', 'LAB_SETS', 'LAB_KILLS', 'LAB_ROUNDS', 'LAB_HOLD_MS', 'LAB_STALE'],
  ...['LAB_GUIDE', 'LAB_RACES', 'LAB_FS', 'LAB_FS_SECONDS', 'LAB_CONNECTIONS', 'LAB_FIO_MIB', 'FS_LOAD_MIB'],
  ...['LAB_MEMORY_MIB', 'LAB_MEMORY_WAYS', 'LAB_TRANSCRIPTS'],
];
/** Machines that differ from the others: memory (MiB), processors, a scratch disk (as truncate -s takes it). */
const MACHINES: Readonly<Record<string, { readonly mem?: string; readonly smp?: string; readonly scratch: string }>> = {
  'fs-verify': { scratch: '8G' },
  // One processor: reclaiming interrupts the others, and one that the host does not run answers late.
  'low-memory': { mem: '512', smp: '1', scratch: '16G' },
  'lvm-lun': { scratch: '500107862016' },
};
/** A script that takes longer is given up. */
const MINUTES = Number(process.env.LAB_MINUTES ?? '15');
/** Machines that run at a time: emulated, each keeps one processor busy, whatever it has itself. */
const roomForTwo = availableParallelism() > 1 && freemem() > 8 * 2 ** 30;
const AT_ONCE = Number(process.env.LAB_AT_ONCE ?? (roomForTwo ? '2' : '1'));

/** What runs without LAB_SCRIPTS, and what only runs with it. The longest come first, so that no processor waits at the end. */
const ALWAYS = {
  'lio-client': 'our client mounts a LUN of LIO, set up by targetcli',
  'worker-killed': 'a worker killed under a mounted file system (F12)',
  'attach-nbd': "devices come and go by the kernel's nbd, and the demo runs on it",
  identity: 'nbd0 taken over by a stranger in the middle of disk commands',
  'lio-recovery': 'LIO and the network end the connection under load, and no request fails',
  'low-memory': 'more than memory written back through us, the target in the same machine (F36)',
  'open-iscsi-serve': "open-iscsi mounts a LUN of our target, by the guide's own commands",
} as const;
const ON_DEMAND = {
  'db-interop': "open-iscsi's records under its hands and ours, in turn and at once",
  'guide-serve': "the guide's disk on our own target: kernel nbd, FUSE where there is none, and without root",
  'fs-verify': "file systems on the kernel's nbd under verified load",
  'lvm-lun': "the CentOS guide's logical volume as a LUN of LIO and of ours",
  grow: "a LUN of LIO that grows under a mounted file system on the kernel's nbd",
  'lio-matrix': 'parameter sets and digests against LIO',
  'lio-chap': 'CHAP against LIO',
  'lio-luns': 'LUNs of LIO removed, swapped and resized under load (F29, F30, F31)',
  'grow-nbd': 'a LUN of LIO grows under a mounted file system (F29)',
  'targetcli-serve':
    "the guides' targetcli sessions typed into our shell, open-iscsi on what serve makes of them, and LIO's configuration here",
  'scsi-serve': "our target's SCSI side as sg3-utils see it through the kernel's initiator",
  pscsi: 'a SCSI disk of the host passed through by our target',
  transcripts: 'recordings of the real iscsiadm on ours against LIO, and the guide by our iscsiadm',
  'lio-reservations': 'persistent reservations of a LUN of LIO, beside open-iscsi',
} as const;
const TITLES: Readonly<Record<string, string>> = { ...ALWAYS, ...ON_DEMAND };

/** LAB_SCRIPTS: `all`, or names separated by commas. */
function chosen(): readonly string[] {
  const names = process.env.LAB_SCRIPTS?.split(',') ?? Object.keys(ALWAYS);
  return names.includes('all') ? Object.keys(TITLES) : names;
}

function lab(script: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const environment = COUNTS.flatMap((name) => ['--env', name]);
    const { mem = '3000', smp, scratch } = MACHINES[script] ?? {};
    const processors = smp === undefined ? [] : ['--smp', smp];
    const machine = ['--mem', mem, ...processors, ...(scratch === undefined ? [] : ['--scratch', scratch])];
    const limits = ['--timeout', String(MINUTES * 60)];
    const child = spawn(LAB, [...machine, ...limits, ...environment, `test/lab/${script}.sh`], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        output += `${line}\n`;
        console.error(`${script}: ${line}`);
      });
    }
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

async function passes(script: string, t: TestContext): Promise<void> {
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
    if (process.env.CI) assert.fail('CI must run the kernel lab: root on Debian');
    t.skip('the kernel lab needs root on Debian, where it installs qemu-system-x86 and a kernel by itself');
    return;
  }
  const { code, output } = await lab(script);
  for (const [figure] of output.matchAll(/^FIGURE .*$/gm)) t.diagnostic(figure);
  assert.equal(code, 0, output.slice(-4000));
  assert.match(output, /^LAB PASSED$/m);
}

describe('kernel lab', { concurrency: AT_ONCE }, () => {
  before(() => execFileSync('npm', ['run', '-s', 'build:lab'], { stdio: 'inherit' }));

  for (const script of chosen()) {
    const title = TITLES[script];
    if (title === undefined)
      throw new Error(`LAB_SCRIPTS: there is no ${script}, only ${Object.keys(TITLES).join(' ')}`);
    // One minute more for the machine's own end.
    test(`${script}: ${title}`, { timeout: (MINUTES + 1) * 60_000 }, (t) => passes(script, t));
  }
});
