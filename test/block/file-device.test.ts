import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { mkdtemp, open, rm, stat, statfs, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { allocationOf } from '../../src/block/allocation.js';
import { type BlockDevice, BlockFlag, BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { type FileDevice, type FileDeviceOptions, openFileDevice } from '../../src/block/file-device.js';
import { nativePunch, spawnPunch } from '../../src/block/hole-puncher.js';
import { flush, perform, readBytes, trim, writeBytes, writeZeroes } from '../../src/block/promise.js';
import { blockDeviceContract, type DeviceUnderTest, pattern, statusOf } from './contract.js';

const TMPFS = 0x0102_1994;
const inMemory = (await statfs('/dev/shm').catch(() => null))?.type === TMPFS ? '/dev/shm' : null;
const native = await nativePunch();

async function openImage(
  under: string,
  size: number,
  options: FileDeviceOptions = {},
): Promise<DeviceUnderTest & { device: FileDevice; path: string }> {
  const folder = await mkdtemp(join(under, 'lunctl-file-'));
  const path = join(folder, 'disk.img');
  await writeFile(path, '');
  await truncate(path, size);
  const device = await openFileDevice(path, options);
  return { device, path, dispose: () => rm(folder, { recursive: true }) };
}

blockDeviceContract('file, asynchronous', () => openImage(tmpdir(), 2 ** 23));
blockDeviceContract('file, blocks of 4096, write-through, holes by fallocate(1)', () =>
  openImage(tmpdir(), 2 ** 23, {
    blockSize: 4096,
    writeThrough: true,
    punchMethod: { punch: spawnPunch, smallest: 4096 },
  }),
);
blockDeviceContract('file without holes', () =>
  openImage(tmpdir(), 2 ** 23, { punchMethod: { punch: async () => BlockStatus.Enotsup, smallest: 0 } }),
);
if (inMemory) blockDeviceContract('file in memory, synchronous', () => openImage(inMemory, 2 ** 23));

describe('openFileDevice', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lunctl-open-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('says in one line why a file cannot be a disk', async () => {
    await assert.rejects(openFileDevice(join(folder, 'absent')), {
      code: 'ERR_NOT_FOUND',
      message: `cannot open ${join(folder, 'absent')}: no such file`,
    });
    await assert.rejects(openFileDevice(folder), { code: 'ERR_USAGE' });
    await assert.rejects(openFileDevice('/dev/null'), { code: 'ERR_USAGE' });
    const pipe = join(folder, 'pipe');
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
    await assert.rejects(openFileDevice(pipe), { code: 'ERR_USAGE' });
  });

  it('reads the size of a regular file, rounded down to whole blocks, and notices growth', async () => {
    const path = join(folder, 'odd.img');
    await writeFile(path, Buffer.alloc(10_000));
    const device = await openFileDevice(path, { blockSize: 4096 });
    assert.equal(device.sizeBytes, 8192);
    assert.equal(await device.refreshSize(), 8192);
    await truncate(path, 20_000);
    assert.equal(await device.refreshSize(), 16_384);
    await truncate(path, 0);
    assert.equal(await device.refreshSize(), 16_384, 'a disk never shrinks');
    assert.equal(await statusOf(device, { op: BlockOp.Read, offset: 0, length: 4096 }), BlockStatus.Eio);
    await device.close();
  });

  it('opens a read-only file for reading only', async () => {
    const path = join(folder, 'ro.img');
    await writeFile(path, pattern(4096, 1));
    const device = await openFileDevice(path, { readOnly: true });
    assert.ok(device.readOnly && !device.canTrim);
    assert.ok((await readBytes(device, 0, 4096)).equals(pattern(4096, 1)));
    const write = { op: BlockOp.Write, offset: 0, length: 512, payload: Buffer.alloc(512) };
    assert.equal(await statusOf(device, write), BlockStatus.Eperm);
    await device.close();
  });
});

describe('FileDevice', () => {
  const methods = [{ name: 'fallocate(1)', punch: spawnPunch }, ...(native ? [{ name: 'koffi', punch: native }] : [])];
  for (const { name, punch } of methods) {
    it(`gives trimmed and zeroed ranges back to the file system by ${name}`, async () => {
      const opened = await openImage(tmpdir(), 2 ** 22, { punchMethod: { punch, smallest: 0 } });
      const { device, path } = opened;
      await writeBytes(device, 0, pattern(2 ** 22, 1));
      await flush(device);
      const blocks = async (): Promise<number> => (await stat(path)).blocks;
      const full = await blocks();
      assert.ok(full >= 2 ** 13);
      await Promise.all([0, 1, 2, 3].map((i) => trim(device, i * 2 ** 18, 2 ** 18)));
      assert.ok((await blocks()) <= full - 2 ** 11 + 64, 'trimmed');
      await writeZeroes(device, 2 ** 21, 2 ** 20);
      assert.ok((await blocks()) <= full - 2 ** 12 + 64, 'zeroed');
      assert.ok((await readBytes(device, 2 ** 21, 2 ** 20)).equals(Buffer.alloc(2 ** 20)));
      await writeZeroes(device, 2 ** 21, 2 ** 20, BlockFlag.NoHole);
      await flush(device);
      assert.ok((await blocks()) >= full - 2 ** 11 - 64, 'allocated again');
      await device.close();
      await opened.dispose?.();
    });
  }

  it('tells its holes, as far as koffi does', async (t) => {
    const opened = await openImage(tmpdir(), 2 ** 22);
    const { device } = opened;
    try {
      if (native === null) {
        await assert.rejects(async () => device.allocation?.({ offset: 0, length: 4096 }, 1), {
          code: 'ERR_NOT_SUPPORTED',
        });
        t.skip('koffi cannot be loaded');
        return;
      }
      const range = { offset: 0, length: 2 ** 22 };
      assert.deepEqual(await allocationOf(device, range, 9), [{ length: 2 ** 22, hole: true, zero: true }]);
      await writeBytes(device, 2 ** 20, pattern(2 ** 16, 1));
      await writeBytes(device, 2 ** 21, pattern(512, 1));
      const kinds = async (most: number) =>
        (await allocationOf(device, range, most)).map(({ length, hole, zero }) => [length, hole, zero]);
      const expected = [
        [2 ** 20, true, true],
        [2 ** 16, false, false],
        [2 ** 20 - 2 ** 16, true, true],
        [4096, false, false],
        [2 ** 21 - 4096, true, true],
      ];
      assert.deepEqual(await kinds(9), expected);
      for (const most of [1, 2, 3]) assert.deepEqual(await kinds(most), expected.slice(0, most));
      const inside = await allocationOf(device, { offset: 2 ** 20 + 512, length: 2 ** 16 }, 9);
      assert.deepEqual(
        inside.map(({ length, hole }) => [length, hole]),
        [
          [2 ** 16 - 512, false],
          [512, true],
        ],
      );
      await trim(device, 2 ** 20, 2 ** 16);
      assert.deepEqual((await kinds(1))[0], [2 ** 21, true, true]);
    } finally {
      await device.close();
      await opened.dispose?.();
    }
  });

  it('joins ranges that meet into one hole', async () => {
    const holes: [number, number][] = [];
    const punch = async (_fd: number, offset: number, length: number): Promise<BlockStatus> => {
      holes.push([offset, length]);
      return BlockStatus.Ok;
    };
    const opened = await openImage(tmpdir(), 2 ** 20, { punchMethod: { punch, smallest: 0 } });
    const { device } = opened;
    await Promise.all([
      trim(device, 8192, 4096),
      trim(device, 0, 4096),
      trim(device, 4096, 4096),
      trim(device, 65_536, 512),
    ]);
    assert.deepEqual(holes, [
      [0, 12_288],
      [65_536, 512],
    ]);
    await device.close();
    await opened.dispose?.();
  });

  it('reports a failed flush until the file is opened again', async (t) => {
    const opened = await openImage(tmpdir(), 2 ** 20);
    const { device, path } = opened;
    const full = new Error('EIO: i/o error, fdatasync');
    Object.assign(full, { errno: -5, code: 'EIO' });
    const { fdatasync } = fs;
    t.mock.method(fs, 'fdatasync', (_fd: number, done: (error: Error | null) => void) => setImmediate(done, full));
    await import('node:module').then((module) => module.syncBuiltinESMExports());
    const flushed = { op: BlockOp.Flush, offset: 0, length: 0 };
    const both = await Promise.all([statusOf(device, flushed), statusOf(device, flushed)]);
    assert.deepEqual(both, [BlockStatus.Eio, BlockStatus.Eio]);
    t.mock.restoreAll();
    await import('node:module').then((module) => module.syncBuiltinESMExports());
    assert.equal(fs.fdatasync, fdatasync);
    assert.equal(await statusOf(device, flushed), BlockStatus.Eio, 'still');
    const fua = { op: BlockOp.Write, offset: 0, length: 512, payload: Buffer.alloc(512), flags: BlockFlag.Fua };
    assert.equal(await statusOf(device, fua), BlockStatus.Eio, 'FUA too');
    await device.close();
    const again = await openFileDevice(path);
    await flush(again);
    await again.close();
    await opened.dispose?.();
  });

  it('reports a full file system as ENOSPC', async (t) => {
    if (process.getuid?.() !== 0) {
      t.skip('mounting a small tmpfs needs root');
      return;
    }
    const folder = await mkdtemp(join(tmpdir(), 'lunctl-full-'));
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]);
    if (mounted.status !== 0) {
      await rm(folder, { recursive: true });
      t.skip('this machine allows no mount');
      return;
    }
    let device: BlockDevice | null = null;
    try {
      const path = join(folder, 'disk.img');
      await (await open(path, 'w')).close();
      await truncate(path, 2 ** 23);
      device = await openFileDevice(path);
      const write = { op: BlockOp.Write, offset: 0, length: 2 ** 20, payload: Buffer.alloc(2 ** 20, 1) };
      assert.equal(await statusOf(device, write), BlockStatus.Ok);
      assert.equal(await statusOf(device, { ...write, offset: 2 ** 21 }), BlockStatus.Enospc);
      const zeroes = { op: BlockOp.WriteZeroes, offset: 2 ** 21, length: 2 ** 21, flags: BlockFlag.NoHole };
      assert.equal(await statusOf(device, zeroes), BlockStatus.Enospc);
      assert.ok((await readBytes(device, 0, 512)).equals(Buffer.alloc(512, 1)), 'reads go on');
      await trim(device, 0, 2 ** 20);
      assert.equal(await statusOf(device, { ...write, offset: 2 ** 21 }), BlockStatus.Ok, 'space has come back');
    } finally {
      await device?.close();
      assert.equal(spawnSync('umount', [folder]).status, 0);
      await rm(folder, { recursive: true });
    }
  });

  it('streams a large read in steps', async () => {
    const opened = await openImage(tmpdir(), 2 ** 23);
    const sizes: number[] = [];
    await perform(opened.device, { op: BlockOp.Read, offset: 0, length: 2 ** 22 + 512 }, (piece) => {
      sizes.push(piece.length);
    });
    assert.deepEqual(sizes, [2 ** 20, 2 ** 20, 2 ** 20, 2 ** 20, 512]);
    await opened.device.close();
    await opened.dispose?.();
  });
});

