// Sessions against our own target, inside the test's process and in a worker of their own.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { discoverSendTargets } from '../../src/services/discover.js';
import { login, loginForeground } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import type { ServeOptions, Server } from '../../src/services/serve/options.js';
import { attachLun, detachLun, rescanPartitions } from '../../src/services/session/control.js';
import type { LoginRequest } from '../../src/services/session/info.js';
import { linkFolder } from '../../src/services/session/links.js';
import { getSession, listSessions } from '../../src/services/session/registry.js';
import { sessionStats } from '../../src/services/session/stats.js';
import { serveDisks } from '../helpers/own-target.js';
import { succeed } from '../helpers/programs.js';
import { chap, INITIATOR, loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';
import { until } from '../helpers/stream-core.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const SIZE = 2 ** 25;
const noFuse = () => {
  if (process.getuid?.() !== 0) return 'a loop device needs root';
  if (!existsSync('/dev/fuse')) return '/dev/fuse is not there';
  return existsSync('/usr/bin/nbdfuse') ? false : 'nbdfuse is not installed: apt-get install libnbd-bin';
};

describe('login', () => {
  let folder: RunFolder;
  let images: string;
  const servers: Server[] = [];

  const serve = async (changes: Partial<ServeOptions> = {}): Promise<number> => {
    const server = await serveDisks(
      TARGET,
      [{ kind: 'ramdisk', name: `ram${servers.length}`, sizeBytes: SIZE }],
      changes,
    );
    servers.push(server);
    return server.portals[0]?.port ?? 0;
  };
  const nothingLeft = () => assert.deepEqual([folder.sids(), folder.workers()], [[], []]);
  /** A session in this process, ended after `use`. */
  const within = async (port: number, changes: Partial<LoginRequest>, use: (socket: string) => Promise<void>) => {
    const session = await loginForeground(loginRequest(TARGET, port, { foreground: true, ...changes }), {
      paths: folder.paths,
    });
    try {
      await use(session.info.socket);
    } finally {
      await session.logout({ force: true });
    }
    return session.info;
  };

  before(() => {
    folder = makeRunFolder();
    images = mkdtempSync(join(tmpdir(), 'lunctl-login-'));
  });
  after(async () => {
    await logout(folder.sids().map(Number), { paths: folder.paths });
    await Promise.all(servers.map((server) => server.close()));
    nothingLeft();
    folder.remove();
    rmSync(images, { recursive: true });
  });

  it('numbers LUNs from 0 and offers each as an export', async () => {
    const disks = [1, 2, 3].map((n) => ({ kind: 'ramdisk' as const, name: `r${n}`, sizeBytes: n * 2 ** 20 }));
    const port = await serve({ disks });
    const info = await within(port, {}, async (socket) => {
      for (const n of [0, 1, 2]) {
        const size = await succeed('nbdinfo', '--size', `nbd+unix:///lun${n}?socket=${socket}`);
        assert.equal(Number(size), (n + 1) * 2 ** 20);
      }
    });
    assert.deepEqual(
      info.devices.map(({ exportName }) => exportName),
      ['lun0', 'lun1', 'lun2'],
    );
    assert.equal(new Set(info.devices.map(({ designator }) => designator)).size, 3);
    nothingLeft();
  });

  for (const algorithms of [[8, 5, 7, 6], [5], [7]]) {
    it(`proves who both are by CHAP ${algorithms.join()}`, async () => {
      const account = { user: 'username', secret: 'canary-12345' };
      const mutual = { user: 'mutualuser', secret: 'canary-mutual' };
      const port = await serve({ account, mutual });
      const credentials = { ...chap(account.user, account.secret, algorithms), mutual };
      const info = await within(port, { credentials }, async () => {});
      assert.deepEqual([info.authMethod, info.chapUser, info.mutualUser], ['CHAP', 'username', 'mutualuser']);
      assert.equal(info.localAddress, '127.0.0.1');
      const wrong = { ...credentials, mutual: { ...mutual, secret: 'canary-other1' } };
      await assert.rejects(within(port, { credentials: wrong }, async () => {}));
      await assert.rejects(
        within(port, { credentials: null }, async () => {}),
        { code: 'ERR_LOGIN_AUTH' },
      );
      nothingLeft();
    });
  }

  it('keeps data whole with both digests, and with the smallest segments', async () => {
    const port = await serve();
    const source = join(images, 'source');
    const copy = join(images, 'copy');
    for (const negotiate of [
      { headerDigest: 'CRC32C', dataDigest: 'CRC32C' },
      { maxRecvDataSegmentLength: 512, maxBurstLength: 4096, firstBurstLength: 512, immediateData: false },
    ] as const) {
      const bytes = randomBytes(SIZE / 8);
      writeFileSync(source, bytes);
      const info = await within(port, { negotiate }, async (socket) => {
        const uri = `nbd+unix:///lun0?socket=${socket}`;
        await succeed('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', '--target-is-zero', source, uri);
        await succeed('nbdcopy', uri, copy);
      });
      await succeed('cmp', '-n', String(bytes.length), source, copy);
      assert.equal(info.params.headerDigest, 'headerDigest' in negotiate ? 'CRC32C' : 'None');
    }
  });

  it('tells what it has counted', async () => {
    const port = await serve();
    const { paths } = folder;
    await within(port, {}, async (socket) => {
      const sid = Number(folder.sids()[0]);
      const before = await sessionStats(paths, sid);
      // Holes are read like all else.
      await succeed('nbdcopy', '--no-extents', `nbd+unix:///lun0?socket=${socket}`, 'null:');
      const after = await sessionStats(paths, sid);
      assert.deepEqual(Object.keys(after).slice(0, 3), ['txdata_octets', 'rxdata_octets', 'noptx_pdus']);
      assert.ok(after.rxdata_octets - before.rxdata_octets > SIZE, 'all of the disk, and headers');
      assert.ok(after.datain_pdus > before.datain_pdus && after.scsicmd_pdus > before.scsicmd_pdus);
      assert.deepEqual([after.digest_err, after.timeout_err, after.rjt_pdus], [0, 0, 0]);
    });
    await assert.rejects(sessionStats(paths, 77), { code: 'ERR_SESSION_NOT_FOUND' });
  });

  it('leaves a session alone that has the number of one that has ended', async () => {
    const { paths } = folder;
    const session = await login(loginRequest(TARGET, await serve()), { paths });
    const [spared] = await logout([session.sid], { paths, workers: new Map([[session.sid, session.pid + 1]]) });
    assert.equal(spared?.error, null);
    assert.equal((await getSession(paths, session.sid)).pid, session.pid);
    const [ended] = await logout([session.sid], { paths, workers: new Map([[session.sid, session.pid]]) });
    assert.equal(ended?.error, null);
    nothingLeft();
  });

  it('of two at the same time to one portal lets one in', async () => {
    const port = await serve();
    const request = loginRequest(TARGET, port, { foreground: true });
    const results = await Promise.allSettled([1, 2, 3].map(() => loginForeground(request, { paths: folder.paths })));
    const inside = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const refused = results.flatMap((result) =>
      result.status === 'rejected' ? [(result.reason as { code: string }).code] : [],
    );
    assert.deepEqual([inside.length, refused], [1, ['ERR_SESSION_EXISTS', 'ERR_SESSION_EXISTS']]);
    await inside[0]?.logout();
    nothingLeft();
  });

  it('gives two portals of a target two port names, so that neither ends the other', async () => {
    const portals = [0, 0].map((port) => ({ address: '127.0.0.1', port }));
    await serve({ portals });
    const ports = servers.at(-1)?.portals.map(({ port }) => port) ?? [];
    assert.equal(ports.length, 2);
    const sessions = await Promise.all(
      ports.map((port) => loginForeground(loginRequest(TARGET, port, { foreground: true }), { paths: folder.paths })),
    );
    assert.equal(new Set(sessions.map(({ info }) => info.isid)).size, 2);
    const { sessions: listed } = await listSessions(folder.paths);
    assert.deepEqual(
      listed.map(({ sid, state }) => [sid, state]),
      [
        [1, 'LOGGED_IN'],
        [2, 'LOGGED_IN'],
      ],
    );
    await Promise.all(sessions.map((session) => session.logout()));
    nothingLeft();
  });

  it('names what it asked for when it is refused', async () => {
    const port = await serve();
    const stranger = { initiatorName: 'iqn.2022-08.com.test:stranger' };
    await assert.rejects(
      within(port, stranger, async () => {}),
      {
        code: 'ERR_LOGIN_AUTH',
        message: new RegExp(`cannot log in to ${TARGET} at 127\\.0\\.0\\.1:${port}: .*0x0202`),
      },
    );
    const [found] = await discoverSendTargets({ portal: { address: 'localhost', port }, initiatorName: INITIATOR });
    assert.deepEqual(found, { address: '127.0.0.1', port, tpgt: 1, targetName: TARGET });
    nothingLeft();
  });

  describe('with a device', { skip: noFuse() }, () => {
    it('makes one of a size that is right at once, alone writes to it, and is not logged out under a file system', async () => {
      const port = await serve();
      const session = await login(loginRequest(TARGET, port, { attach: 'fuse', timeoutMs: 15_000 }), {
        paths: folder.paths,
      });
      const [disk] = session.devices;
      const device = disk?.path ?? '';
      assert.match(device, /^\/dev\/loop\d+$/);
      assert.equal(Number(await succeed('blockdev', '--getsize64', device)), SIZE);
      const link = join(linkFolder(folder.paths.runDir), `ip-127.0.0.1:${port}-iscsi-${TARGET}-lun-0`);
      assert.equal(readlinkSync(link), device);
      const { exports } = JSON.parse(await succeed('nbdinfo', '--json', disk?.nbd ?? '')) as {
        exports: Record<string, unknown>[];
      };
      assert.equal(exports[0]?.is_read_only, true);
      await succeed('mkfs.ext4', '-q', '-F', device);
      const mount = join(images, 'mnt');
      mkdirSync(mount);
      await succeed('mount', device, mount);
      try {
        // Never with a synchronous call: the disk is served by this very process.
        await writeFile(join(mount, 'file'), 'kept');
        const [refused] = await logout([session.sid], { paths: folder.paths });
        assert.equal(refused?.error?.code, 'ERR_BUSY');
        assert.match(refused?.error?.message ?? '', new RegExp(`${mount}`));
        assert.equal((await getSession(folder.paths, session.sid)).state, 'LOGGED_IN');
      } finally {
        await succeed('umount', mount);
      }
      await succeed('sh', '-c', `echo start=2048 | sfdisk --quiet --wipe never --no-reread --no-tell-kernel ${device}`);
      const partitioned = await rescanPartitions(folder.paths, session.sid, 0);
      assert.deepEqual(
        partitioned.partitions.map(({ exportName }) => exportName),
        ['lun0p1'],
      );
      assert.equal(readlinkSync(`${link}-part1`), `${device}p1`);
      await succeed('sh', '-c', `dd if=/dev/zero of=${device} bs=512 count=1 conv=fsync,notrunc status=none`);
      assert.deepEqual(
        await detachLun(folder.paths, session.sid, 0).then(({ device: { path, attach } }) => [path, attach]),
        [null, 'none'],
      );
      const { device: again } = await attachLun(folder.paths, session.sid, { lun: 0, mode: 'fuse' });
      await succeed('mount', again.path ?? '', mount);
      assert.equal(await succeed('cat', join(mount, 'file')), 'kept');
      await succeed('umount', mount);
      const [result] = await logout([session.sid], { paths: folder.paths });
      assert.equal(result?.error, null);
      assert.doesNotMatch(
        await succeed('losetup', '--list', '--noheadings', '--output', 'BACK-FILE'),
        new RegExp(folder.paths.runDir),
      );
      assert.deepEqual(readdirSync(linkFolder(folder.paths.runDir)), []);
      nothingLeft();
    });

    it('makes one that cannot be written to where that was asked for', async () => {
      const port = await serve();
      const session = await login(loginRequest(TARGET, port, { attach: 'fuse', timeoutMs: 15_000, readOnly: true }), {
        paths: folder.paths,
      });
      const device = session.devices[0]?.path ?? '';
      assert.equal(await succeed('blockdev', '--getro', device), '1\n');
      await assert.rejects(
        succeed('dd', 'if=/dev/zero', `of=${device}`, 'bs=4096', 'count=1', 'oflag=direct', 'status=none'),
      );
      const written = await succeed('qemu-io', '-f', 'raw', '-c', 'write 0 512', session.devices[0]?.nbd ?? '').catch(
        String,
      );
      assert.match(written, /read-only|Operation not permitted|Permission denied/i);
      assert.deepEqual(
        (await logout([session.sid], { paths: folder.paths })).map(({ error }) => error),
        [null],
      );
    });

    it('takes the device of a killed worker away with the next listing', async () => {
      const port = await serve();
      const session = await login(loginRequest(TARGET, port, { attach: 'fuse', timeoutMs: 15_000 }), {
        paths: folder.paths,
      });
      process.kill(session.pid, 'SIGKILL');
      await until(() => !folder.workers().includes(session.pid), 'the worker is dead');
      const { pruned } = await listSessions(folder.paths);
      assert.deepEqual(readdirSync(linkFolder(folder.paths.runDir)), []);
      assert.match(pruned[0]?.removed.join() ?? '', new RegExp(session.devices[0]?.path ?? 'no device'));
      assert.doesNotMatch(
        await succeed('losetup', '--list', '--noheadings', '--output', 'BACK-FILE'),
        new RegExp(folder.paths.runDir),
      );
      nothingLeft();
    });
  });
});
