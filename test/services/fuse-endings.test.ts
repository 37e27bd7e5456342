// However an attach by FUSE ends: no nbdfuse, loop device, mount, socket or process of it stays, at the latest after the next
// command, which says what it has taken away.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTool } from '../../src/disk/run.js';
import { mounts } from '../../src/disk/sysfs.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { machineState, newSince } from '../helpers/machine-state.js';
import { BIN, type Run, Sandbox } from '../helpers/sandbox.js';
import { until } from '../helpers/stream-core.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
/** What the next command may take, with its own start. */
const NEXT_COMMAND_MS = 4000;

interface Ending {
  readonly name: string;
  /** Ends the session or its device. */
  readonly end: () => Promise<void>;
  /** What the next command has to say of it. */
  readonly said?: RegExp;
  /** The session is up afterwards: it has no device then, and can get one again. */
  readonly staysUp?: boolean;
}

describe('the end of an attach by FUSE', { skip: whyNoLoopDisks() ?? false }, () => {
  let box: Sandbox;
  let server: ChildProcess;
  let mountPoint = '';
  const started = machineState();

  before(async () => {
    box = await Sandbox.make(INITIATOR);
    mountPoint = join(box.folder, 'mnt');
    mkdirSync(mountPoint);
    const disk = `${join(box.folder, 'disk.img')}=64M`;
    const { port, child } = await box.serve(disk, '--target', TARGET, '--allow', INITIATOR);
    server = child;
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
    await box.ok('login', TARGET, '--attach', 'fuse');
    await box.ok('disk', 'format', device(), '--type', 'ext4');
    await box.ok('logout', '--all');
  });
  after(async () => {
    server.kill('SIGCONT');
    await box.stop();
    assert.deepEqual(left(), []);
  });
  afterEach(async () => {
    server.kill('SIGCONT');
    for (const { target } of mounts()) if (target === mountPoint) await runTool('umount', ['--lazy', '--', target]);
    await box.run('logout', '--all');
  });

  const session = () => join(box.folder, 'run/s/1');
  const record = () => JSON.parse(readFileSync(join(session(), 'attach-lun0.json'), 'utf8')) as { path: string };
  const device = () => record().path;
  const worker = () => (JSON.parse(readFileSync(join(session(), 'state.json'), 'utf8')) as { pid: number }).pid;
  const runs = (pid: number) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(status(pid));
  const status = (pid: number) => readFileSync(`/proc/${pid}/status`, 'latin1');
  const nbdfuse = () => Number(/process (\d+) nbdfuse/.exec(here().join('\n'))?.[1]);
  /** Without the control socket of the target, which runs all the time. */
  const here = () =>
    newSince(started, box.folder).filter((name) => name.includes('/run/') && !name.includes('/run/t/'));
  /** Also a loop device whose file has been taken out of sight: it bears the name of its export alone. */
  const left = () => [...here(), ...newSince(started).filter((name) => / on \/lun\d/.test(name))];
  const withoutDevice = () => left().filter((name) => !name.startsWith('socket') && !name.includes('lunctl session'));
  const kill = async (pid: number, signal: NodeJS.Signals = 'SIGKILL') => {
    process.kill(pid, signal);
    await until(() => !runs(pid), `${pid} has gone`);
  };
  const mount = async () => {
    await box.ok('disk', 'mount', device(), mountPoint);
    writeFileSync(join(mountPoint, 'file'), 'x'.repeat(100_000));
  };
  const isEmpty = () => readdirSync(mountPoint).length === 0;

  const endings: readonly Ending[] = [
    { name: 'logout', end: async () => void (await box.ok('logout', '--all')) },
    { name: 'lun detach', staysUp: true, end: async () => void (await box.ok('lun', 'detach', 'lun0')) },
    { name: 'SIGTERM to the worker', end: () => kill(worker(), 'SIGTERM') },
    {
      name: 'SIGTERM to the worker, with a file system mounted: unmounted, and its data there after the next login',
      end: async () => {
        await mount();
        await kill(worker(), 'SIGTERM');
        assert.ok(isEmpty());
        await box.ok('login', TARGET, '--attach', 'fuse');
        await runTool('mount', ['-o', 'ro,noload', '--', device(), mountPoint]);
        assert.equal(readFileSync(join(mountPoint, 'file'), 'utf8').length, 100_000);
        await runTool('umount', ['--', mountPoint]);
        await box.ok('logout', '--all');
      },
    },
    {
      name: 'SIGTERM to the worker, with a file system in use',
      end: async () => {
        await mount();
        const user = spawn('sleep', ['600'], { cwd: mountPoint, stdio: 'ignore' });
        await kill(worker(), 'SIGTERM');
        user.kill('SIGKILL');
        await runTool('umount', ['--lazy', '--', mountPoint]);
        await until(() => left().length === 0, 'the device goes with its last user');
      },
    },
    {
      name: 'the worker killed',
      end: () => kill(worker()),
      said: /session 1 to \S+ had died; cleaned up: ended nbdfuse, process \d+, detached \/dev\/loop\d+/,
    },
    {
      name: 'the worker killed, with a file system mounted',
      end: async () => {
        await mount();
        await kill(worker());
      },
      said: /cleaned up: .*unmounted \/\S+\/mnt, detached \/dev\/loop\d+/,
    },
    {
      name: 'worker and nbdfuse killed',
      end: async () => {
        const pids = [worker(), nbdfuse()];
        for (const pid of pids) process.kill(pid, 'SIGKILL');
        await until(() => !pids.some(runs), 'both have gone');
      },
      said: /had died; cleaned up: .*detached \/dev\/loop\d+/,
    },
    {
      name: 'nbdfuse killed',
      staysUp: true,
      end: async () => {
        await kill(nbdfuse());
        await until(() => withoutDevice().length === 0, 'the device has gone by itself');
      },
    },
    {
      name: 'nbdfuse stopped, then a logout',
      end: async () => {
        process.kill(nbdfuse(), 'SIGSTOP');
        await box.ok('logout', '--all');
      },
    },
    {
      name: 'the FUSE file unmounted by hand, then lun detach',
      staysUp: true,
      end: async () => {
        await runTool('umount', ['--lazy', '--', join(session(), 'fuse-lun0')]);
        await box.ok('lun', 'detach', 'lun0');
      },
    },
    {
      name: 'the FUSE file unmounted by hand, then the worker killed',
      end: async () => {
        await runTool('umount', ['--lazy', '--', join(session(), 'fuse-lun0')]);
        await kill(worker());
      },
      said: /cleaned up: .*detached \/dev\/loop\d+/,
    },
    {
      name: 'the loop device detached by hand, then a logout',
      end: async () => {
        await runTool('losetup', ['--detach', device()]);
        await box.ok('logout', '--all');
      },
    },
    {
      name: 'the target away, then a logout',
      end: async () => {
        server.kill('SIGSTOP');
        await box.run('logout', '--all');
        server.kill('SIGCONT');
      },
    },
    {
      name: 'the target away, writes waiting, then SIGTERM to the worker',
      end: async () => {
        server.kill('SIGSTOP');
        const writer = spawn('dd', ['if=/dev/zero', `of=${device()}`, 'bs=64k', 'count=64', 'oflag=direct'], {
          stdio: 'ignore',
        });
        await sleep(300);
        const pid = worker();
        process.kill(pid, 'SIGTERM');
        const end = performance.now() + 40_000;
        while (runs(pid) && performance.now() < end) await sleep(50);
        assert.ok(!runs(pid), 'the worker has ended');
        server.kill('SIGCONT');
        if (writer.exitCode === null) await new Promise((resolve) => writer.once('close', resolve));
      },
    },
  ];

  for (const { name, end, said = null, staysUp = false } of endings) {
    it(name, async () => {
      await box.ok('login', TARGET, '--attach', 'fuse');
      assert.ok(withoutDevice().some((entry) => entry.startsWith('loop device')));
      await end();
      const next = await box.run('session', 'show');
      await box.assertQuick(next, NEXT_COMMAND_MS, 'session', 'show');
      if (said === null) assert.equal(next.stderr.includes('cleaned up'), false, next.stderr);
      else assert.match(next.stderr, said);
      assert.ok(isEmpty(), 'nothing is mounted any more');
      if (!staysUp) {
        assert.deepEqual(left(), []);
        assert.equal(existsSync(session()), false);
        return;
      }
      assert.deepEqual(withoutDevice(), []);
      await box.ok('lun', 'attach', 'lun0', '--attach', 'fuse');
      await box.ok('logout', '--all');
      assert.deepEqual(left(), []);
    });
  }

  it('of a login or attach in which losetup is killed each time: an error, and nothing stays', async () => {
    await box.ok('login', TARGET, '--attach', 'none');
    const script = 'while :; do pkill -9 -x losetup -P PARENT; done';
    const killer = spawn('sh', ['-c', script.replace('PARENT', String(worker()))]);
    const results: Run[] = [];
    for (let i = 0; i < 3; i++) results.push(await box.run('lun', 'attach', 'lun0', '--attach', 'fuse'));
    killer.kill('SIGKILL');
    // Now and then it is too quick to be killed; then it has worked.
    for (const { code, stderr } of results) {
      assert.ok(code === 0 || code === 41, stderr);
      if (code === 41) assert.match(stderr, /losetup was ended by SIGKILL/);
    }
    await box.ok('lun', 'detach', 'lun0');
    assert.deepEqual(withoutDevice(), []);
  });

  it('of one whose run folder is full: an error that says so, nothing stays, and it works once there is room', async () => {
    await box.ok('login', TARGET, '--attach', 'none');
    await box.ok('logout', '--all');
    const run = join(box.folder, 'run');
    await runTool('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', '--', 'tmpfs', run]);
    try {
      await box.ok('login', TARGET, '--attach', 'none');
      writeFileSync(join(run, 'filler'), Buffer.alloc(Number(statfsSync(run).bfree) * 4096));
      const full = await box.run('lun', 'attach', 'lun0', '--attach', 'fuse');
      assert.notEqual(full.code, 0);
      assert.match(full.stderr, /ENOSPC|no space left/i);
      assert.deepEqual(withoutDevice(), []);
      writeFileSync(join(run, 'filler'), '');
      await box.ok('lun', 'attach', 'lun0', '--attach', 'fuse');
      await box.ok('logout', '--all');
      assert.deepEqual(withoutDevice(), []);
    } finally {
      await box.run('logout', '--all');
      await runTool('umount', ['--', run]);
    }
  });

  it('of a disk command that is killed: the next command of any kind cleans up', async () => {
    await box.ok('login', TARGET, '--attach', 'none');
    const args = ['disk', 'format', `${TARGET}/0`, '--type', 'ext4', '--confirm', `${TARGET}/0`];
    const command = spawn(process.execPath, [BIN, ...args], { env: box.env, stdio: 'ignore' });
    await until(() => here().some((name) => name.includes('/run/disk/') && name.startsWith('mount')), 'it is at work');
    command.kill('SIGKILL');
    await new Promise((resolve) => command.once('close', resolve));
    const next = await box.run('lun', 'list');
    assert.match(next.stderr, /warning: disk command \d+ had died; cleaned up: .*removed \S+\/run\/disk\/\d+-\d+/);
    await box.assertQuick(next, NEXT_COMMAND_MS, 'lun', 'list');
    assert.deepEqual(withoutDevice(), []);
    assert.equal((await box.ok('lun', 'list')).stderr, '');
    rmdirSync(join(box.folder, 'run/disk'));
  });
});
