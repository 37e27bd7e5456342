// Growing partition tables, partitions and file systems on real loop devices; killed between any two steps; and all that
// is refused, with every byte of the disk as it was.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { settlePartitions } from '../../src/disk/nodes.js';
import { runTool } from '../../src/disk/run.js';
import { kernelPartitions, mounts } from '../../src/disk/sysfs.js';
import { type GrowOptions, growDisk } from '../../src/services/disk/grow.js';
import { CAP_SYS_RESOURCE, hasCapability } from '../../src/util/user.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { type FakeSession, startFakeSession, TARGET } from '../helpers/fake-session.js';

const MIB = 2 ** 20;
const SMALL = 340 * MIB;
const LARGE = 420 * MIB;
const FORMAT = { xfs: ['-f'], ext4: ['-F', '-q'], btrfs: ['-f'], vfat: [] } as const;
type Type = keyof typeof FORMAT;
const TYPES = ['xfs', 'ext4', 'btrfs'] as const;
const LOAD = join(import.meta.dirname, '../tools/fs-load.sh');

const skip = whyNoLoopDisks(['nbdkit', 'sgdisk']) ?? false;

describe('disk grow', { skip }, () => {
  let fake: FakeSession;
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(`${tmpdir()}/lunctl-grow-`);
  });
  afterEach(async () => {
    for (const { target } of mounts().filter((mount) => mount.target.startsWith(folder))) unmount(target);
    await fake.close();
    rmSync(folder, { recursive: true });
  });
  const start = async (script: string | null, blockSize = 512, sizeBytes = SMALL) => {
    fake = await startFakeSession({ sizeBytes, blockSize });
    if (script !== null) await sfdisk(script);
  };
  const disk = () => fake.attachment?.path ?? '';
  const sfdisk = async (script: string) => {
    await runTool('sfdisk', ['--quiet', '--wipe=never', '--no-reread', '--no-tell-kernel', '--', disk()], {
      input: script,
    });
    await settlePartitions(disk().slice(5));
  };
  const dump = () =>
    execFileSync('sfdisk', ['--dump', disk()], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const mkfs = (type: Type, part = '') => runTool(`mkfs.${type}`, [...FORMAT[type], '--', `${disk()}${part}`]);
  const mount = (part: string, ...options: string[]) => {
    const directory = `${folder}/mnt`;
    mkdirSync(directory, { recursive: true });
    execFileSync('mount', [...options, '--', `${disk()}${part}`, directory]);
    return directory;
  };
  const unmount = (directory: string) => execFileSync('umount', ['--', directory]);
  const larger = async (sizeBytes = LARGE) => {
    fake.resize(sizeBytes);
    await fake.attachAgain();
  };
  const options = (more: Partial<GrowOptions> = {}): GrowOptions => {
    return { dev: `${TARGET}/0`, paths: fake.paths, partitionOnly: false, dryRun: false, ...more };
  };
  const grow = (more: Partial<GrowOptions> = {}) => growDisk(options(more));
  const checksum = async () => {
    await runTool('blockdev', ['--flushbufs', disk()]);
    return contentHash(fake.image);
  };
  /** Neither a byte changes nor anything is done. */
  const staysAsItIs = async (work: () => Promise<unknown>) => {
    const before = await checksum();
    await work();
    assert.equal(await checksum(), before);
  };
  const unchanged = (more: Partial<GrowOptions> = {}) =>
    staysAsItIs(async () => {
      const { lines, partition, fileSystem } = await grow(more);
      assert.deepEqual({ lines, partition, fileSystem }, { lines: [], partition: null, fileSystem: null });
    });
  const tableIsRight = () => {
    assert.match(execFileSync('sgdisk', ['-v', disk()], { encoding: 'utf8' }), /^No problems found/m);
  };

  const TWO = [
    'label: gpt',
    'start=2048, size=20480, name="first one", attrs="RequiredPartition"',
    'start=22528, size=657408, name="the last", attrs="LegacyBIOSBootable GUID:60"',
  ].join('\n');

  /** ext4 may be resized while it is mounted only with this; elsewhere the refusal is what is tested. */
  const canGrowMounted = (type: Type) => type !== 'ext4' || hasCapability(CAP_SYS_RESOURCE);
  const refusesMounted = () =>
    staysAsItIs(() => assert.rejects(grow(), { code: 'ERR_ACCESS', message: /needs CAP_SYS_RESOURCE/ }));

  for (const type of TYPES) {
    test(`${type}, mounted: table, partition and file system grow, and nothing else changes`, async () => {
      await start(TWO);
      await mkfs('vfat', 'p1');
      await mkfs(type, 'p2');
      await larger();
      const first = readFileSync(`${disk()}p1`);
      const before = dump();
      const directory = mount('p2');
      writeFileSync(`${directory}/file`, 'kept');
      execFileSync('sync', ['-f', directory]);
      if (!canGrowMounted(type)) return refusesMounted();
      const { partition, fileSystem, target } = await grow();
      assert.equal(target.name, `${disk().slice(5)}p2`);
      assert.deepEqual(partition, { number: 2, path: `${disk()}p2`, beforeBytes: 321 * MIB, sizeBytes: 408 * MIB });
      assert.equal(fileSystem?.mountPoint, directory);
      assert.equal(fileSystem?.beforeBytes, 321 * MIB);
      assert.equal(fileSystem?.sizeBytes, 408 * MIB);
      assert.equal(kernelPartitions(disk().slice(5))[1]?.length, 408 * MIB);
      const { blocks, bsize } = statfsSync(directory);
      assert.ok(blocks * bsize > 330 * MIB, String(blocks * bsize));
      assert.deepEqual((await grow()).lines, []);
      unmount(directory);
      // Names, GUIDs, attributes and the other partition: only the size and the last usable sector are new.
      const expected = before
        .replace('size=      657408', 'size=      835584')
        .replace(/^last-lba: .*$/m, 'last-lba: 860126');
      assert.equal(dump(), expected);
      assert.notEqual(dump(), before);
      tableIsRight();
      assert.deepEqual(readFileSync(`${disk()}p1`), first);
      execFileSync('sh', [LOAD, 'check', type, `${disk()}p2`], { stdio: 'pipe' });
      await unchanged();
      mount('p2');
      assert.equal(readFileSync(`${directory}/file`, 'utf8'), 'kept');
    });
  }

  test('ext4 that is not mounted is checked, then grown; xfs and btrfs are refused', async () => {
    await start('label: gpt\nstart=2048, size=690176');
    await mkfs('ext4', 'p1');
    await larger();
    const { fileSystem } = await grow({ dev: `${disk()}p1` });
    assert.deepEqual(fileSystem, { type: 'ext4', mountPoint: null, beforeBytes: 337 * MIB, sizeBytes: 418 * MIB });
    execFileSync('e2fsck', ['-f', '-n', `${disk()}p1`], { stdio: 'pipe' });
    await unchanged();
    for (const type of ['xfs', 'btrfs'] as const) {
      await runTool('wipefs', ['--all', '--', `${disk()}p1`]);
      await sfdisk('label: gpt\nstart=2048, size=690176');
      await mkfs(type, 'p1');
      const refusal = {
        code: 'ERR_NOT_SUPPORTED',
        message: new RegExp(`holds ${type}, which grows only while it is mounted`),
      };
      await staysAsItIs(() => assert.rejects(grow(), refusal));
    }
  });

  test('a dos label; a named partition that has another behind it keeps its size', async () => {
    await start('label: dos\nstart=2048, size=2048, type=83, bootable\nstart=4096, size=100000, type=83');
    await mkfs('ext4', 'p2');
    await larger();
    const before = dump();
    await unchanged({ dev: `${disk()}p1` });
    const { partition } = await grow({ dev: disk(), partition: 2 });
    assert.equal(partition?.sizeBytes, LARGE - 2 * MIB);
    assert.equal(dump(), before.replace('size=      100000', `size=      ${LARGE / 512 - 4096}`));
    await unchanged();
    await assert.rejects(grow({ partition: 3 }), { code: 'ERR_NOT_FOUND' });
  });

  test('an extended partition is refused', async () => {
    await start('label: dos\nstart=2048, size=2048, type=83\nstart=4096, size=100000, type=5');
    await larger();
    await staysAsItIs(() => assert.rejects(grow(), { code: 'ERR_NOT_SUPPORTED', message: /extended or logical/ }));
  });

  test('a file system on the whole disk', async () => {
    for (const type of TYPES) {
      await start(null);
      await mkfs(type);
      await larger();
      const directory = mount('');
      if (!canGrowMounted(type)) {
        await refusesMounted();
        unmount(directory);
      }
      const { partition, fileSystem } = await grow();
      assert.equal(partition, null);
      assert.deepEqual(fileSystem, {
        type,
        mountPoint: canGrowMounted(type) ? directory : null,
        beforeBytes: SMALL,
        sizeBytes: LARGE,
      });
      if (canGrowMounted(type)) unmount(directory);
      await unchanged();
      if (type !== 'btrfs') await fake.close();
    }
  });

  test('blocks of 4096 bytes', async () => {
    await start('label: gpt\nstart=256, size=83456', 4096);
    await mkfs('xfs', 'p1');
    await larger();
    mount('p1');
    const { partition, fileSystem } = await grow();
    assert.deepEqual([partition?.beforeBytes, partition?.sizeBytes], [326 * MIB, 418 * MIB]);
    assert.equal(fileSystem?.sizeBytes, 418 * MIB);
    tableIsRight();
  });

  test('what does not grow in place: 27 and not a byte changed, unless only the partition is meant', async () => {
    const contents: [name: string, make: () => Promise<unknown>][] = [
      ['vfat', () => mkfs('vfat', 'p1')],
      ['swap', async () => execFileSync('mkswap', [`${disk()}p1`], { stdio: 'pipe' })],
      [
        'nothing that is known',
        async () => execFileSync('dd', ['if=/dev/urandom', `of=${disk()}p1`, 'count=64'], { stdio: 'pipe' }),
      ],
    ];
    for (const [name, make] of contents) {
      await start('label: gpt\nstart=2048, size=80000');
      await make();
      await larger();
      const content = readStart(`${disk()}p1`);
      const refusal = { code: 'ERR_NOT_SUPPORTED', message: new RegExp(`holds ${name}, which does not grow`) };
      await staysAsItIs(() => assert.rejects(grow(), refusal));
      const { partition, fileSystem } = await grow({ partitionOnly: true });
      assert.deepEqual([partition?.sizeBytes, fileSystem], [418 * MIB, null]);
      assert.equal(readStart(`${disk()}p1`), content);
      await unchanged();
      if (name !== 'nothing that is known') await fake.close();
    }
    await runTool('wipefs', ['--all', '--', disk()]);
    await mkfs('vfat');
    await staysAsItIs(() => assert.rejects(grow(), { code: 'ERR_NOT_SUPPORTED', message: /holds vfat/ }));
  });

  test('an empty table: new partitions can have the new room', async () => {
    await start('label: gpt');
    await larger();
    assert.equal((await grow()).partition, null);
    tableIsRight();
    assert.match(dump(), /^last-lba: 860126$/m);
    await unchanged();
  });

  test('a dry run prints the lines and changes nothing', async () => {
    await start('label: gpt\nstart=2048, size=690176');
    await mkfs('ext4', 'p1');
    await larger();
    await staysAsItIs(async () => {
      const { lines, partition, fileSystem } = await grow({ dryRun: true });
      assert.equal(lines.length, 4);
      const locked = `flock --no-fork --timeout 30 --conflict-exit-code 73 ${disk()}`;
      assert.match(lines[0] ?? '', new RegExp(`size=856064 \\| ${locked} sfdisk .* -N 1 -- ${disk()}$`));
      assert.deepEqual(lines.slice(1), [
        `partx --update -- ${disk()}`,
        `${locked} e2fsck -f -p -- ${disk()}p1`,
        `${locked} resize2fs -- ${disk()}p1`,
      ]);
      assert.deepEqual([partition?.sizeBytes, fileSystem?.sizeBytes], [418 * MIB, 418 * MIB]);
    });
  });

  test('a device that has its old size: 28 with the commands, mounted or not', async () => {
    await start('label: gpt\nstart=2048, size=690176');
    await mkfs('ext4', 'p1');
    fake.resize(LARGE);
    const refusal = (error: Error & { code?: string; hint?: string }) => {
      assert.equal(error.code, 'ERR_BUSY');
      assert.match(
        error.message,
        new RegExp(`${disk()} still has ${SMALL} bytes, the LUN ${LARGE}; nothing was changed`),
      );
      assert.match(
        error.hint ?? '',
        /lunctl disk unmount .*; lunctl lun detach .*\/0; lunctl lun attach .*\/0 --attach fuse/,
      );
      return true;
    };
    await staysAsItIs(() => assert.rejects(grow(), refusal));
    const directory = mount('p1');
    await assert.rejects(grow(), refusal);
    unmount(directory);
    await fake.attachAgain();
    assert.equal((await grow()).fileSystem?.sizeBytes, 418 * MIB);
  });

  test('a table that describes a larger disk: nothing is made smaller', async () => {
    await start('label: gpt\nstart=2048, size=690176');
    await larger(SMALL / 2);
    await staysAsItIs(() => assert.rejects(grow(), { code: 'ERR_NOT_SUPPORTED', message: /smaller than it says/ }));
  });

  test('held by somebody else, or mounted read-only or where nobody sees it: 28', async () => {
    await start('label: gpt\nstart=2048, size=690176');
    await mkfs('ext4', 'p1');
    await larger();
    const loop = (await runTool('losetup', ['--find', '--show', '--', `${disk()}p1`])).stdout.trim();
    try {
      await staysAsItIs(() =>
        assert.rejects(grow(), { code: 'ERR_BUSY', message: new RegExp(`p1 is behind ${loop}`) }),
      );
    } finally {
      await runTool('losetup', ['--detach', loop]);
    }
    const directory = mount('p1', '-o', 'ro,noload');
    await staysAsItIs(() => assert.rejects(grow(), { code: 'ERR_BUSY', message: /is mounted read-only on/ }));
    unmount(directory);
    const elsewhere = `mount -o noload,ro -- ${disk()}p1 ${directory} && echo mounted && read _`;
    const other = spawn('unshare', ['--mount', 'sh', '-c', elsewhere], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      await once(other.stdout, 'data');
      await staysAsItIs(() =>
        assert.rejects(grow(), {
          code: 'ERR_BUSY',
          message: /in use: .* is mounted on .* in the mount namespace of process/,
        }),
      );
    } finally {
      other.stdin.end('\n');
      await once(other, 'exit');
    }
  });

  const KILLED: [title: string, type: Type, mounted: boolean, steps: string[]][] = [
    ['xfs, mounted', 'xfs', true, ['partition', 'kernel', 'grow']],
    ['btrfs, mounted', 'btrfs', true, ['partition', 'kernel', 'grow']],
    ['ext4, not mounted', 'ext4', false, ['partition', 'kernel', 'check', 'grow']],
  ];
  for (const [title, type, mounted, steps] of KILLED) {
    test(`killed -9 after each of its steps, ${title}: the next run completes it`, async () => {
      for (let after = 1; after <= steps.length; after++) {
        await start('label: gpt\nstart=2048, size=690176, name="x"');
        await mkfs(type, 'p1');
        await larger();
        const directory = mounted ? mount('p1') : null;
        assert.deepEqual(await killedAfter(options(), after), steps.slice(0, after));
        const { partition, fileSystem } = await grow();
        assert.equal(partition !== null, false, 'the partition has been done');
        const rest = after < steps.length ? 418 * MIB : undefined;
        assert.equal(fileSystem?.sizeBytes, rest);
        assert.equal(kernelPartitions(disk().slice(5))[0]?.length, 418 * MIB);
        assert.deepEqual((await grow()).lines, []);
        if (directory !== null) unmount(directory);
        tableIsRight();
        execFileSync('sh', [LOAD, 'check', type, `${disk()}p1`], { stdio: 'pipe' });
        await unchanged();
        if (after < steps.length) await fake.close();
      }
    });
  }
});

/** Of the data of a sparse file, and of where it lies: a hole that has been filled with zeros counts too. */
function contentHash(image: string): string {
  const script = 'tar --create --sparse --mtime=@0 --file=- -- "$1" | sha256sum';
  return execFileSync('sh', ['-c', script, 'sh', image], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

function readStart(path: string): string {
  return execFileSync('dd', [`if=${path}`, 'bs=1M', 'count=4', 'status=none'], { maxBuffer: 8 * MIB }).toString('hex');
}

/** The names of the steps that a `disk grow` in a process of its own has done before it was killed. */
async function killedAfter(options: GrowOptions, dieAfter: number): Promise<string[]> {
  const helper = new URL('../helpers/grow-and-die.ts', import.meta.url).pathname;
  const argument = JSON.stringify({ ...options, dieAfter });
  const child = spawn(process.execPath, ['--import', 'tsx', helper, argument], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk) => (said += chunk));
  await once(child, 'close');
  assert.equal(child.signalCode, 'SIGKILL');
  return said.trim().split('\n');
}
