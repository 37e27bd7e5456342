// Our client against tgt: discovery, CHAP, a session in a worker process, I/O through its NBD socket by other programs.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { discoverSendTargets } from '../../src/services/discover.js';
import { login, loginForeground } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import { rescanPartitions, verifyBlock } from '../../src/services/session/control.js';
import { DEFAULT_TIMERS, type SessionInfo } from '../../src/services/session/info.js';
import { getSession, listSessions } from '../../src/services/session/registry.js';
import { succeed } from '../helpers/programs.js';
import {
  chap,
  INITIATOR,
  loginRequest,
  makeRunFolder,
  processes,
  type RunFolder,
  readProc,
} from '../helpers/session.js';
import { until } from '../helpers/stream-core.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';

const SIZE = 64 * 2 ** 20;
const SECRET = 'canary-tgt-999';

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('the initiator against tgt', { skip: tgtMissing() }, () => {
  let tgt: Tgt;
  let folder: RunFolder;
  const portal = () => ({ address: '127.0.0.1', port: tgt.port });
  const credentials = () => chap('tgtuser', SECRET);
  const request = (changes = {}) => loginRequest(TGT_TARGET, tgt.port, { credentials: credentials(), ...changes });

  before(async () => {
    folder = makeRunFolder();
    tgt = await startTgt(SIZE);
    tgt.requireChap('tgtuser', SECRET);
  });
  after(async () => {
    await logout(folder.sids().map(Number), { paths: folder.paths });
    await tgt.stop();
    assert.deepEqual(folder.workers(), []);
    folder.remove();
  });

  it('discovers the target', async () => {
    assert.deepEqual(await discoverSendTargets({ portal: portal(), initiatorName: INITIATOR }), [
      { ...portal(), tpgt: 1, targetName: TGT_TARGET },
    ]);
  });

  describe('with a session', () => {
    let session: SessionInfo;
    before(async () => {
      session = await login(request(), { paths: folder.paths });
    });
    after(async () => {
      const [result] = await logout([session.sid], { paths: folder.paths });
      assert.equal(result?.error, null);
      assert.deepEqual([folder.sids(), folder.workers()], [[], []]);
    });
    const uri = (name = 'lun1') => `nbd+unix:///${name}?socket=${session.socket}`;

    it('finds the disk and not the controller', () => {
      assert.equal(session.state, 'LOGGED_IN');
      assert.equal(session.authMethod, 'CHAP');
      assert.equal(session.chapUser, 'tgtuser');
      assert.equal(session.params.maxXmitDataSegmentLength, 8192);
      const [disk, ...others] = session.devices;
      assert.deepEqual(others, []);
      assert.equal(disk?.nbd, uri());
      assert.deepEqual(
        [disk?.lun, disk?.sizeBytes, disk?.blockSize, disk?.vendor, disk?.serial, disk?.path, disk?.attach],
        [1, SIZE, 512, 'IET', 'beaf11', null, 'none'],
      );
    });

    it('lists it to nbdinfo', async () => {
      const { exports } = JSON.parse(
        await succeed('nbdinfo', '--list', '--json', `nbd+unix://?socket=${session.socket}`),
      ) as {
        exports: Record<string, unknown>[];
      };
      assert.deepEqual(
        exports.map((entry) => [entry['export-name'], entry['export-size'], entry.is_read_only, entry.can_multi_conn]),
        [['lun1', SIZE, false, true]],
      );
    });

    it('copies a disk in and out unchanged with nbdcopy, over four connections', async () => {
      const source = join(tgt.folder, 'source');
      const copy = join(tgt.folder, 'copy');
      const bytes = randomBytes(SIZE);
      writeFileSync(source, bytes);
      await succeed('nbdcopy', '--connections=4', '--flush', source, uri());
      assert.equal(sha256(readFileSync(tgt.image)), sha256(bytes));
      await succeed('nbdcopy', '--connections=4', uri(), copy);
      assert.equal(sha256(readFileSync(copy)), sha256(bytes));
    });

    it('reads back what qemu-io wrote, at odd places too', async () => {
      const commands = ['write -P 0xa5 1M 3M', 'write -P 0x5a 4095k 5k', 'write -z 6M 64k', 'flush'];
      const checks = ['read -P 0xa5 1M 3071k', 'read -P 0x5a 4095k 5k', 'read -P 0 6M 64k'];
      const output = await succeed(
        'qemu-io',
        '-f',
        'raw',
        ...[...commands, ...checks].flatMap((c) => ['-c', c]),
        uri(),
      );
      assert.doesNotMatch(output, /Pattern verification failed|error/i);
      assert.equal(output.match(/^read \d+\/\d+ bytes/gm)?.length, 3);
    });

    it('verifies fio random writes of many sizes', async () => {
      const common = [
        '--ioengine=nbd',
        `--uri=${uri()}`,
        '--rw=randwrite',
        '--verify=crc32c',
        '--verify_fatal=1',
        '--verify_state_save=0',
      ];
      for (const sizes of [
        ['--bs=4k', '--size=8M'],
        ['--bsrange=512-1M', '--bs_unaligned=0', '--blockalign=512', '--size=48M'],
      ]) {
        const output = await succeed(
          'fio',
          '--name=verify',
          ...common,
          '--iodepth=32',
          ...sizes,
          '--output-format=json',
        );
        const { jobs } = JSON.parse(output.slice(output.indexOf('{'))) as {
          jobs: { error: number; write: { io_bytes: number } }[];
        };
        assert.equal(jobs[0]?.error, 0);
        assert.ok((jobs[0]?.write.io_bytes ?? 0) >= 8 * 2 ** 20);
      }
    });

    it('exports partitions that appear and takes back those that go', async () => {
      const boot = Buffer.alloc(512);
      boot.writeUInt32LE(0x1a2b3c4d, 440);
      boot[450] = 0x83;
      boot.writeUInt32LE(2048, 454);
      boot.writeUInt32LE(8192, 458);
      boot.writeUInt16BE(0x55aa, 510);
      const table = join(tgt.folder, 'table');
      writeFileSync(table, Buffer.concat([boot, Buffer.alloc(2 ** 20 - 512)]));
      const put = () =>
        succeed(
          'qemu-io',
          '-f',
          'raw',
          '-c',
          `write -s ${table} 0 1M`,
          '-c',
          'write -z 66060288 1M',
          '-c',
          'flush',
          uri(),
        );
      await put();
      const device = await rescanPartitions(folder.paths, session.sid, 1);
      assert.deepEqual(
        device.partitions.map(({ exportName, startBytes, sizeBytes }) => [exportName, startBytes, sizeBytes]),
        [['lun1p1', 2 ** 20, 2 ** 22]],
      );
      assert.equal((await succeed('nbdinfo', '--size', uri('lun1p1'))).trim(), String(2 ** 22));
      await succeed('qemu-io', '-f', 'raw', '-c', 'write -P 0x77 0 64k', '-c', 'flush', uri('lun1p1'));
      await succeed('qemu-io', '-f', 'raw', '-c', 'read -P 0x77 1M 64k', uri());
      writeFileSync(table, Buffer.alloc(2 ** 20));
      await put();
      assert.deepEqual((await rescanPartitions(folder.paths, session.sid, 1)).partitions, []);
      await assert.rejects(succeed('nbdinfo', '--size', uri('lun1p1')));
    });

    it('confirms a block that was read another way, and only that block', async () => {
      const image = readFileSync(tgt.image);
      const proof = { lun: 1, offset: 2 ** 20, length: 4096, sha256: sha256(image.subarray(2 ** 20, 2 ** 20 + 4096)) };
      assert.equal(await verifyBlock(folder.paths, session.sid, proof), true);
      assert.equal(
        await verifyBlock(folder.paths, session.sid, { ...proof, sha256: sha256(Buffer.alloc(4095)) }),
        false,
      );
      await assert.rejects(verifyBlock(folder.paths, session.sid, { ...proof, lun: 0 }), { code: 'ERR_NOT_FOUND' });
      await assert.rejects(verifyBlock(folder.paths, session.sid, { ...proof, length: 0 }), { code: 'ERR_USAGE' });
      await assert.rejects(verifyBlock(folder.paths, 99, proof), { code: 'ERR_SESSION_NOT_FOUND' });
    });

    it('counts bytes, answers while I/O runs, and is listed', async () => {
      const copying = succeed('nbdcopy', uri(), join(tgt.folder, 'copy2'));
      const before = await getSession(folder.paths, session.sid);
      await copying;
      const { readBytes } = await getSession(folder.paths, session.sid);
      assert.ok(readBytes >= before.readBytes);
      assert.ok(readBytes >= SIZE);
      const { sessions, silent, pruned } = await listSessions(folder.paths);
      assert.deepEqual([sessions.map(({ sid }) => sid), silent, pruned], [[session.sid], [], []]);
    });

    it('refuses a second session on the same path', async () => {
      await assert.rejects(login(request(), { paths: folder.paths }), { code: 'ERR_SESSION_EXISTS' });
      assert.equal(folder.sids().length, 1);
    });

    it('shows the secret nowhere', () => {
      for (const pid of processes(() => true)) {
        // tgtadm was given it on its command line by this test, and has ended.
        assert.ok(!readProc(pid, 'cmdline').includes(SECRET), `in the arguments of ${pid}`);
        assert.ok(!readProc(pid, 'environ').includes(SECRET), `in the environment of ${pid}`);
      }
      const run = join(folder.paths.runDir, 's', String(session.sid));
      for (const name of readdirSync(run)) {
        if (!name.endsWith('.sock')) assert.ok(!readFileSync(join(run, name), 'latin1').includes(SECRET), name);
      }
    });
  });

  it('is refused with a wrong secret, an unknown target and a closed port, and leaves nothing', async () => {
    const wrong = login(request({ credentials: chap('tgtuser', 'canary-wrong1') }), { paths: folder.paths });
    await assert.rejects(wrong, { code: 'ERR_LOGIN_AUTH', message: /login status 0x0201/ });
    const unknown = login(request({ targetName: 'iqn.2022-08.com.test:none' }), { paths: folder.paths });
    await assert.rejects(unknown, { code: 'ERR_FATAL_LOGIN', message: /0x0203/ });
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    const refused = login(loginRequest(TGT_TARGET, port), { paths: folder.paths });
    await assert.rejects(refused, { code: 'ERR_CONNECT', message: /connection refused/ });
    const discovery = discoverSendTargets({ portal: { address: '127.0.0.1', port }, initiatorName: INITIATOR });
    await assert.rejects(discovery, { code: 'ERR_TIMEOUT', message: new RegExp(`127\\.0\\.0\\.1:${port}.*refused`) });
    const name = discoverSendTargets({ portal: { address: 'nowhere.invalid', port: 3260 }, initiatorName: INITIATOR });
    await assert.rejects(name, { code: 'ERR_TRANSPORT', message: /nowhere\.invalid/ });
    assert.deepEqual([folder.sids(), folder.workers()], [[], []]);
  });

  it('leaves nothing when a login is interrupted, whether the portal answers or not', async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    for (const [at, ms] of [
      [port, 3000],
      [tgt.port, 200],
    ] as const) {
      const signal = AbortSignal.timeout(ms);
      const interrupted = login(request({ portal: { address: '127.0.0.1', port: at, tpgt: 1 } }), {
        paths: folder.paths,
        signal,
      });
      await assert.rejects(interrupted, { code: 'ERR_INTERRUPTED' });
      assert.deepEqual([folder.sids(), folder.workers()], [[], []]);
    }
    silent.close();
  });

  it('prunes what a killed worker has left', async () => {
    const session = await login(request(), { paths: folder.paths });
    process.kill(session.pid, 'SIGKILL');
    await until(() => folder.workers().length === 0, 'the worker is dead');
    const { sessions, pruned } = await listSessions(folder.paths);
    assert.deepEqual([sessions, pruned.map(({ sid }) => sid)], [[], [session.sid]]);
    assert.equal(pruned[0]?.state?.targetName, TGT_TARGET);
    assert.deepEqual(folder.sids(), []);
    // The next session has the same port name, so that the target ends the old one.
    const next = await login(request(), { paths: folder.paths });
    assert.equal(next.isid, session.isid);
    process.kill(next.pid, 'SIGTERM');
    await until(() => folder.workers().length === 0, 'the worker has ended');
    assert.deepEqual(folder.sids(), []);
  });

  it('runs inside this process too, read-only if asked', async () => {
    const session = await loginForeground(request({ foreground: true, readOnly: true }), { paths: folder.paths });
    assert.equal(session.info.pid, process.pid);
    const uri = `nbd+unix:///lun1?socket=${session.info.socket}`;
    const { exports } = JSON.parse(await succeed('nbdinfo', '--json', uri)) as { exports: Record<string, unknown>[] };
    assert.equal(exports[0]?.is_read_only, true);
    await session.logout();
    await session.ended;
    assert.ok(!existsSync(session.info.socket));
  });

  it('fails I/O when the target dies, says FAILED, and still logs out cleanly', async () => {
    const mortal = await startTgt(2 ** 24);
    const timers = { ...DEFAULT_TIMERS, replacementTimeoutMs: 1000 };
    const session = await login(loginRequest(TGT_TARGET, mortal.port, { timers }), { paths: folder.paths });
    await mortal.kill();
    const read = succeed('qemu-io', '-f', 'raw', '-c', 'read 0 4k', `nbd+unix:///lun1?socket=${session.socket}`);
    await assert.rejects(read);
    assert.equal((await getSession(folder.paths, session.sid)).state, 'FAILED');
    const [result] = await logout([session.sid], { paths: folder.paths });
    assert.equal(result?.error, null);
    assert.deepEqual([folder.sids(), folder.workers()], [[], []]);
    await mortal.stop();
  });
});
