// F35: a logout is refused while a file system is mounted; a session that must end nevertheless unmounts, takes the device away,
// has the target empty its cache and only then logs out. What was written is there, and nothing hangs. The target's proxy is in
// this process, which therefore touches the file system by other threads only.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mounts } from '../../src/disk/sysfs.js';
import { Opcode } from '../../src/iscsi/wire/bhs.js';
import { CDB_AT } from '../../src/iscsi/wire/scsi-command.js';
import { ScsiOp } from '../../src/scsi/opcodes.js';
import { logout } from '../../src/services/logout.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { succeed } from '../helpers/programs.js';
import { figure, isAlive, Rig, tgtMissing } from './rig.js';

const MOST_MS = 15_000;
const { Write10, Write16, SynchronizeCache10, SynchronizeCache16 } = ScsiOp;
type Seen = 'write' | 'sync' | 'logout';

/** Processes that the kernel holds in an uninterruptible wait, and that have something to do with `name`. */
function stuck(name: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'latin1');
      if (!/^State:\s+D/m.test(status)) return [];
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(name) ? [pid] : [];
    } catch {
      return [];
    }
  });
}

describe('F35: the logout of a session whose disk is in use', {
  skip: tgtMissing() || whyNoLoopDisks() || false,
}, () => {
  it('is refused; by force it loses nothing, in the right order, and nobody hangs', async () => {
    const rig = await Rig.start({ sizeBytes: 64 * 2 ** 20, request: { attach: 'fuse' } });
    const mountPoint = mkdtempSync(join(tmpdir(), 'lunctl-f35-'));
    const seen: Seen[] = [];
    const isMounted = () => mounts().some(({ target }) => target === mountPoint);
    try {
      const device = rig.session.devices[0]?.path ?? '';
      await succeed('mkfs.ext4', '-q', device);
      await succeed('mount', device, mountPoint);
      await writeFile(join(mountPoint, 'early'), 'e'.repeat(50_000));

      const [refused] = await logout([rig.session.sid], { paths: rig.paths });
      assert.equal(refused?.error?.code, 'ERR_BUSY');
      assert.match(refused?.error?.message ?? '', new RegExp(`${device} is mounted on ${mountPoint}`));
      assert.equal((await rig.info()).state, 'LOGGED_IN');
      assert.ok(isMounted());

      for (const link of rig.proxy.links) {
        link.toTarget.watchers.push(({ opcode, bytes }) => {
          const op = bytes[CDB_AT] ?? 0;
          if (opcode === Opcode.LogoutRequest) seen.push('logout');
          if (opcode !== Opcode.ScsiCommand) return;
          if (op === Write10 || op === Write16) seen.push('write');
          if (op === SynchronizeCache10 || op === SynchronizeCache16) seen.push('sync');
        });
      }
      // In the page cache only: it is still to be written when the session is told to end.
      await writeFile(join(mountPoint, 'late'), 'l'.repeat(200_000));
      const began = performance.now();
      let longest = 0;
      let since: number | null = null;
      process.kill(rig.session.pid, 'SIGTERM');
      while (isAlive(rig.session.pid)) {
        assert.ok(performance.now() - began < MOST_MS + 5000, 'the worker has not ended');
        since = stuck(device).length === 0 ? null : (since ?? performance.now());
        if (since !== null) longest = Math.max(longest, performance.now() - since);
        await sleep(20);
      }
      const took = performance.now() - began;
      assert.ok(took < MOST_MS, `${took} ms`);
      assert.ok(longest < 5000, `in D state for ${longest} ms`);
      assert.ok(!isMounted());

      const [lastWrite, lastSync, end] = [seen.lastIndexOf('write'), seen.lastIndexOf('sync'), seen.indexOf('logout')];
      assert.ok(lastWrite >= 0, 'the late file was written');
      assert.ok(lastWrite < lastSync && lastSync < end, seen.join(' '));
      assert.equal(end, seen.length - 1, 'nothing comes after the logout');

      await rig.login();
      const again = rig.session.devices[0]?.path ?? '';
      await succeed('fsck.ext4', '-fn', again);
      await succeed('mount', '-o', 'ro,noload', again, mountPoint);
      assert.equal((await readFile(join(mountPoint, 'early'), 'utf8')).length, 50_000);
      assert.equal(await readFile(join(mountPoint, 'late'), 'utf8'), 'l'.repeat(200_000));
      await succeed('umount', mountPoint);
      figure(
        'F35',
        `logout refused while mounted; SIGTERM: unmounted, ${lastWrite + 1} commands to the last write, SYNCHRONIZE CACHE, Logout in ${(took / 1000).toFixed(2)} s, D state at most ${longest.toFixed(0)} ms, fsck clean`,
      );
    } finally {
      if (isMounted()) await succeed('umount', '--lazy', mountPoint);
      await rig.stop();
      rmdirSync(mountPoint);
    }
  });
});
