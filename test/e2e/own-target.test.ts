// Our client on our target, by foreign load: fio verifies what it wrote, and a full disk is called a full disk.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { has, run, succeed } from '../helpers/programs.js';
import { Sandbox } from '../helpers/sandbox.js';

const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';

describe('our client on our own target', () => {
  let box: Sandbox;
  before(async () => {
    box = await Sandbox.make(INITIATOR);
  });
  after(() => box.stop());

  async function login(target: string, ...disk: string[]): Promise<string> {
    const { port } = await box.serve(...disk, '--target', target, '--allow', INITIATOR);
    const { stdout } = await box.ok('login', target, '-p', `127.0.0.1:${port}`, '--attach', 'none', '--json');
    return JSON.parse(stdout).sessions[0].devices[0].nbd;
  }

  for (const [kind, disk] of [
    ['fileio', 'fio.img=64M'],
    ['ramdisk', 'ramdisk:64M'],
  ] as const) {
    it(`verifies fio random writes on ${kind}`, async (t) => {
      if (!has(t, 'fio', 'fio')) return;
      const uri = await login(`iqn.2022-08.com.test:${kind}`, kind === 'fileio' ? join(box.folder, disk) : disk);
      const common = ['--ioengine=nbd', `--uri=${uri}`, '--size=64M', '--verify=crc32c', '--verify_state_save=0'];
      for (const shape of [
        ['--rw=randwrite', '--bs=4k', '--iodepth=32'],
        ['--rw=randwrite', '--bsrange=512-256k', '--blockalign=512', '--iodepth=8'],
        ['--rw=write', '--bs=1m', '--iodepth=8'],
      ]) {
        assert.match(await succeed('fio', '--name=own', ...common, ...shape), /err= 0/);
      }
    });
  }

  it('says that the disk is full when it is, and serves on', async (t) => {
    if (process.getuid?.() !== 0) {
      if (process.env.CI) assert.fail('CI must be root');
      t.skip('a file system of 4 MiB needs root to be mounted');
      return;
    }
    if (!has(t, 'nbdcopy', 'libnbd-bin')) return;
    const small = join(box.folder, 'small');
    await mkdir(small);
    await succeed('mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', small);
    try {
      const uri = await login('iqn.2022-08.com.test:full', join(small, 'disk.img=32M'));
      const data = join(box.folder, 'data');
      await writeFile(data, Buffer.alloc(2 ** 24, 0xa5));
      const full = await run('nbdcopy', data, uri);
      assert.notEqual(full.code, 0);
      assert.match(full.stderr, /No space left on device/);
      // Reads still answer, and the parts that were written are there.
      await succeed('nbdcopy', uri, join(box.folder, 'back'));
      await box.ok('logout', 'iqn.2022-08.com.test:full');
    } finally {
      await succeed('umount', '-l', small);
    }
  });
});
