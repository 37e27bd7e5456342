// LUNs that appear, vanish, grow, shrink and are exchanged while a session to tgt is up.
import assert from 'node:assert/strict';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { login } from '../../src/services/login.js';
import { logout } from '../../src/services/logout.js';
import { compareAndWriteLun, rescanSession } from '../../src/services/lun/control.js';
import type { LunChange } from '../../src/services/lun/info.js';
import type { SessionInfo } from '../../src/services/session/info.js';
import { DEFAULT_TIMERS } from '../../src/services/session/info.js';
import { getSession } from '../../src/services/session/registry.js';
import { AppError } from '../../src/util/errors.js';
import { NbdClient } from '../faults/nbd-client.js';
import { FaultProxy } from '../faults/proxy.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { succeed } from '../helpers/programs.js';
import { loginRequest, makeRunFolder, type RunFolder } from '../helpers/session.js';
import { startTgt, TGT_TARGET, type Tgt, tgtMissing } from '../helpers/tgt.js';

const MIB = 2 ** 20;

describe('a rescan of a session to tgt', { skip: tgtMissing() }, () => {
  let tgt: Tgt;
  let folder: RunFolder;
  let session: SessionInfo;

  before(async () => {
    folder = makeRunFolder();
    tgt = await startTgt(16 * MIB);
    session = await login(loginRequest(TGT_TARGET, tgt.port), { paths: folder.paths });
  });
  after(async () => {
    await logout(folder.sids().map(Number), { paths: folder.paths });
    await tgt.stop();
    assert.deepEqual(folder.workers(), []);
    folder.remove();
  });

  const rescan = () => rescanSession(folder.paths, session.sid, {});
  const uri = (name: string) => `nbd+unix:///${name}?socket=${session.socket}`;
  const image = (lun: number) => join(tgt.folder, `${lun}.img`);
  const add = (lun: number, bytes: number) => {
    writeFileSync(image(lun), '');
    truncateSync(image(lun), bytes);
    tgt.adm('--op', 'new', '--mode', 'logicalunit', '--tid', '1', '--lun', String(lun), '-b', image(lun));
  };
  const remove = (lun: number) =>
    tgt.adm('--op', 'delete', '--mode', 'logicalunit', '--tid', '1', '--lun', String(lun));
  /** What changed, without what differs from run to run. */
  const seen = ({ changes }: { changes: LunChange[] }) =>
    changes.map(({ lun, change, oldSizeBytes, sizeBytes }) => [lun, change, oldSizeBytes, sizeBytes]);
  const exportSize = async (name: string) => Number(await succeed('nbdinfo', '--size', uri(name)));

  it('finds nothing where nothing has changed', async () => {
    assert.deepEqual(seen(await rescan()), []);
  });

  it('exports LUNs that appear, also above 255, and withdraws what vanishes', async () => {
    for (const lun of [2, 300, 5000]) add(lun, 8 * MIB);
    const appeared = await rescan();
    assert.deepEqual(
      seen(appeared),
      [2, 300, 5000].map((lun) => [lun, 'appeared', null, 8 * MIB]),
    );
    assert.deepEqual(
      appeared.devices.map(({ lun }) => lun),
      [1, 2, 300, 5000],
    );
    await succeed('qemu-io', '-f', 'raw', '-c', 'write -P 0x5a 1M 64k', '-c', 'flush', uri('lun5000'));
    await succeed('qemu-io', '-f', 'raw', '-c', 'read -P 0x5a 1M 64k', '-c', 'read -P 0 0 1M', uri('lun5000'));
    for (const lun of [2, 5000]) remove(lun);
    assert.deepEqual(
      seen(await rescan()).map(([lun, change]) => [lun, change]),
      [
        [2, 'vanished'],
        [5000, 'vanished'],
      ],
    );
    assert.deepEqual(
      (await getSession(folder.paths, session.sid)).devices.map(({ lun }) => lun),
      [1, 300],
    );
    await assert.rejects(succeed('nbdinfo', '--size', uri('lun2')));
  });

  it('keeps what an NBD client has open: told, its I/O fails, and withdrawn once it is free', async () => {
    add(3, 8 * MIB);
    await rescan();
    const client = await NbdClient.connect(session.socket, 'lun3');
    remove(3);
    const [change] = (await rescan()).changes;
    assert.deepEqual([change?.lun, change?.change], [3, 'vanished']);
    assert.match(change?.note ?? '', /still there because NBD clients have 1 connection to it/);
    await assert.rejects(client.read(0, 512), { errno: 5 });
    client.close();
    await until(async () => {
      const { changes } = await rescan();
      return changes.every(({ note }) => note === null);
    });
    assert.equal(
      (await getSession(folder.paths, session.sid)).devices.some(({ lun }) => lun === 3),
      false,
    );
    assert.deepEqual(seen(await rescan()), []);
  });

  it('shows a new size to clients that connect from then on, and warns of a smaller one', async () => {
    add(4, 8 * MIB);
    await rescan();
    assert.equal(await exportSize('lun4'), 8 * MIB);
    remove(4);
    add(4, 24 * MIB);
    const grown = await rescan();
    assert.deepEqual(seen(grown), [[4, 'grown', 8 * MIB, 24 * MIB]]);
    assert.equal(await exportSize('lun4'), 24 * MIB);
    await succeed('qemu-io', '-f', 'raw', '-c', 'write -P 7 23M 1M', '-c', 'read -P 7 23M 1M', uri('lun4'));
    remove(4);
    add(4, 4 * MIB);
    const shrunk = await rescan();
    assert.deepEqual(seen(shrunk), [[4, 'shrunk', 24 * MIB, 4 * MIB]]);
    assert.match(shrunk.changes[0]?.note ?? '', /DATA BEYOND THE NEW END IS GONE/);
    assert.equal(await exportSize('lun4'), 4 * MIB);
  });

  it('takes another unit at an old number for what it is', async () => {
    add(5, 8 * MIB);
    await rescan();
    remove(5);
    add(5, 8 * MIB);
    tgt.adm('--op', 'update', '--mode', 'logicalunit', '--tid', '1', '--lun', '5', '--params', 'scsi_sn=other');
    const [change] = (await rescan()).changes;
    assert.deepEqual([change?.lun, change?.change], [5, 'replaced']);
    const { devices } = await getSession(folder.paths, session.sid);
    assert.equal(devices.find(({ lun }) => lun === 5)?.serial, 'other');
    await succeed('qemu-io', '-f', 'raw', '-c', 'write -P 1 0 1M', uri('lun5'));
  });

  it('a session of 64 LUNs', async () => {
    for (let lun = 100; lun < 160; lun++) add(lun, MIB);
    const { devices } = await rescan();
    assert.ok(devices.length >= 62, `${devices.length} LUNs`);
    const { exports } = JSON.parse(
      await succeed('nbdinfo', '--list', '--json', `nbd+unix://?socket=${session.socket}`),
    );
    assert.ok(exports.length >= 62);
    await Promise.all(
      [100, 131, 159].map((lun) =>
        succeed('qemu-io', '-f', 'raw', '-c', `write -P ${lun} 0 1M`, '-c', `read -P ${lun} 0 1M`, uri(`lun${lun}`)),
      ),
    );
    for (let lun = 100; lun < 160; lun++) remove(lun);
    assert.equal((await rescan()).changes.filter(({ change }) => change === 'vanished').length, 60);
  });
});

