// The NBD export of a session's worker, in front of tgt, under the tools that write it: nbdcopy, QEMU's, fio, nbdfuse. Every byte
// has to be in the file behind tgt's LUN.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { login } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import { OWN_TARGET, serveDisks } from '../helpers/own-target.js';
import { has, md5, run, succeed } from '../helpers/programs.js';
import { loginRequest, makeRunFolder } from '../helpers/session.js';
import { type Tgt, tgtMissing } from '../helpers/tgt.js';
import { SIZE, TgtExport } from './tgt-export.js';

const MIB = 2 ** 20;

describe('NBD tools that write the export of a session in front of tgt', { skip: tgtMissing() }, () => {
  let lun: TgtExport;
  let folder: string;
  let tgt: Tgt;
  const uri = (name?: string) => lun.uri(name);

  before(async () => {
    lun = await TgtExport.start();
    ({ folder, tgt } = lun);
  });
  after(() => lun?.stop());

  it('nbdcopy writes the LUN, with one connection and with four, and every byte is in the file behind tgt', async (t) => {
    if (!has(t, 'nbdcopy', 'libnbd-bin')) return;
    const source = join(folder, 'source.img');
    for (const connections of [1, 4]) {
      await writeFile(source, Buffer.concat([randomBytes(8 * MIB), Buffer.alloc(16 * MIB), randomBytes(8 * MIB)]));
      await succeed('nbdcopy', `--connections=${connections}`, '--flush', source, uri());
      assert.equal(await md5(tgt.image), await md5(source));
    }
    await succeed('nbdcopy', '--destination-is-zero', '--flush', '--allocated', source, uri());
    assert.equal(await md5(tgt.image), await md5(source));
  });

  it('qemu-img convert writes it, from a sparse image and with a target that is to be zeroed first', async (t) => {
    if (!has(t, 'qemu-img', 'qemu-utils')) return;
    const source = join(folder, 'sparse.img');
    await writeFile(source, randomBytes(3 * MIB));
    await truncate(source, SIZE);
    const convert = ['convert', '-n', '-f', 'raw', '-O', 'raw', '-W', '-m', '8', source, uri()];
    await succeed('qemu-img', ...convert);
    assert.match(await succeed('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', source, uri()), /identical/);
    assert.equal(await md5(tgt.image), await md5(source));
  });

  it('qemu-io writes, zeroes, discards, flushes, and maps', async (t) => {
    if (!has(t, 'qemu-io', 'qemu-utils')) return;
    const commands = [
      'write -P 0x11 0 4M',
      'write -f -P 0x22 1M 64k',
      'write -z 2M 64k',
      'write -z -u 3M 64k',
      'discard 3200k 64k',
      'flush',
      'read -P 0x11 0 1M',
      'read -P 0x22 1M 64k',
      'read -P 0 2M 64k',
      'read -P 0 3M 64k',
      'read -P 0 3200k 64k',
      'aio_write -P 0x33 5M 1M',
      'aio_read 0 1M',
      'aio_flush',
      'read -P 0x33 5M 1M',
      'map',
    ].flatMap((command) => ['-c', command]);
    const output = await succeed('qemu-io', '-f', 'raw', ...commands, uri());
    assert.doesNotMatch(output, /verification failed|error/i);
    assert.match(output, /\(0x0\)|bytes .*allocated/i);
  });

  for (const args of [
    ['--rw=randwrite', '--bsrange=4k-1m'],
    ['--rw=randrw', '--bs=4k', '--direct=1'],
    ['--rw=randtrim', '--bs=64k'],
  ]) {
    it(`fio ${args.join(' ')}`, async (t) => {
      if (!has(t, 'fio', 'fio')) return;
      const job = ['--name=verify', '--ioengine=nbd', `--uri=${uri('lun1p1')}`, '--size=16m', '--iodepth=16', ...args];
      const verify = ['--verify=crc32c', '--verify_fatal=1', '--verify_state_save=0', '--do_verify=1'];
      const output = await succeed('fio', ...job, ...(args[0] === '--rw=randtrim' ? [] : verify));
      assert.match(output, /err= 0/);
    });
  }

  it('nbdfuse makes a file of it: read, written and flushed through the file system', async (t) => {
    if (!has(t, 'nbdfuse', 'libnbd-bin')) return;
    if (!existsSync('/dev/fuse')) return t.skip('no /dev/fuse');
    const point = join(folder, 'fuse');
    await mkdir(point);
    const child: ChildProcess = spawn('nbdfuse', ['--pidfile', join(folder, 'pid'), point, uri()], { stdio: 'ignore' });
    try {
      for (let i = 0; i < 1200 && !existsSync(join(folder, 'pid')); i++) await sleep(50);
      const file = join(point, 'nbd');
      assert.equal(await md5(file), await md5(tgt.image));
      const bytes = randomBytes(MIB);
      const fd = openSync(file, 'r+');
      writeSync(fd, bytes, 0, MIB, 5 * MIB + 4096);
      fdatasyncSync(fd);
      closeSync(fd);
      const behind = Buffer.alloc(MIB);
      const back = openSync(tgt.image, 'r');
      readSync(back, behind, 0, MIB, 5 * MIB + 4096);
      closeSync(back);
      assert.ok(behind.equals(bytes));
    } finally {
      spawnSync('umount', ['-l', point]);
      if (child.exitCode === null) {
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        await Promise.race([gone, sleep(5000).then(() => child.kill('SIGKILL'))]);
      }
    }
  });

  it('after all of them the worker holds no more than before', () => lun.holdsNoMore());
});