describe('FileDevice on a block device', () => {
  it('takes size and block size from the kernel and refuses a mounted one', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'lunctl-loop-'));
    const image = join(folder, 'disk.img');
    await writeFile(image, '');
    await truncate(image, 2 ** 25);
    const made = spawnSync('losetup', ['--find', '--show', image], { encoding: 'utf8' });
    if (made.status !== 0) {
      await rm(folder, { recursive: true });
      t.skip('this machine allows no loop device');
      return;
    }
    const loop = made.stdout.trim();
    const mountPoint = join(folder, 'mnt');
    try {
      const device = await openFileDevice(loop);
      assert.equal(device.sizeBytes, 2 ** 25);
      assert.equal(device.blockSize, 512);
      await writeBytes(device, 4096, pattern(8192, 1), BlockFlag.Fua);
      assert.ok((await readBytes(device, 4096, 8192)).equals(pattern(8192, 1)));
      await trim(device, 0, 2 ** 20);
      await writeZeroes(device, 4096, 4096);
      assert.ok((await readBytes(device, 4096, 4096)).equals(Buffer.alloc(4096)));
      await assert.rejects(openFileDevice(loop), { code: 'ERR_BUSY' });
      const reader = await openFileDevice(loop, { readOnly: true });
      await reader.close();
      await device.close();
      assert.equal(spawnSync('mkfs.ext4', ['-q', '-F', loop]).status, 0);
      fs.mkdirSync(mountPoint);
      assert.equal(spawnSync('mount', [loop, mountPoint]).status, 0);
      await assert.rejects(openFileDevice(loop), { code: 'ERR_BUSY' });
    } finally {
      spawnSync('umount', [mountPoint]);
      spawnSync('losetup', ['-d', loop]);
      await rm(folder, { recursive: true });
    }
  });
});
