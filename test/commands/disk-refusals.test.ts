// What disk commands refuse: what is on the disk, or who holds it × the command × the way of agreeing → exit code. The whole disk
// is compared after each refusal: not one byte may have changed.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { constants, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { SessionInfo } from '../../src/services/session/info.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { type ContentName, IMAGE_BYTES, makeContent } from '../helpers/disk-content.js';
import { succeed } from '../helpers/programs.js';
import { type Run, Sandbox } from '../helpers/sandbox.js';
import { noTerminal, onTerminal } from '../helpers/terminal.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const OTHER = 'iqn.2022-08.com.test:two.paths';
const FIXED = 'iqn.2022-08.com.test:read.only';
const skip = whyNoLoopDisks(['qemu-io']) ?? noTerminal;

/** LUN 1, which has no device, and the name that a person would give it. */
const DISK = `${TARGET}/1`;
const CONFIRM = ['--confirm', DISK];
const label = ['label', DISK];
const dos = ['label', DISK, '--type', 'dos'];
const partition = ['partition', DISK];
const spans = ['partition', DISK, '0%', '50%'];
const ext4 = ['format', DISK, '--type', 'ext4'];
const xfs = ['format', DISK, '--type', 'xfs'];
const swap = ['format', DISK, '--type', 'swap'];
const wipe = ['wipe', DISK];
const zero = ['wipe', DISK, '--zero'];
const discard = ['wipe', DISK, '--discard'];

type Case = readonly [args: readonly string[], code: number, says: RegExp];
const needs = (what: RegExp): readonly [number, RegExp] => [
  40,
  new RegExp(`is not empty: it holds (.*; )?${what.source}.*\\[40\\]`),
];
const wrong = /does not name this disk; nothing was changed \[40\]/;

/** On a disk that nobody holds. `NODE` stands for what a kernel would call it. */
const HELD_BY_NOBODY: Readonly<Partial<Record<ContentName, readonly Case[]>>> = {
  blank: [
    [[...label, '--type', 'bsd'], 7, /--type=bsd/],
    [[...partition], 7, /has no partition table/],
    [[...spans], 7, /has no partition table/],
    [[...ext4, '--uuid', '1A2B-3C4D'], 7, /takes a UUID/],
    [[...xfs, '--label', 'thirteen chars'], 7, /1 to 12 bytes/],
    [['label', `${TARGET}/9`], 21, /no session has/],
    [['label', 'iqn.2022-08.com.test:none/0'], 21, /no session has/],
    [['format', `${DISK}p7`, '--type', 'ext4'], 21, /has no partition 7/],
    [['label', `${DISK}p1`], 21, /has no partition 1/],
    [['wipe', 'sda'], 7, /is not a disk of a lunctl session/],
    [['format', '/dev/nbd99', '--type', 'ext4'], 7, /is not a disk of a lunctl session/],
    [[...zero, '--discard'], 7, /--discard|--zero/],
  ],
  'gpt without partitions': [
    [label, ...needs(/gpt/)],
    [[...ext4, '--no-input'], ...needs(/gpt/)],
    [[...partition, '--size', '1G'], 7, /no room/],
    [['partition', DISK, '50%'], 7, /START without its END/],
  ],
  'gpt with partitions': [
    [label, ...needs(/gpt/)],
    [[...dos, '--yes'], ...needs(/gpt/)],
    [[...label, '--confirm', 'NODE'], 40, wrong],
    [[...label, '--confirm', `${TARGET}/0`], 40, wrong],
    [[...wipe, '--confirm', `${DISK}p1`], 40, wrong],
    [[...wipe, '--confirm', ''], 40, wrong],
    [spans, 7, /0% 50% overlaps the partition of sectors 2048 to 22527/],
    [[...xfs, '--dry-run', '--no-input'], ...needs(/gpt/)],
    [[...discard, '--yes'], ...needs(/gpt/)],
  ],
  'gpt with a damaged header': [
    [label, ...needs(/gpt/)],
    [partition, 40, /the backup GPT is used, the primary one is damaged/],
    [ext4, ...needs(/gpt/)],
  ],
  'gpt of which only the backup is left': [
    [label, ...needs(/gpt, partition table at 0x3fffe00/)],
    [ext4, ...needs(/gpt/)],
    [partition, 40, /holds what is left of a gpt; nothing was changed/],
    [zero, ...needs(/gpt/)],
  ],
  dos: [
    [dos, ...needs(/dos/)],
    [[...swap, '--yes', '--no-input'], ...needs(/dos/)],
    [spans, 7, /overlaps/],
  ],
  xfs: [
    [label, ...needs(/xfs/)],
    [partition, 40, /holds xfs/],
    [[...xfs, '--confirm', 'xfs'], 40, wrong],
    [zero, ...needs(/xfs/)],
  ],
  ext4: [
    [label, ...needs(/ext4 "old data"/)],
    [[...ext4, '--yes'], ...needs(/ext4/)],
    [wipe, ...needs(/ext4/)],
    [[...ext4, ...CONFIRM, '--', '-b', '77'], 41, /mkfs\.ext4 failed/],
    [[...ext4, ...CONFIRM, '--', '-J', 'device=/dev/loop0'], 7, /names another device/],
  ],
  btrfs: [
    [label, ...needs(/btrfs/)],
    [swap, ...needs(/btrfs/)],
  ],
  vfat: [
    [label, ...needs(/vfat/)],
    [ext4, ...needs(/vfat/)],
  ],
  swap: [
    [label, ...needs(/swap/)],
    [swap, ...needs(/swap/)],
  ],
  'an LVM volume': [
    [label, ...needs(/LVM2_member/)],
    [discard, ...needs(/LVM2_member/)],
  ],
  'a member of an md array': [
    [label, ...needs(/linux_raid_member/)],
    [xfs, ...needs(/linux_raid_member/)],
  ],
  'a LUKS header': [
    [label, ...needs(/crypto_LUKS/)],
    [swap, ...needs(/crypto_LUKS/)],
    [partition, 40, /holds crypto_LUKS/],
  ],
  'a member of a zfs pool': [
    [label, ...needs(/zfs_member/)],
    [wipe, ...needs(/zfs_member/)],
  ],
  iso9660: [
    [label, ...needs(/iso9660/)],
    [ext4, ...needs(/iso9660/)],
  ],
  'ext4 under a LUKS header': [
    [label, ...needs(/crypto_LUKS/)],
    [ext4, ...needs(/crypto_LUKS/)],
  ],
};