describe('NBD tools on a target that is full (F20)', () => {
  it('ENOSPC reaches nbdcopy and nbdsh; other reads go on; once there is space writes work', async (t) => {
    if (!has(t, 'nbdcopy', 'libnbd-bin') || !has(t, 'nbdsh', 'python3-libnbd')) return;
    if (process.getuid?.() !== 0) return t.skip('a file system of its own needs root');
    const folder = await mkdtemp(join(tmpdir(), 'lunctl-full-'));
    const small = join(folder, 'small');
    await mkdir(small);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', small]).status !== 0) {
      await rm(folder, { recursive: true });
      return t.skip('tmpfs cannot be mounted here');
    }
    const runFolder = makeRunFolder();
    const disk = { kind: 'fileio', path: join(small, 'disk.img'), sizeBytes: 32 * MIB } as const;
    const server = await serveDisks(OWN_TARGET, [disk], { allow: [], open: true });
    try {
      const request = loginRequest(OWN_TARGET, server.portals[0]?.port ?? 0);
      const session = await login(request, { paths: runFolder.paths });
      try {
        const uri = session.devices[0]?.nbd ?? '';
        const source = join(folder, 'source.img');
        await writeFile(source, randomBytes(16 * MIB));
        const copied = await run('nbdcopy', source, uri);
        assert.notEqual(copied.code, 0);
        assert.match(copied.stderr, /No space left on device/);
        const script = `
import errno
h.connect_uri("${uri}")
assert len(h.pread(4096, 0)) == 4096
failed = 0
for at in range(16, 32):
    try:
        h.pwrite(b"x" * 1048576, at << 20)
    except nbd.Error as e:
        assert e.errnum == errno.ENOSPC, e
        failed += 1
assert failed > 0
h.trim(16 << 20, 0)
h.pwrite(b"y" * 1048576, 0)
h.flush()
assert h.pread(1048576, 0) == b"y" * 1048576
`;
        await succeed('nbdsh', '-c', script);
      } finally {
        await logout([session.sid], { paths: runFolder.paths });
      }
    } finally {
      await server.close();
      spawnSync('umount', [small]);
      runFolder.remove();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
