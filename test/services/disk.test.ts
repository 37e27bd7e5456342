// Label, partition, format and mount on real loop devices, and all they refuse: nothing on the disk may have changed then.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseSizeSpec } from '../../src/disk/layout.js';
import { readOwnTable } from '../../src/disk/own-table.js';
import { parseSpans } from '../../src/disk/positions.js';
import { contentOf, partitionTableOf, signaturesOn } from '../../src/disk/probe.js';
import { runTool } from '../../src/disk/run.js';
import { mounts } from '../../src/disk/sysfs.js';
import { listDisks } from '../../src/services/disk/list.js';
import { mountDisk } from '../../src/services/disk/mount.js';
import {
  checkMkfsArguments,
  type DiskJob,
  prepareFormat,
  prepareLabel,
  preparePartition,
} from '../../src/services/disk/prepare.js';
import { unmountDisk } from '../../src/services/disk/unmount.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { type FakeSession, SERIAL, startFakeSession, TARGET } from '../helpers/fake-session.js';

const MIB = 1024 ** 2;
const skip = whyNoLoopDisks(['nbdkit']) ?? false;

describe('disk commands on a loop device', { skip }, () => {
  let fake: FakeSession;
  let folder = '';
  const jobs: DiskJob[] = [];
  before(async () => {
    folder = mkdtempSync(`${tmpdir()}/lunctl-disk-`);
    fake = await startFakeSession({ sizeBytes: 384 * MIB });
  });
  afterEach(async () => {
    for (const job of jobs.splice(0)) await job.close();
  });
  after(async () => {
    await fake.close();
    rmSync(folder, { recursive: true });
  });
  const keep = async (job: Promise<DiskJob>) => {
    const made = await job;
    jobs.push(made);
    return made;
  };
  const dev = () => `${TARGET}/0`;
  const label = (type: 'gpt' | 'dos' = 'gpt') => keep(prepareLabel({ dev: dev(), paths: fake.paths, type }));
  const partition = (...sizes: string[]) =>
    keep(preparePartition({ dev: dev(), paths: fake.paths, sizes: sizes.map(parseSizeSpec) }));
  const format = (type: 'xfs' | 'ext4' | 'btrfs' | 'vfat', part: number | undefined, extra: string[] = []) =>
    keep(prepareFormat({ dev: dev(), paths: fake.paths, type, partition: part, extra }));
  const run = async (job: DiskJob) => {
    const names: string[] = [];
    const partitions = await job.run(({ step }) => names.push(step.name));
    return { names, partitions };
  };
  const path = () => fake.attachment?.path ?? '';

  test('the way of the Rocky document: blank disk, label, partition, xfs, mount, unmount', async () => {
    const labelling = await label();
    assert.equal(labelling.loss, null);
    assert.deepEqual((await run(labelling)).names, ['label']);
    assert.equal((await contentOf(path())).table, 'gpt');

    const parting = await partition('100%');
    const { partitions } = await run(parting);
    assert.deepEqual(partitions, [{ number: 1, path: `${path()}p1`, sizeBytes: 382 * MIB }]);

    const formatting = await format('xfs', 1, ['-i', 'size=1024', '-s', 'size=4096']);
    assert.equal(formatting.loss, null);
    const lock = `flock --no-fork --timeout 30 --conflict-exit-code 73 ${path()}`;
    assert.deepEqual(formatting.lines, [`${lock} mkfs.xfs -i size=1024 -s size=4096 -- ${path()}p1`]);
    const printed: string[] = [];
    await formatting.run(({ stdout }) => printed.push(stdout));
    assert.match(printed.join(''), /isize=1024.*sectsz=4096/s);

    const directory = `${folder}/mnt/deep`;
    const mounting = { dev: `${dev()}p1`, paths: fake.paths, directory, readOnly: false, extra: [], dryRun: false };
    await assert.rejects(mountDisk({ ...mounting, mkdir: false }), { code: 'ERR_USAGE', message: /is no directory/ });
    const { mounted } = await mountDisk({ ...mounting, mkdir: true });
    assert.deepEqual([mounted?.source, mounted?.type, mounted?.target], [`${path()}p1`, 'xfs', directory]);
    writeFileSync(`${directory}/file`, 'kept');
    await assert.rejects(mountDisk({ ...mounting, mkdir: false }), { code: 'ERR_BUSY' });

    const { disks } = await listDisks({ paths: fake.paths });
    assert.equal(disks[0]?.table, 'gpt');
    assert.equal(disks[0]?.partitions[0]?.type, 'xfs');
    assert.equal(disks[0]?.partitions[0]?.mounts[0]?.target, directory);
    assert.ok((disks[0]?.partitions[0]?.mounts[0]?.usedBytes ?? 0) > 0);

    const { targets } = await unmountDisk({ where: `${dev()}p1`, paths: fake.paths, dryRun: false });
    assert.deepEqual(targets, [directory]);
    assert.deepEqual(readdirSync(directory), []);
    const again = await mountDisk({ ...mounting, mkdir: false, readOnly: true });
    assert.ok(again.mounted !== null);
    assert.equal(readFileSync(`${directory}/file`, 'utf8'), 'kept');
    assert.throws(() => writeFileSync(`${directory}/file`, 'no'), { code: 'EROFS' });
    await unmountDisk({ where: directory, paths: fake.paths, dryRun: false });
    await assert.rejects(unmountDisk({ where: directory, paths: fake.paths, dryRun: false }), {
      code: 'ERR_NOT_FOUND',
    });
  });

  test('what holds something says so, and looking at it changes nothing', async () => {
    await runTool('blockdev', ['--flushbufs', path()]);
    const sum = fake.checksum();
    const jobs = [await label(), await format('ext4', 1), await format('btrfs', undefined)];
    assert.match(
      jobs[0]?.loss?.what ?? '',
      new RegExp(`^${path().slice(5)} \\(${TARGET}/0\\) is not empty: it holds gpt`),
    );
    assert.match(jobs[1]?.loss?.what ?? '', /^loop\d+p1 \(.*\) is not empty: it holds xfs, signature at 0x0\n/);
    for (const job of jobs) assert.deepEqual(job.loss?.accepted, [`${TARGET}/0`, SERIAL]);
    await runTool('blockdev', ['--flushbufs', path()]);
    assert.equal(fake.checksum(), sum);
  });

  test('a mounted partition: every destructive command ends with 28, also for the whole disk', async () => {
    const directory = `${folder}/busy`;
    mkdirSync(directory);
    await runTool('mount', ['--', `${path()}p1`, directory]);
    try {
      await runTool('blockdev', ['--flushbufs', path()]);
      const sum = fake.checksum();
      const busy = { code: 'ERR_BUSY', message: new RegExp(`in use: ${path()}p1 is mounted on ${directory}; nothing`) };
      await assert.rejects(label(), busy);
      await assert.rejects(partition('10M'), busy);
      await assert.rejects(format('xfs', 1), busy);
      await assert.rejects(format('xfs', undefined), busy);
      await runTool('blockdev', ['--flushbufs', path()]);
      assert.equal(fake.checksum(), sum);
    } finally {
      await runTool('umount', ['--', directory]);
    }
  });

  test('mounted between the look and the first step: refused then', async () => {
    const job = await format('xfs', 1);
    const directory = `${folder}/late`;
    mkdirSync(directory);
    await runTool('mount', ['-o', 'ro', '--', `${path()}p1`, directory]);
    try {
      await assert.rejects(run(job), { code: 'ERR_BUSY' });
    } finally {
      await runTool('umount', ['--', directory]);
    }
    assert.equal((await contentOf(`${path()}p1`)).type, 'xfs');
  });

  test('held by another program: 28', async () => {
    const loop = (await runTool('losetup', ['--find', '--show', '--', `${path()}p1`])).stdout.trim();
    try {
      await assert.rejects(label(), { code: 'ERR_BUSY', message: new RegExp(`${path()}p1 is behind ${loop}`) });
    } finally {
      await runTool('losetup', ['--detach', loop]);
    }
    // Claimed, as device mapper, md or a mount in another namespace would do it: the kernel alone knows.
    const claim = await open(`${path()}p1`, constants.O_RDONLY | constants.O_EXCL);
    try {
      await assert.rejects(label(), { code: 'ERR_BUSY', message: /in use by another program/ });
      await assert.rejects(format('xfs', 1), { code: 'ERR_BUSY', message: /in use by another program/ });
    } finally {
      await claim.close();
    }
  });

  test('a device that is not ours: 7, and it keeps its bytes', async () => {
    const other = `${folder}/other.img`;
    writeFileSync(other, '');
    truncateSync(other, 16 * MIB);
    await runTool('mkfs.ext4', ['-q', '-F', '--', other]);
    const sum = createHash('sha256').update(readFileSync(other)).digest('hex');
    const foreign = (await runTool('losetup', ['--find', '--show', '--', other])).stdout.trim();
    try {
      const { paths } = fake;
      const notOurs = { code: 'ERR_USAGE', message: /is not a disk of a lunctl session/ };
      await assert.rejects(prepareLabel({ dev: foreign, paths, type: 'gpt' }), notOurs);
      await assert.rejects(preparePartition({ dev: foreign, paths, sizes: [{ kind: 'max' }] }), notOurs);
      await assert.rejects(prepareFormat({ dev: foreign, paths, type: 'xfs', extra: [] }), notOurs);
      await assert.rejects(prepareFormat({ dev: '/dev/vda', paths, type: 'xfs', extra: [] }), notOurs);
      await assert.rejects(prepareFormat({ dev: dev(), paths, type: 'btrfs', partition: 1, extra: [foreign] }), {
        code: 'ERR_USAGE',
        message: /names another device/,
      });
      assert.throws(() => checkMkfsArguments(['-l', `logdev=${foreign.slice(1)},size=10m`]), { code: 'ERR_USAGE' });
      checkMkfsArguments(['-i', 'size=1024', '-E', 'lazy_itable_init=0,nodiscard', '-L', 'sda']);
    } finally {
      await runTool('losetup', ['--detach', foreign]);
    }
    assert.equal(createHash('sha256').update(readFileSync(other)).digest('hex'), sum);
  });

  test('the name reused for another disk: the proof fails and the other disk keeps its bytes', async () => {
    const second = await startFakeSession({ sizeBytes: 64 * MIB });
    const record = `${second.folder}/attach-lun0.json`;
    try {
      const job = await prepareLabel({ dev: second.attachment?.path ?? '', paths: second.paths, type: 'gpt' });
      // The worker's record says what its device is; a device of that name with another file behind it is another disk.
      const stale = JSON.parse(readFileSync(record, 'utf8')) as { backingFile: string };
      writeFileSync(record, JSON.stringify({ ...stale, backingFile: `${second.folder}/fuse-lun0/other` }));
      const late = await prepareLabel({ dev: second.attachment?.path ?? '', paths: second.paths, type: 'gpt' });
      const sum = second.checksum();
      await assert.rejects(run(late), { code: 'ERR_USAGE', message: /is not the disk of this session/ });
      assert.equal(second.checksum(), sum);
      await job.close();
      await late.close();
      rmSync(record);
      await assert.rejects(prepareLabel({ dev: dev(), paths: second.paths, type: 'gpt' }), { code: 'ERR_USAGE' });
    } finally {
      await second.close();
    }
  });

  test('relabelling wipes what was there, partitions follow, and mkfs leaves one signature', async () => {
    const relabel = await label('dos');
    assert.deepEqual((await run(relabel)).names, ['wipe', 'label']);
    assert.deepEqual(
      (await signaturesOn(path())).map(({ type }) => type),
      ['dos'],
    );
    const { partitions } = await run(await partition('40M', '130M', '10%'));
    assert.deepEqual(
      partitions.map(({ sizeBytes }) => sizeBytes / MIB),
      [40, 130, 38],
    );
    assert.deepEqual(
      (await run(await partition('max'))).partitions.map(({ number }) => number),
      [1, 2, 3, 4],
    );
    await assert.rejects(partition('1M'), { code: 'ERR_USAGE' });
    for (const [type, part] of [
      ['ext4', 1],
      ['btrfs', 2],
      ['vfat', 2],
      ['btrfs', 2],
      ['ext4', 2],
      ['vfat', 1],
      ['ext4', 1],
    ] as const) {
      await run(await format(type, part));
      const found = await signaturesOn(`${path()}p${part}`);
      assert.deepEqual([...new Set(found.map((signature) => signature.type))], [type]);
    }
    await assert.rejects(partition('50%'), { code: 'ERR_USAGE' });
    await assert.rejects(format('ext4', 7), { code: 'ERR_NOT_FOUND' });
    const whole = await format('ext4', undefined);
    assert.notEqual(whole.loss, null);
    assert.deepEqual(await run(whole), { names: ['format', 'clean'], partitions: [] });
    assert.deepEqual(
      (await signaturesOn(path())).map(({ type }) => type),
      ['ext4'],
    );
    await assert.rejects(partition('50%'), { code: 'ERR_REFUSED', message: /holds ext4/ });
  });

  test('a mkfs that refuses its arguments has not touched the old data', async () => {
    const job = await format('xfs', undefined, ['-i', 'size=77']);
    await runTool('blockdev', ['--flushbufs', path()]);
    const sum = fake.checksum();
    await assert.rejects(run(job), { code: 'ERR_HELPER', message: /^mkfs\.xfs failed with exit status 1: .*77/ });
    await runTool('blockdev', ['--flushbufs', path()]);
    assert.equal(fake.checksum(), sum);
  });

  test('an abort ends mkfs and is told as such', async () => {
    const controller = new AbortController();
    controller.abort();
    const job = await keep(prepareLabel({ dev: dev(), paths: fake.paths, type: 'gpt' }));
    const late = await keep(
      prepareLabel({ dev: dev(), paths: fake.paths, type: 'gpt', signal: controller.signal }).catch(() => job),
    );
    assert.equal(late, job);
  });
});