describe('disk commands refuse', { skip }, () => {
  let box: Sandbox;
  let sessions: readonly SessionInfo[] = [];
  const images: string[] = [];

  before(async () => {
    box = await Sandbox.make('iqn.2022-08.com.test:node01.initiator01');
    const file = (name: string) => {
      const path = join(box.folder, name);
      writeFileSync(path, '');
      truncateSync(path, IMAGE_BYTES);
      images.push(path);
      return path;
    };
    const held = await box.serve(file('held.img'), file('free.img'), '--target', TARGET);
    const paths = await box.serve(
      file('paths.img'),
      '--target',
      OTHER,
      '--portal',
      '127.0.0.1:0',
      '--portal',
      '127.0.0.2:0',
    );
    const fixed = await box.serve(file('fixed.img'), '--target', FIXED, '--read-only');
    for (const { port } of [held, fixed, paths]) await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
    await box.ok('node', 'login', '--all', '--attach', 'none');
    await box.ok('lun', 'attach', `${TARGET}/0`, '--attach', 'fuse');
    ({ sessions } = JSON.parse((await box.ok('session', 'show', '--json')).stdout) as { sessions: SessionInfo[] });
  });
  after(async () => {
    await box?.stop();
  });

  const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
  const sums = () => images.map(sha256).join();
  const device = (target: string, lun: number) =>
    sessions.filter(({ targetName }) => targetName === target).flatMap(({ devices }) => devices)[lun];
  const node = () => device(TARGET, 0)?.path ?? '';
  const check = (run: Pick<Run, 'code' | 'stderr'>, code: number, says: RegExp, what: string) => {
    assert.match(run.stderr, says, what);
    assert.equal(run.code, code, `${what}\n${run.stderr}`);
  };
  let refused = 0;

  for (const [name, cases] of Object.entries(HELD_BY_NOBODY) as [ContentName, readonly Case[]][]) {
    it(`${name}: ${cases.length} ways`, async () => {
      const image = images[1] ?? '';
      makeContent(image, name);
      const sum = sha256(image);
      for (const [args, code, says] of cases) {
        const words = args.map((word) => (word === 'NODE' ? node().slice('/dev/'.length) : word));
        check(await box.run('disk', ...words), code, says, `${name}: disk ${words.join(' ')}`);
        assert.equal(sha256(image), sum, words.join(' '));
        refused++;
      }
    });
  }

  it('what a person types must be the name, and Ctrl-C is an answer', async () => {
    const image = images[1] ?? '';
    makeContent(image, 'ext4');
    const sum = sha256(image);
    for (const [answer, code, says] of [
      ['yes\r', 40, /"yes" is not .*; nothing was changed \[40\]/],
      [`${node().slice(5)}\r`, 40, /nothing was changed \[40\]/],
      ['\r', 40, /"" is not/],
      ['\u0003', 130, /interrupted \[130\]/],
    ] as const) {
      const run = await onTerminal(`disk label ${DISK}`, { question: 'Type ', answer, env: box.env });
      check({ code: run.code, stderr: run.output }, code, says, JSON.stringify(answer));
      assert.match(run.output, /ext4 "old data"/);
      assert.equal(sha256(image), sum);
      refused++;
    }
    const noInput = await onTerminal(`disk label ${DISK} --no-input`, { env: box.env });
    check({ code: noInput.code, stderr: noInput.output }, ...needs(/ext4/), '--no-input on a terminal');
    assert.equal(sha256(image), sum);
  });

  it('the same with the right name is done: on a terminal, by TARGET/LUN, by the serial number', async () => {
    const image = images[1] ?? '';
    const serial = device(TARGET, 1)?.serial ?? '';
    assert.ok(serial.length > 4);
    makeContent(image, 'ext4');
    const typed = await onTerminal(`disk label ${DISK}`, { question: 'Type ', answer: `${DISK}\r`, env: box.env });
    assert.equal(typed.code, 0, typed.output);
    assert.match(execFileSync('wipefs', ['--json', image], { encoding: 'utf8' }), /"gpt"/);
    const sum = sha256(image);
    await box.ok('disk', ...ext4, ...CONFIRM, '--dry-run');
    assert.equal(sha256(image), sum);
    await box.ok('disk', ...ext4, '--confirm', serial);
    const { stdout } = await box.ok('disk', ...wipe, ...CONFIRM);
    assert.match(stdout, /: signatures removed\nbackup in .*\/state\/wiped\//);
    assert.match((await box.ok('disk', ...wipe)).stdout, /^unchanged: /);
    assert.equal(execFileSync('wipefs', [image], { encoding: 'utf8' }), '');
  });

  const commands = (whole: string, part: string): readonly string[][] => [
    ['label', whole, '--confirm', `${TARGET}/0`],
    ['partition', whole],
    ['format', whole, '--type', 'ext4', '--confirm', `${TARGET}/0`],
    ['format', part, '--type', 'ext4', '--confirm', `${TARGET}/0`],
    ['wipe', part, '--zero', '--confirm', `${TARGET}/0`],
  ];
  const busy = async (what: string, says: RegExp, list: readonly (readonly string[])[]) => {
    await succeed('blockdev', '--flushbufs', node());
    const before = sums();
    for (const args of list) {
      check(await box.run('disk', ...args), 28, says, `${what}: disk ${args.join(' ')}`);
      refused++;
    }
    await succeed('blockdev', '--flushbufs', node());
    assert.equal(sums(), before, what);
  };

  it('a partition that is mounted, here or in another namespace, used as swap or by a loop device, or claimed', async () => {
    await box.ok('disk', 'label', `${TARGET}/0`);
    await box.ok('disk', 'partition', `${TARGET}/0`, '0%', '50%', '50%', '100%');
    await box.ok('disk', 'format', `${TARGET}/0p1`, '--type', 'ext4');
    await box.ok('disk', 'format', `${TARGET}/0p2`, '--type', 'swap');
    const part = `${node()}p1`;
    const directory = join(box.folder, 'mnt');
    mkdirSync(directory);
    const all = commands(node(), part);

    execFileSync('mount', ['-o', 'ro', part, directory]);
    try {
      await busy('mounted', new RegExp(`${part} is mounted on ${directory}; nothing was changed \\[28\\]`), all);
    } finally {
      execFileSync('umount', [directory]);
    }

    const script = `mount -o ro ${part} ${directory} && echo mounted && cat`;
    const elsewhere = spawn('unshare', ['--mount', 'sh', '-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(elsewhere.stdout, 'data');
    try {
      const says = new RegExp(`${part} is mounted on ${directory} in the mount namespace of process \\d+`);
      await busy('mounted elsewhere', says, all.slice(0, 3));
    } finally {
      await endOf(elsewhere);
    }

    const loop = execFileSync('losetup', ['--find', '--show', part], { encoding: 'utf8' }).trim();
    try {
      await busy('a loop device', new RegExp(`${part} is behind ${loop}`), all.slice(0, 2));
    } finally {
      execFileSync('losetup', ['--detach', loop]);
    }

    const claim = await open(part, constants.O_RDONLY | constants.O_EXCL);
    try {
      await busy('claimed', new RegExp(`${part} is in use by another program`), all.slice(0, 2));
    } finally {
      await claim.close();
    }

    const swapped = `${node()}p2`;
    execFileSync('swapon', [swapped]);
    try {
      const args = ['format', swapped, '--type', 'swap', '--confirm', `${TARGET}/0`];
      await busy('swap', new RegExp(`${swapped} is swap space in use`), [all[0] ?? [], args]);
    } finally {
      execFileSync('swapoff', [swapped]);
    }
  });

  it('a disk that an NBD client may write to', async () => {
    makeContent(images[1] ?? '', 'blank');
    const socket = sessions.find(({ targetName }) => targetName === TARGET)?.socket;
    const client = spawn('qemu-io', ['-f', 'raw', `nbd+unix:///lun1?socket=${socket}`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(client.stdout, 'data');
    try {
      await busy('an NBD client', /NBD clients have 1 connection to it/, [label, ext4, [...zero, ...CONFIRM]]);
    } finally {
      await endOf(client);
    }
  });

  it('a disk that is read-only, that two sessions reach, or that is no disk of ours', async () => {
    const other = join(box.folder, 'other.img');
    writeFileSync(other, '');
    truncateSync(other, IMAGE_BYTES);
    makeContent(other, 'ext4');
    images.push(other);
    const loop = execFileSync('losetup', ['--find', '--show', other], { encoding: 'utf8' }).trim();
    try {
      const before = sums();
      for (const [args, code, says] of [
        [['label', `${FIXED}/0`], 13, /is read-only/],
        [['wipe', `${FIXED}/0`, '--zero'], 13, /is read-only/],
        [['label', `${OTHER}/0`], 7, /is reached by sessions \d+ and \d+/],
        [['format', `${OTHER}/0`, '--type', 'ext4'], 7, /is reached by sessions \d+ and \d+/],
        [['label', loop, '--confirm', loop], 7, /is not a disk of a lunctl session/],
        [
          ['format', loop.slice(5), '--type', 'xfs', '--confirm', `${TARGET}/0`],
          7,
          /is not a disk of a lunctl session/,
        ],
        [['wipe', loop, '--zero', '--yes'], 7, /is not a disk of a lunctl session/],
        [['wipe', other], 7, /is not a disk of a lunctl session/],
      ] as const satisfies Case[]) {
        check(await box.run('disk', ...args), code, says, args.join(' '));
        refused++;
      }
      assert.equal(sums(), before);
    } finally {
      execFileSync('losetup', ['--detach', loop]);
    }
  });

  it('at least 40 refusals, and nothing left of the commands', (t) => {
    t.diagnostic(`FIGURE refusals: ${refused}, no byte changed in any`);
    assert.ok(refused >= 40, String(refused));
    assert.deepEqual(readdirSync(join(box.folder, 'run/disk')), []);
  });
});

async function endOf(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  child.stdin?.end();
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}