describe('a rescan of a session that attaches', { skip: tgtMissing() || (whyNoLoopDisks() ?? false) }, () => {
  it('makes a device of what appears, keeps a device of what vanishes, and compares and writes only beside no user', async () => {
    const folder = makeRunFolder();
    const tgt = await startTgt(16 * MIB);
    const mount = join(tgt.folder, 'mnt');
    mkdirSync(mount);
    try {
      const session = await login(loginRequest(TGT_TARGET, tgt.port, { attach: 'fuse' }), { paths: folder.paths });
      const image = join(tgt.folder, 'second.img');
      writeFileSync(image, '');
      truncateSync(image, 16 * MIB);
      const unit = ['--mode', 'logicalunit', '--tid', '1', '--lun', '2'];
      tgt.adm('--op', 'new', ...unit, '-b', image);
      const [appeared] = (await rescanSession(folder.paths, session.sid, {})).changes;
      assert.equal(appeared?.change, 'appeared');
      assert.match(appeared?.path ?? '', /^\/dev\/loop\d+$/);
      const device = appeared?.path ?? '';
      await succeed('mkfs.ext4', '-q', device);
      await succeed('mount', device, mount);
      const swap = { lba: 1, compare: Buffer.alloc(512), write: Buffer.alloc(512, 1) };
      const place = { sid: session.sid, lun: 2 };
      await assert.rejects(compareAndWriteLun(folder.paths, place, swap, {}), (error) => {
        assert.ok(error instanceof AppError);
        assert.equal(error.code, 'ERR_BUSY');
        assert.match(error.message, /is mounted on .*nothing was written/);
        return true;
      });
      await succeed('umount', mount);
      // tgt does not know it; that it is asked shows that nothing else stands against it.
      await assert.rejects(compareAndWriteLun(folder.paths, place, swap, {}), { code: 'ERR_NOT_SUPPORTED' });
      tgt.adm('--op', 'delete', ...unit);
      truncateSync(image, 24 * MIB);
      tgt.adm('--op', 'new', ...unit, '-b', image);
      const { changes, devices } = await rescanSession(folder.paths, session.sid, {});
      assert.deepEqual([changes[0]?.change, changes[0]?.sizeBytes], ['grown', 24 * MIB]);
      assert.match(changes[0]?.note ?? '', /^\/dev\/loop\d+ has its old size: detach and attach it/);
      assert.match(devices.find(({ lun }) => lun === 2)?.note ?? '', /has its old size: detach and attach it/);
      // Gone while its session was attached to it: tgt deletes only what no command is in.
      tgt.adm('--op', 'delete', ...unit);
      const [vanished] = (await rescanSession(folder.paths, session.sid, {})).changes;
      assert.deepEqual([vanished?.change, vanished?.path], ['vanished', device]);
      assert.match(vanished?.note ?? '', /still there because it is attached as \/dev\/loop/);
    } finally {
      await succeed('umount', mount).catch(() => {});
      await logout(folder.sids().map(Number), { paths: folder.paths });
      await tgt.stop();
      folder.remove();
    }
  });
});

