// F40: a disk command is killed -9 while one of its programs works. The program dies with it, the next command finds nothing in
// its way, and either goes through or names what is on the disk; agreed to, it goes through. With and without a device.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mounts } from '../../src/disk/sysfs.js';
import type { SessionInfo } from '../../src/services/session/info.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { BIN, Sandbox } from '../helpers/sandbox.js';
import { INITIATOR, readProc } from '../helpers/session.js';
import { count, figure } from './rig.js';

/** Of each step, with and without a device. 0: one of some steps, in turn with a device and without. */
const ROUNDS = count('F40_ROUNDS', 0);
const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const MIB = 2 ** 20;
/** mkfs.xfs takes no less. */
const SIZE = 320 * MIB;

interface Step {
  /** The program to be working at the kill. */
  readonly tool: string;
  readonly command: readonly [string, ...string[]];
  readonly onLabel?: true;
  /** One of those that the short form has. */
  readonly short?: true;
  /** What wipefs finds in the end, beside others of its kind; null: nothing. */
  readonly ends: string | null;
}

const STEPS: readonly Step[] = [
  { tool: 'sfdisk', command: ['label'], ends: 'gpt', short: true },
  { tool: 'sfdisk', command: ['partition', '0%', '100%'], onLabel: true, ends: 'gpt' },
  { tool: 'mkfs.xfs', command: ['format', '--type', 'xfs'], ends: 'xfs', short: true },
  { tool: 'mkfs.ext4', command: ['format', '--type', 'ext4'], ends: 'ext4', short: true },
  { tool: 'mkfs.btrfs', command: ['format', '--type', 'btrfs'], ends: 'btrfs' },
  { tool: 'mkfs.vfat', command: ['format', '--type', 'vfat'], ends: 'vfat' },
  { tool: 'mkswap', command: ['format', '--type', 'swap'], ends: 'swap' },
  { tool: '', command: ['wipe', '--zero'], ends: null },
];

