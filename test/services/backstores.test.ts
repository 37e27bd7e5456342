// Storage objects as devices: each kind, whose they may not be, and that nothing is left open by a refusal.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { BlockFlag, BlockOp, BlockStatus } from '../../src/block/block-device.js';
import { readBytes, trim, writeBytes } from '../../src/block/promise.js';
import type { StorageObject } from '../../src/saveconfig/model.js';
import { openBackstore } from '../../src/services/serve/backstores/open.js';
import { cLibrary } from '../../src/util/native.js';
import { pattern, statusOf } from '../block/contract.js';

const MIB = 2 ** 20;
const PLAIN = { attributes: {}, alua_tpgs: [] };
let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'lunctl-backstores-'));
});
after(() => rmSync(folder, { recursive: true }));

function fileio(name: string, size = MIB, rest: Partial<Extract<StorageObject, { plugin: 'fileio' }>> = {}) {
  return {
    ...PLAIN,
    plugin: 'fileio',
    name,
    dev: join(folder, `${name}.img`),
    size,
    write_back: true,
    ...rest,
  } as const;
}
function image(name: string, size = MIB): string {
  const path = join(folder, `${name}.img`);
  writeFileSync(path, '');
  truncateSync(path, size);
  return path;
}
/** Files below the test's folder that this process has open. */
function openFiles(): string[] {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return links.filter((link) => link.startsWith(folder));
}
/** A loop device over a new image, or null where this machine has none. */
function loopOver(t: TestContext, name: string): string | null {
  const made = spawnSync('losetup', ['--find', '--show', image(name, 2 ** 25)], { encoding: 'utf8' });
  if (made.status !== 0) {
    t.skip('this machine allows no loop device');
    return null;
  }
  const loop = made.stdout.trim();
  // The kernel keeps a read-only mark for the next user of the number.
  t.after(() => spawnSync('sh', ['-c', 'blockdev --setrw "$0"; losetup -d "$0"', loop]));
  return loop;
}

describe('fileio', () => {
  it('takes an existing file with the size that it has, and says where it is', async () => {
    const path = image('plain', 3 * MIB);
    const store = await openBackstore(fileio('plain', 2 * MIB, { wwn: '1234-5678' }));
    assert.deepEqual(
      [store.path, store.name, store.serial, store.created, store.device.sizeBytes],
      [path, 'plain', '1234-5678', false, 3 * MIB],
    );
    await store.close(true);
    assert.ok(existsSync(path), 'it was there before');
  });

  it('write_back decides the write cache', async () => {
    image('cached');
    for (const write_back of [true, false]) {
      const store = await openBackstore(fileio('cached', MIB, { write_back }));
      assert.equal(store.device.writeCache, write_back);
      await writeBytes(store.device, 0, pattern(4096, 1));
      await store.close(false);
    }
  });

  it('takes block_size from the attributes, and refuses what it cannot honour', async () => {
    image('blocks', MIB + 512);
    const store = await openBackstore(fileio('blocks', MIB, { attributes: { block_size: 4096 } }));
    assert.deepEqual([store.device.blockSize, store.device.sizeBytes], [4096, MIB]);
    await store.close(false);
    await assert.rejects(openBackstore(fileio('blocks', MIB, { attributes: { block_size: 2048 } })), {
      code: 'ERR_NOT_SUPPORTED',
    });
  });

  it('a missing file is made only if asked for, sparse, and removed again by undo', async () => {
    await assert.rejects(openBackstore(fileio('absent')), {
      code: 'ERR_NOT_FOUND',
      message: `/backstores/fileio/absent: ${join(folder, 'absent.img')} does not exist`,
    });
    const store = await openBackstore(fileio('absent', 2 ** 33), { create: true });
    assert.ok(store.created && statSync(join(folder, 'absent.img')).blocks < 100);
    await store.close(true);
    assert.ok(!existsSync(join(folder, 'absent.img')));
  });

  it('a file that has lost its end is refused', async () => {
    image('cut', MIB);
    await assert.rejects(openBackstore(fileio('cut', 2 * MIB)), {
      code: 'ERR_USAGE',
      message: /has 1048576 bytes, not/,
    });
    assert.deepEqual(openFiles(), []);
  });

  it('grows, by itself or by somebody else, and never shrinks', async () => {
    const path = image('grows', MIB);
    const store = await openBackstore(fileio('grows'));
    assert.equal(await store.grow(2 * MIB), 2 * MIB);
    assert.equal(statSync(path).size, 2 * MIB);
    truncateSync(path, 4 * MIB);
    assert.equal(await store.refreshSize(), 4 * MIB);
    await writeBytes(store.device, 4 * MIB - 512, pattern(512, 3));
    await assert.rejects(store.grow(MIB), { code: 'ERR_USAGE' });
    await assert.rejects(store.grow(4 * MIB + 100), { code: 'ERR_USAGE' });
    assert.equal(statSync(path).size, 4 * MIB);
    await store.close(false);
  });
});

