// disk provision, killed with -9 at every gap and within its steps: the next run does the rest, and one more changes no byte.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { runTool } from '../../src/disk/run.js';
import { loopDevices, mounts } from '../../src/disk/sysfs.js';
import { unmountDisk } from '../../src/services/disk/unmount.js';
import { logout } from '../../src/services/logout.js';
import type { Paths } from '../../src/services/paths.js';
import { listSessions } from '../../src/services/session/registry.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { OWN_TARGET, type OwnTarget, startOwn } from '../helpers/own-target.js';
import { INITIATOR } from '../helpers/session.js';

const MIB = 1024 ** 2;
const skip = whyNoLoopDisks() ?? false;
/** How often it is killed at some time within a step. */
const KILLS = Number(process.env.LUNCTL_PROVISION_KILLS ?? 2);

/** Never synchronous: the disk's target is in this process. */
const exec = promisify(execFile);

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

describe('provisioning that is killed', { skip }, () => {
  let folder = '';
  let target: OwnTarget;
  let paths: Paths;
  const dev = `${OWN_TARGET}/0`;
  const argument = (values: object) => ({
    ...{ paths, dev, attach: 'fuse', type: 'ext4', directory: `${folder}/mnt`, initiatorName: INITIATOR },
    // Nothing is written in the background once it is mounted.
    extra: ['-E', 'lazy_itable_init=0,lazy_journal_init=0'],
    portal: { address: '127.0.0.1', port: target.port },
    ...values,
  });
  const run = async (values: object) => {
    const helper = new URL('../helpers/provision-and-die.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, ['--import', 'tsx', helper, JSON.stringify(argument(values))], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    return { code, signal, output, done: output.match(/^\w+(?=!$)/gm) ?? [] };
  };
  const unmount = async () => {
    if (mounts().some(({ target: at }) => at === `${folder}/mnt`)) await runTool('umount', ['--', `${folder}/mnt`]);
  };
  before(async () => {
    folder = mkdtempSync(`${tmpdir()}/lunctl-killed-`);
    process.env.LIBMOUNT_FSTAB = `${folder}/fstab`;
    target = await startOwn();
    const at = (name: string) => `${folder}/${name}`;
    paths = {
      configDir: at('etc'),
      dbDir: at('db'),
      runDir: at('run'),
      targetConfig: at('target.json'),
      stateDir: at('state'),
    };
  });
  const endSessions = async () => {
    const { sessions } = await listSessions(paths);
    await logout(
      sessions.map(({ sid }) => sid),
      { paths },
    );
  };
  after(async () => {
    delete process.env.LIBMOUNT_FSTAB;
    await unmount();
    await endSessions();
    await target.stop();
    assert.deepEqual(
      loopDevices().filter(({ backingFile }) => backingFile.startsWith(folder)),
      [],
    );
    rmSync(folder, { recursive: true });
  });

  test('after each step: the next run does the rest, and one more changes no byte', async () => {
    for (const dieAfter of ['login', 'attach', 'label', 'partition', 'format', 'mount'] as const) {
      const { signal, done, output } = await run({ dieAfter, fstab: true });
      assert.deepEqual([signal, done], ['SIGKILL', [dieAfter]], output);
    }
    const last = await run({ fstab: true });
    assert.deepEqual([last.code, last.done], [0, ['fstab']], last.output);
    await exec('sync', ['--file-system', `${folder}/mnt`]);
    const state = async () => {
      const { sessions } = await listSessions(paths);
      const { mtimeMs, ino } = statSync(`${folder}/fstab`);
      return {
        ...{ mtimeMs, ino, written: sessions[0]?.writtenBytes },
        ...{ image: sha256(target.image), fstab: sha256(`${folder}/fstab`) },
      };
    };
    const before = await state();
    assert.ok((before.written ?? 0) > 0);
    const again = await run({ fstab: true });
    assert.deepEqual([again.code, again.done], [0, []], again.output);
    assert.deepEqual(await state(), before);
    // The same after a logout: login, attach and mount are all that a run has to do.
    await unmountDisk({ where: `${folder}/mnt`, paths, dryRun: false });
    await endSessions();
    const image = sha256(target.image);
    const next = await run({ fstab: true, dieAfter: 'format' });
    assert.deepEqual([next.signal, next.done, sha256(target.image)], ['SIGKILL', ['login', 'attach'], image]);
    assert.deepEqual((await run({ fstab: true })).done, ['mount']);
    await unmountDisk({ where: `${folder}/mnt`, paths, fstab: true, dryRun: false });
    await endSessions();
  });

  test(`${KILLS} times within the format: the next run completes or names what is in the way`, async () => {
    for (let i = 0; i < KILLS; i++) {
      truncateSync(target.image, 0);
      truncateSync(target.image, 16 * MIB);
      const step = i % 2 === 0 ? 'format' : 'label';
      await run({ dieDuring: { step, ms: Math.floor(Math.random() * 120) } });
      let last = await run({});
      // mkfs goes on without us, and holds the disk until it has ended.
      for (let tries = 0; last.code !== 0 && tries < 20; tries++) {
        assert.match(last.output, /in use|cannot be opened/);
        await sleep(200);
        last = await run({});
      }
      assert.equal(last.code, 0, last.output);
      await unmount();
      const { sessions } = await listSessions(paths);
      const device = sessions[0]?.devices[0]?.path ?? '';
      await exec('e2fsck', ['-f', '-n', `${device}p1`]);
      await endSessions();
    }
  });

  test('without a device and killed: nothing stays mounted, and the next run ends with the file system', async () => {
    truncateSync(target.image, 0);
    truncateSync(target.image, 16 * MIB);
    for (const dieAfter of ['label', 'partition', 'format']) {
      const { signal, output } = await run({ attach: 'none', directory: null, dieAfter });
      assert.equal(signal, 'SIGKILL', output);
    }
    const image = sha256(target.image);
    const last = await run({ attach: 'none', directory: null });
    assert.deepEqual([last.code, last.done, sha256(target.image)], [0, [], image], last.output);
    assert.deepEqual(readdirSync(`${paths.runDir}/disk`), []);
    assert.deepEqual(
      mounts().filter(({ target: at }) => at.startsWith(folder)),
      [],
    );
    await endSessions();
  });
});