describe('a rescan against a black hole', { skip: tgtMissing() }, () => {
  it('goes on once the session is back; ends in its time where it does not come back, and so does the logout', async () => {
    const folder = makeRunFolder();
    const tgt = await startTgt(16 * MIB);
    const proxy = await FaultProxy.start(tgt.port);
    try {
      const timers = { ...DEFAULT_TIMERS, noopIntervalMs: 1000, noopTimeoutMs: 1000 };
      const session = await login(loginRequest(TGT_TARGET, proxy.port, { timers }), { paths: folder.paths });
      proxy.live.blackHole();
      assert.deepEqual((await rescanSession(folder.paths, session.sid, {})).changes, []);
      await proxy.setDoor('refuse');
      proxy.live.blackHole();
      const began = performance.now();
      await assert.rejects(rescanSession(folder.paths, session.sid, {}), (error) => {
        assert.ok(error instanceof AppError);
        return error.code === 'ERR_TIMEOUT' || error.code === 'ERR_NOT_CONNECTED';
      });
      const took = performance.now() - began;
      assert.ok(took < 15_000, `${took} ms`);
    } finally {
      const began = performance.now();
      await logout(folder.sids().map(Number), { paths: folder.paths });
      assert.ok(performance.now() - began < 20_000);
      await proxy.close();
      await tgt.stop();
      folder.remove();
    }
  });
});

/** Asks again and again, for a minute at most. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 60_000; !(await holds()); await sleep(50)) {
    assert.ok(performance.now() < end, 'a minute is over');
  }
}