describe('ramdisk', () => {
  it('keeps what is written; nullio reads as zeros', async () => {
    const object = { ...PLAIN, plugin: 'ramdisk', name: 'memory', size: MIB } as const;
    const store = await openBackstore(object);
    await writeBytes(store.device, 512, pattern(512, 1));
    assert.ok((await readBytes(store.device, 512, 512)).equals(pattern(512, 1)));
    assert.equal(await store.grow(2 * MIB), 2 * MIB);
    const other = await openBackstore(object);
    assert.notEqual(other.serial, store.serial, 'another content is another disk');
    const nothing = await openBackstore({ ...object, nullio: true });
    await writeBytes(nothing.device, 512, pattern(512, 1));
    assert.ok((await readBytes(nothing.device, 0, MIB)).equals(Buffer.alloc(MIB)));
    for (const { close } of [store, other, nothing]) await close(false);
    await assert.rejects(openBackstore({ ...object, size: 1000 }), { code: 'ERR_USAGE' });
  });

  it('read-only is read-only', async () => {
    const store = await openBackstore({ ...PLAIN, plugin: 'ramdisk', name: 'ro', size: MIB }, { readOnly: true });
    const write = { op: BlockOp.Write, offset: 0, length: 512, payload: Buffer.alloc(512) };
    assert.equal(await statusOf(store.device, write), BlockStatus.Eperm);
    await store.close(false);
  });
});

describe('pscsi', () => {
  const pscsi = (dev: string) => ({ ...PLAIN, plugin: 'pscsi', name: 'p', dev }) as const;

  it('is refused for what is no SCSI device, and nothing is left open', async (t) => {
    if ((await cLibrary()) === null) {
      t.skip('koffi cannot be loaded');
      return;
    }
    await assert.rejects(openBackstore(pscsi(image('no-device'))), { code: 'ERR_USAGE', message: /is no SCSI device/ });
    await assert.rejects(openBackstore(pscsi('/dev/null')), { code: 'ERR_USAGE', message: /is no SCSI device/ });
    for (const absent of ['/dev/absent', '/dev/sg99', '77:0:0:0']) {
      await assert.rejects(openBackstore(pscsi(absent)), { code: 'ERR_NOT_FOUND', message: /there is no SCSI device/ });
    }
    const loop = loopOver(t, 'no-scsi');
    if (loop === null) return;
    await assert.rejects(openBackstore(pscsi(loop)), { code: 'ERR_USAGE', message: /is no SCSI device/ });
    await (await openBackstore({ ...pscsi(loop), plugin: 'block', readonly: false, write_back: false })).close(false);
    assert.deepEqual(openFiles(), []);
  });

  it('says what is missing without koffi', () => {
    const script = `import('./src/services/serve/backstores/open.ts').then(({ openBackstore }) =>
      openBackstore({ plugin: 'pscsi', name: 'p', dev: '/dev/sda', attributes: {}, alua_tpgs: [] })).catch(({ code, message }) =>
      console.log(code, message))`;
    const ran = spawnSync(process.execPath, ['--import', 'tsx', '-e', script], {
      env: { ...process.env, LUNCTL_WITHOUT_KOFFI: '1' },
      encoding: 'utf8',
    });
    assert.match(ran.stdout, /^ERR_DRIVER_MISSING .*without the optional package koffi/, ran.stderr);
  });
});