describe('F40: a disk command is killed', { skip: whyNoLoopDisks() ?? false }, () => {
  let box: Sandbox;
  let device = '';
  const tally = { killed: 0, missed: 0, through: 0, named: 0 };

  before(async () => {
    box = await Sandbox.make(INITIATOR);
    const files = ['device.img', 'file.img'].map((name) => {
      const path = join(box.folder, name);
      writeFileSync(path, '');
      truncateSync(path, SIZE);
      return path;
    });
    const { port } = await box.serve(...files, '--target', TARGET);
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
    await box.ok('node', 'login', '--all', '--attach', 'none');
    await box.ok('lun', 'attach', `${TARGET}/0`, '--attach', 'fuse');
    const { sessions } = JSON.parse((await box.ok('session', 'show', '--json')).stdout) as { sessions: SessionInfo[] };
    device = sessions[0]?.devices[0]?.path ?? '';
    assert.match(device, /^\/dev\/loop\d+$/);
  });
  after(async () => {
    await box?.stop();
  });

  for (const [i, step] of STEPS.filter(({ short = ROUNDS > 0 }) => short).entries()) {
    for (const lun of ROUNDS === 0 ? [i % 2] : [0, 1]) {
      it(`${step.command.join(' ')}, ${lun === 0 ? 'on a device' : 'without a device'}`, async () => {
        for (let round = 0; round < Math.max(1, ROUNDS); round++) await killedAndAgain(step, lun);
      });
    }
  }
  it('said what became of it', () => {
    figure(
      'F40',
      `${tally.killed} commands killed -9 at their programs (${tally.missed} were faster): every program died with its command; ` +
        `the next command went through ${tally.through} times and named what is there ${tally.named} times, then went through`,
    );
    assert.ok(tally.killed > 0);
  });

  async function killedAndAgain(step: Step, lun: number): Promise<void> {
    const disk = lun === 0 ? device : join(box.folder, 'file.img');
    reset(disk, lun, step.onLabel === true);
    const name = `${TARGET}/${lun}`;
    const [word, ...rest] = step.command;
    const tool = step.tool === '' ? (lun === 0 ? 'blkdiscard' : 'dd') : step.tool;
    const wasKilled = await killAt(tool, ['disk', word, name, ...rest]);
    if (wasKilled) tally.killed++;
    else tally.missed++;

    const again = await box.run('disk', word, name, ...rest);
    if (again.code === 0) tally.through++;
    else {
      tally.named++;
      // 7: the partition is there already.
      const says =
        word === 'partition' ? /overlaps the partition of sectors|damaged|left of a gpt/ : /is not empty: it holds /;
      assert.match(again.stderr, says, `${word} ${again.code}`);
      assert.ok(again.code === 40 || (word === 'partition' && again.code === 7), again.stderr);
      const agreed = [name, '--confirm', name];
      if (word === 'partition') await box.ok('disk', 'label', ...agreed);
      await box.ok('disk', word, ...(word === 'partition' ? [name] : agreed), ...rest);
    }
    nothingInTheWay();
    if (lun === 0) execFileSync('blockdev', ['--flushbufs', device]);
    const found = execFileSync('wipefs', ['--noheadings', '--output', 'TYPE', disk], { encoding: 'utf8' });
    const types = new Set(found.split('\n').filter((type) => type !== '' && type !== 'PMBR'));
    assert.deepEqual([...types], step.ends === null ? [] : [step.ends], word);
  }

  /** An empty disk, or one with an empty table, in its own way: a device has a cache, and the file behind it none. */
  function reset(disk: string, lun: number, labelled: boolean): void {
    if (lun === 0) {
      for (const seek of [0, SIZE / MIB - 1]) {
        const where = [`of=${disk}`, 'bs=1M', 'count=1', `seek=${seek}`, 'conv=notrunc,fsync', 'status=none'];
        execFileSync('dd', ['if=/dev/zero', ...where]);
      }
      execFileSync('sh', ['-c', `partx --delete ${disk} 2>/dev/null || true`]);
    } else execFileSync('fallocate', ['--punch-hole', '--offset', '0', '--length', String(SIZE), disk]);
    if (labelled) execFileSync('sfdisk', ['--quiet', '--wipe=never', disk], { input: 'label: gpt\n', stdio: 'pipe' });
  }

  /** Starts the command and kills it -9 a moment after `tool` has become its child. False: it ended before. */
  async function killAt(tool: string, args: readonly string[]): Promise<boolean> {
    const child = spawn(process.execPath, [BIN, ...args], { env: box.env, stdio: 'ignore' });
    const ended = new Promise((resolve) => child.once('close', resolve));
    const pid = child.pid ?? 0;
    const isAt = () => children(pid).some((one) => readProc(one, 'comm').trim() === tool);
    while (child.exitCode === null && !isAt()) await sleep(0);
    await sleep(Math.random() ** 2 * 150);
    const helpers = children(pid).map((one) => ({ pid: one, stat: startOf(one) }));
    const wasKilled = child.kill('SIGKILL');
    await ended;
    const alive = () => helpers.filter((one) => startOf(one.pid) === one.stat && !isZombie(one.pid));
    for (const end = performance.now() + 10_000; alive().length > 0 && performance.now() < end; ) await sleep(10);
    assert.deepEqual(alive(), [], `children of ${args.join(' ')}`);
    return wasKilled && child.signalCode === 'SIGKILL';
  }

  function nothingInTheWay(): void {
    const folder = join(box.folder, 'run/disk');
    assert.deepEqual(
      mounts().filter(({ target }) => target.startsWith(folder)),
      [],
    );
    assert.deepEqual(existsSync(folder) ? readdirSync(folder) : [], []);
    const processes = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
    assert.deepEqual(
      processes.filter((entry) => readProc(Number(entry), 'cmdline').includes(folder)),
      [],
    );
  }
});

function children(pid: number): number[] {
  return readProc(pid, `task/${pid}/children`).split(' ').filter(Boolean).map(Number);
}

/** When a process started, which with its number names it; empty once it is gone. */
function startOf(pid: number): string {
  return /\) (.*)/.exec(readProc(pid, 'stat'))?.[1]?.split(' ')[19] ?? '';
}

function isZombie(pid: number): boolean {
  return /\) Z/.test(readProc(pid, 'stat'));
}
