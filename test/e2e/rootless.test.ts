// The whole way without root: serve, login, label, partition, format, grow, all as nobody; what other programs say of the
// disks; and ext4 mounted by fuse2fs with the commands of the README.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, rmSync } from 'node:fs';
import { chown, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mounts } from '../../src/disk/sysfs.js';
import { BIN, Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const MIB = 2 ** 20;
const TYPES = ['xfs', 'ext4', 'btrfs', 'vfat'] as const;
const EXT4 = TYPES.indexOf('ext4');
const CHECKERS: Readonly<Record<(typeof TYPES)[number], string[]>> = {
  xfs: ['xfs_repair', '-n'],
  ext4: ['e2fsck', '-f', '-n'],
  btrfs: ['btrfs', 'check', '--readonly'],
  vfat: ['fsck.vfat', '-n'],
};
/** Neither time nor a random number; and the place of the partition, which mkfs.vfat asks a device for. */
const VFAT = ['--', '--invariant', '-h', '2048'];
const NEEDED = [
  'nbdfuse',
  'fusermount3',
  'nbdcopy',
  'nbdkit',
  'fuse2fs',
  'sgdisk',
  'parted',
  'sfdisk',
  'mkfs.xfs',
  'mkfs.btrfs',
];

describe('without root', { skip: whyNot() }, () => {
  let box: Sandbox;
  let port = 0;
  let child: ChildProcess;
  const image = (lun: number) => join(box.folder, `disk${lun}.img`);
  const disk = (lun: number) => `${TARGET}/${lun}`;
  const uri = (name: string) => `nbd+unix:///${name}?socket=${box.folder}/run/s/1/nbd.sock`;
  const serve = async (portal: string, ...sizes: string[]) => {
    const disks = TYPES.map((_, lun) => `${image(lun)}${sizes[lun] ?? ''}`);
    ({ port, child } = await box.serve('--portal', portal, ...disks, '--target', TARGET, '--no-auth'));
  };
  /** A program as the same user, to its end. */
  const tool = (program: string, ...args: string[]) =>
    execFileSync(program, args, { ...box.user, env: box.env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const copyOf = (name: string) => {
    const copy = join(box.folder, 'copy.img');
    rmSync(copy, { force: true });
    tool('nbdcopy', uri(name), copy);
    return copy;
  };
  before(async () => {
    box = await Sandbox.make('iqn.2022-08.com.test:node01.initiator01', { unprivileged: true });
    await serve('127.0.0.1:0', ...TYPES.map(() => '=340M'));
    await box.ok('node', 'login', '-T', TARGET, '-p', `127.0.0.1:${port}`, '--attach', 'none');
  });
  after(async () => {
    await box.stop();
    assert.deepEqual(box.leftovers(), []);
  });

  it('label, partition and format leave nothing to complain about', async () => {
    for (const [lun, type] of TYPES.entries()) {
      plans[lun] = [
        ...(await planOf('label', disk(lun))),
        ...(await planOf('partition', disk(lun))),
        ...(await planOf('format', `${disk(lun)}p1`, '--type', type, ...(type === 'vfat' ? VFAT : []))),
      ];
      tableIsRight(copyOf(`lun${lun}`));
      const [checker = '', ...args] = CHECKERS[type];
      tool(checker, ...args, copyOf(`lun${lun}p1`));
    }
  });

  const plans: string[][] = [];
  /** Runs a disk command; the lines of the plan that it has carried out, with the UUIDs that it has chosen. */
  const planOf = async (command: string, ...args: string[]): Promise<string[]> => {
    // mkfs.btrfs wants to look into every loop device that is mounted, and gives up where it may not: other tests have some.
    for (const end = Date.now() + 60_000; ; await sleep(500)) {
      const { code, stdout, stderr } = await box.run('disk', command, '--json', ...args);
      if (code === 0) return JSON.parse(stdout).plan;
      const isInTheWay = /cannot check mount status of .*: Permission denied/.test(stdout);
      assert.ok(isInTheWay && Date.now() < end, stdout + stderr);
    }
  };

  it('a device of root gets the same bytes from the same plans', { skip: whyNoLoops() }, () => {
    for (const [lun, type] of TYPES.entries()) {
      const file = join(box.folder, 'root.img');
      rmSync(file, { force: true });
      execFileSync('truncate', ['-s', '340M', file]);
      const device = execFileSync('losetup', ['--find', '--show', '--', file], { encoding: 'utf8' }).trim();
      try {
        for (const line of plans[lun] ?? []) {
          if (!/(^| )(sfdisk|mkfs\.\w+) /.test(line)) continue;
          const path = / (\S*\/lun\d+(p1)?)$/.exec(line);
          execFileSync('sh', ['-c', line.replace(path?.[1] ?? '', `${device}${path?.[2] ?? ''}`)], { stdio: 'pipe' });
          // An empty table counts as a failure.
          spawnSync('partx', ['--update', device]);
        }
        execFileSync('blockdev', ['--flushbufs', device]);
      } finally {
        execFileSync('losetup', ['--detach', device]);
      }
      const [ours, theirs] = [copyOf(`lun${lun}`), file];
      const same = (from: number, bytes: number) =>
        execFileSync('cmp', ['-i', String(from), '-n', String(bytes), ours, theirs], { stdio: 'pipe' });
      same(0, MIB);
      same(339 * MIB, MIB);
      // The others write the time, and random numbers, into their superblocks.
      if (type === 'vfat') same(0, 340 * MIB);
    }
  });

  const tableIsRight = (copy: string) => {
    const verified = tool('sgdisk', '-v', copy);
    assert.match(verified, /No problems found/);
    assert.doesNotMatch(verified, /warning|caution|problem:/i);
    assert.match(tool('sfdisk', '--verify', copy), /No errors detected/);
    assert.match(spawnText('parted', '-s', copy, 'unit', 's', 'print'), /^ 1 {6}2048s .*$/m);
    assert.equal(spawnText('parted', '-s', copy, 'align-check', 'optimal', '1'), '');
  };
  /** Both streams: nothing may be said beside the answer. */
  const spawnText = (program: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(program, args, { ...box.user, env: box.env, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.equal(stderr, '');
    return stdout;
  };

  it('fuse2fs mounts ext4, and e2fsck finds what it wrote', async () => {
    const [files, mountPoint] = ['files', 'mnt'].map((name) => join(box.folder, name)) as [string, string];
    for (const path of [files, mountPoint]) {
      mkdirSync(path, { mode: 0o700 });
      if (box.user) await chown(path, box.user.uid, box.user.gid);
    }
    const filter = [
      '[',
      'nbdkit',
      '--exit-with-parent',
      '--filter=blocksize',
      'nbd',
      `uri=${uri(`lun${EXT4}p1`)}`,
      ']',
    ];
    const nbdfuse = spawn('nbdfuse', [`${files}/disk`, ...filter], { ...box.user, env: box.env, stdio: 'ignore' });
    const gone = new Promise((resolve) => nbdfuse.once('close', resolve));
    try {
      await until(() => mounts().some(({ target }) => target === files));
      tool('fuse2fs', '-o', 'fakeroot', `${files}/disk`, mountPoint);
      await until(() => mounts().some(({ target }) => target === mountPoint));
      tool(
        'sh',
        '-c',
        `mkdir ${mountPoint}/deep && echo kept >${mountPoint}/deep/file && seq 100000 >${mountPoint}/numbers`,
      );
      tool('fusermount3', '-u', mountPoint);
      // fuse2fs writes its last blocks after that, and lets the file go.
      await until(() => spawnSync('fusermount3', ['-u', files], { ...box.user, env: box.env }).status === 0);
      await gone;
    } finally {
      for (const path of [mountPoint, files]) spawnSync('fusermount3', ['-u', '-z', path], { ...box.user });
      nbdfuse.kill();
      await gone;
    }
    const copy = copyOf(`lun${EXT4}p1`);
    tool('e2fsck', '-f', '-n', copy);
    assert.match(tool('debugfs', '-R', 'cat /deep/file', copy), /kept/);
  });

  it('after the LUN has grown, the table and ext4 grow; xfs, btrfs and vfat are refused', async () => {
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGINT');
    await ended;
    for (const lun of TYPES.keys()) await truncate(image(lun), 420 * MIB);
    await serve(`127.0.0.1:${port}`);
    const grown = JSON.parse((await box.ok('disk', 'grow', disk(EXT4), '--json')).stdout);
    assert.deepEqual(grown.partition, { number: 1, path: null, beforeBytes: 338 * MIB, sizeBytes: 418 * MIB });
    assert.deepEqual(grown.fileSystem, {
      ...{ type: 'ext4', mountPoint: null, beforeBytes: 338 * MIB, sizeBytes: 418 * MIB },
    });
    const copy = copyOf(`lun${EXT4}`);
    tableIsRight(copy);
    const part = copyOf(`lun${EXT4}p1`);
    tool('e2fsck', '-f', '-n', part);
    assert.match(tool('debugfs', '-R', 'cat /deep/file', part), /kept/);
    const before = tool('sha256sum', image(EXT4));
    assert.match((await box.ok('disk', 'grow', disk(EXT4))).stdout, /^unchanged: /);
    assert.equal(tool('sha256sum', image(EXT4)), before);
    for (const lun of TYPES.keys()) {
      if (lun === EXT4) continue;
      const hash = tool('sha256sum', image(lun));
      const { code, stderr } = await box.run('disk', 'grow', disk(lun));
      assert.equal(code, 27, stderr);
      assert.match(stderr, /grows only while it is mounted|does not grow in place/);
      assert.equal(tool('sha256sum', image(lun)), hash);
    }
  });
});

async function until(isSo: () => boolean): Promise<void> {
  for (const end = Date.now() + 30_000; !isSo(); await sleep(50)) assert.ok(Date.now() < end, 'it takes too long');
}

function whyNoLoops(): string | false {
  return process.getuid?.() === 0 && existsSync('/dev/loop-control') ? false : 'loop devices need root';
}

function whyNot(): string | false {
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch {
    return 'no access to /dev/fuse';
  }
  const folders = ['/usr/bin', '/usr/sbin', '/sbin', '/bin'];
  const missing = NEEDED.find((name) => !folders.some((folder) => existsSync(`${folder}/${name}`)));
  if (missing !== undefined) return `${missing} is missing: sh test/tools/debian-packages.sh test`;
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const { status } = spawnSync(process.execPath, [BIN, '--version'], nobody);
  return status === 0 ? false : 'this checkout cannot be read by nobody';
}