describe('what somebody else holds is refused (ERR_BUSY), and nothing is left open', () => {
  it('another server: by the lock of the file, under any of its names', async () => {
    image('taken');
    const first = await openBackstore(fileio('taken'));
    await assert.rejects(openBackstore(fileio('taken')), {
      code: 'ERR_BUSY',
      message: /^\/backstores\/fileio\/taken: .*served by another process/,
    });
    spawnSync('ln', [join(folder, 'taken.img'), join(folder, 'alias.img')]);
    await assert.rejects(openBackstore(fileio('alias')), { code: 'ERR_BUSY' });
    assert.equal(openFiles().length, 1);
    await first.close(false);
    await (await openBackstore(fileio('taken'))).close(false);
    assert.deepEqual(openFiles(), []);
  });

  it("the kernel's target", async () => {
    const path = image('lio');
    const core = join(folder, 'core');
    mkdirSync(join(core, 'fileio_0', 'disk01'), { recursive: true });
    spawnSync('ln', [path, join(folder, 'under-another-name')]);
    writeFileSync(join(core, 'fileio_0', 'disk01', 'udev_path'), `${join(folder, 'under-another-name')}\n`);
    await assert.rejects(openBackstore(fileio('lio'), { kernelTarget: core }), {
      code: 'ERR_BUSY',
      message: /backstore disk01 of the kernel's target/,
    });
    assert.deepEqual(openFiles(), []);
    image('free');
    await (await openBackstore(fileio('free'), { kernelTarget: core })).close(false);
  });

  it('a loop device', async (t) => {
    if (loopOver(t, 'looped') === null) return;
    await assert.rejects(openBackstore(fileio('looped')), { code: 'ERR_BUSY', message: /in use as \/dev\/loop/ });
    await (await openBackstore(fileio('looped'), { readOnly: true })).close(false);
    assert.deepEqual(openFiles(), []);
  });

  it('a mount, for writing and for reading', async (t) => {
    const loop = loopOver(t, 'mounted');
    if (loop === null) return;
    const object = { ...PLAIN, plugin: 'block', name: 'm', dev: loop, readonly: false, write_back: false } as const;
    assert.equal(spawnSync('mkfs.ext4', ['-q', '-F', loop]).status, 0);
    const store = await openBackstore(object);
    assert.equal(store.device.writeCache, true, 'the page cache is one');
    await store.close(false);
    const mountPoint = join(folder, 'mnt');
    mkdirSync(mountPoint);
    assert.equal(spawnSync('mount', [loop, mountPoint]).status, 0);
    t.after(() => spawnSync('umount', [mountPoint]));
    for (const readonly of [false, true]) {
      await assert.rejects(openBackstore({ ...object, readonly }), {
        code: 'ERR_BUSY',
        message: /^\/backstores\/block\/m: cannot open .*mounted or held/,
      });
    }
  });
});

describe('block', () => {
  it('a device that the kernel calls read-only is one, and discards reach the device', async (t) => {
    const loop = loopOver(t, 'device');
    if (loop === null) return;
    const object = { ...PLAIN, plugin: 'block', name: 'd', dev: loop, readonly: false, write_back: false } as const;
    const writer = await openBackstore(object);
    assert.ok(!writer.device.readOnly && writer.device.canTrim);
    await writeBytes(writer.device, 0, pattern(4 * MIB, 1), BlockFlag.Fua);
    const blocks = () => statSync(join(folder, 'device.img')).blocks;
    const full = blocks();
    await trim(writer.device, 0, 4 * MIB, BlockFlag.Fua);
    assert.ok(blocks() < full - 4000, `${blocks()} of ${full} blocks`);
    await assert.rejects(writer.grow(2 ** 26), { code: 'ERR_NOT_SUPPORTED' });
    truncateSync(join(folder, 'device.img'), 2 ** 26);
    assert.equal(spawnSync('losetup', ['--set-capacity', loop]).status, 0);
    assert.equal(await writer.refreshSize(), 2 ** 26);
    await writer.close(false);
    assert.equal(spawnSync('blockdev', ['--setro', loop]).status, 0);
    const reader = await openBackstore(object);
    assert.ok(reader.device.readOnly);
    await reader.close(false);
  });

  it('a file is not a block device', async () => {
    const dev = image('file');
    const object = { ...PLAIN, plugin: 'block', name: 'f', dev, readonly: false, write_back: false } as const;
    await assert.rejects(openBackstore(object), { code: 'ERR_USAGE', message: /is no block device/ });
  });
});