describe('a disk without a device', { skip }, () => {
  test('label and whole-disk format through nbdfuse, nothing left behind', async () => {
    const fake = await startFakeSession({ sizeBytes: 320 * MIB, attach: 'none' });
    try {
      const { paths } = fake;
      const job = await prepareLabel({ dev: `${TARGET}/0`, paths, type: 'gpt' });
      assert.match(
        job.lines.join('\n'),
        /^mkdir .*\nnbdfuse .* &\nuntil .*\nprintf .*\nfusermount3 -u -- \S+\nwait\nrmdir -- \S+$/,
      );
      await job.run(() => {});
      await job.close();
      assert.equal((await contentOf(fake.image)).table, 'gpt');
      const parting = await preparePartition({ dev: `${TARGET}/0`, paths, sizes: [{ kind: 'max' }] });
      await parting.run(() => {});
      await parting.close();
      assert.match((await runTool('sfdisk', ['--verify', '--', fake.image])).stdout, /No errors detected/);
      const formatting = await prepareFormat({ dev: `${TARGET}/0`, paths, type: 'xfs', extra: [] });
      assert.notEqual(formatting.loss, null);
      await formatting.run(() => {});
      await formatting.close();
      assert.equal((await contentOf(fake.image)).type, 'xfs');
      assert.deepEqual(readdirSync(fake.folder).sort(), ['control.sock', 'nbd.sock']);
      assert.deepEqual(readdirSync(`${paths.runDir}/disk`), []);
      const mount = {
        dev: `${TARGET}/0`,
        paths,
        directory: '/mnt',
        mkdir: false,
        readOnly: false,
        extra: [],
        dryRun: true,
      };
      await assert.rejects(mountDisk(mount), { code: 'ERR_USAGE', message: /no device node/ });
    } finally {
      await fake.close();
    }
  });
  test('partitions start where the unit asks for it, which no file could tell', async () => {
    const fake = await startFakeSession({ sizeBytes: 64 * MIB, attach: 'none', optimalIoSize: 8 * MIB });
    try {
      const { paths } = fake;
      const options = { dev: `${TARGET}/0`, paths };
      const label = await prepareLabel({ ...options, type: 'gpt' });
      await label.run(() => {}).finally(() => label.close());
      const partition = await preparePartition({ ...options, sizes: [{ kind: 'max' }] });
      await partition.run(() => {}).finally(() => partition.close());
      assert.match((await runTool('sfdisk', ['--dump', '--', fake.image])).stdout, /start= +16384, size= +98304,/);
    } finally {
      await fake.close();
    }
  });
  test('what a killed command leaves goes with the next one', async () => {
    const fake = await startFakeSession({ sizeBytes: 64 * MIB, attach: 'none' });
    try {
      const { paths } = fake;
      const job = { dev: `${TARGET}/0`, paths, type: 'gpt' };
      const helper = new URL('../helpers/prepare-and-wait.ts', import.meta.url).pathname;
      const killed = spawn(process.execPath, ['--import', 'tsx', helper, JSON.stringify(job)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(killed.stdout, 'data');
      killed.kill('SIGKILL');
      await once(killed, 'exit');
      const folder = `${paths.runDir}/disk`;
      const abandoned = () => mounts().filter(({ target }) => target.startsWith(folder));
      // nbdfuse dies with its command, and takes its mount with it.
      for (const end = performance.now() + 30_000; abandoned().length > 0 && performance.now() < end; ) await sleep(20);
      assert.deepEqual(abandoned(), []);
      assert.equal(readdirSync(folder).length, 1);
      await (await prepareLabel({ dev: `${TARGET}/0`, paths, type: 'gpt' })).close();
      assert.deepEqual([abandoned(), readdirSync(folder)], [[], []]);
    } finally {
      await fake.close();
    }
  });
  test('blocks of 4096 bytes and no device: a table in its own sectors, partition by partition', async () => {
    for (const type of ['gpt', 'dos'] as const) {
      const fake = await startFakeSession({ sizeBytes: 64 * MIB, attach: 'none', blockSize: 4096 });
      try {
        const { paths } = fake;
        const dev = `${TARGET}/0`;
        const run = async (job: DiskJob) => {
          await job.run(() => {});
          await job.close();
        };
        await run(await prepareLabel({ dev, paths, type }));
        for (const words of ['1MiB 5MiB', '5MiB 10MiB 12MiB 20MiB', '80% 100%']) {
          await run(await preparePartition({ dev, paths, spans: parseSpans(words.split(' ')) }));
        }
        const { table } = await readOwnTable(fake.image, 4096);
        assert.deepEqual(
          table.partitions.map(({ start, length }) => [start / MIB, length / MIB]),
          [[1, 4], [5, 5], [12, 8], [51, 12].map((n) => (type === 'dos' && n === 12 ? 13 : n))],
        );
        // The kernel, which knows the sectors of a loop device, reads the same.
        const loop = (
          await runTool('losetup', ['-f', '--show', '--sector-size', '4096', '--', fake.image])
        ).stdout.trim();
        try {
          const { ranges } = (await partitionTableOf(loop)) ?? { ranges: [] };
          assert.deepEqual(
            ranges.map(({ start, length }) => [start * 4096, length * 4096]),
            table.partitions.map(({ start, length }) => [start, length]),
          );
          assert.match((await runTool('sfdisk', ['--verify', '--', loop])).stdout, /No errors detected/);
        } finally {
          await runTool('losetup', ['--detach', loop]);
        }
        const again = await prepareLabel({ dev, paths, type: 'dos' });
        assert.notEqual(again.loss, null);
        await run(again);
        assert.deepEqual((await readOwnTable(fake.image, 4096)).gptHeaders, []);
      } finally {
        await fake.close();
      }
    }
  });
  test('a read-only LUN: refused', async () => {
    const fake = await startFakeSession({ sizeBytes: 64 * MIB, readOnly: true });
    try {
      await assert.rejects(prepareLabel({ dev: `${TARGET}/0`, paths: fake.paths, type: 'gpt' }), {
        code: 'ERR_ACCESS',
      });
    } finally {
      await fake.close();
    }
  });
});

describe('a LUN of 4096-byte blocks on a loop device', { skip }, () => {
  test('label, partition and format in its own sectors', async () => {
    const fake = await startFakeSession({ sizeBytes: 512 * MIB, blockSize: 4096 });
    try {
      const { paths } = fake;
      const steps = [
        await prepareLabel({ dev: `${TARGET}/0`, paths, type: 'gpt' }),
        await prepareLabel({ dev: `${TARGET}/0`, paths, type: 'gpt' }),
      ];
      await steps[0]?.run(() => {});
      const job = await preparePartition({ dev: `${TARGET}/0`, paths, sizes: [{ kind: 'max' }] });
      const partitions = await job.run(() => {});
      assert.deepEqual(
        partitions.map(({ sizeBytes }) => sizeBytes),
        [510 * MIB],
      );
      const formatting = await prepareFormat({ dev: `${TARGET}/0p1`, paths, type: 'xfs', extra: [] });
      await formatting.run(() => {});
      assert.equal((await contentOf(`${fake.attachment?.path}p1`)).type, 'xfs');
    } finally {
      await fake.close();
    }
  });
});
