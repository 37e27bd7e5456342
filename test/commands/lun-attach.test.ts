// lun attach and detach as a user runs them, against our own target: the same device as a login's, refusals, and no trace.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTool } from '../../src/disk/run.js';
import { kernelName, sysAttribute } from '../../src/disk/sysfs.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { machineState, newSince } from '../helpers/machine-state.js';
import { FORGET_OTHERS } from '../helpers/mount-namespace.js';
import { BIN, Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const LUN0 = `${TARGET}/0`;
/** Twelfths of the time of an attach between one cut and the next. */
const CUT_EVERY = Number(process.env.LUN_ATTACH_CUT_EVERY ?? 2);

interface Device {
  readonly path: string | null;
  readonly attach: string;
  readonly readOnly: boolean;
  readonly note: string | null;
}
interface Changed {
  readonly changed: boolean;
  readonly device: Device;
}

describe('lun attach and detach', { skip: whyNoLoopDisks(['qemu-io']) ?? false }, () => {
  let box: Sandbox;
  let port = 0;
  const started = machineState();
  before(async () => {
    box = await Sandbox.make(INITIATOR);
    const disks = [`${join(box.folder, 'disk.img')}=64M`, 'ramdisk:8M'];
    ({ port } = await box.serve(...disks, '--target', TARGET, '--allow', INITIATOR));
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
  });
  after(async () => {
    await box.stop();
    assert.deepEqual(box.leftovers(), []);
    assert.deepEqual(newSince(started, box.folder), []);
  });
  afterEach(() => box.run('logout', '--all'));

  const login = (...args: string[]) => box.ok('login', TARGET, '--attach', 'none', ...args);
  const attach = (...args: string[]) => box.run('lun', 'attach', LUN0, '--attach', 'fuse', ...args);
  const json = async <T>(...args: string[]) => JSON.parse((await box.ok(...args, '--json')).stdout) as T;
  const deviceTraces = () => newSince(started, join(box.folder, 'run/s')).filter((name) => !name.startsWith('socket'));
  const links = () => {
    const folder = join(box.folder, 'run/by-path');
    const names = existsSync(folder) ? readdirSync(folder) : [];
    return names.sort().map((name) => `${name} ${readlinkSync(join(folder, name))}`);
  };

  it('make a device and take it away; what is so already is unchanged', async () => {
    await login();
    assert.match((await box.ok('lun', 'list')).stdout, /^ +1 +0 +\S+ +- /m);
    const made = await attach();
    assert.equal(made.code, 0, made.stderr);
    const path = /attached as (\/dev\/loop\d+) \(fuse\)$/m.exec(made.stdout)?.[1];
    assert.ok(path !== undefined, made.stdout);
    assert.equal((await runTool('blockdev', ['--getsize64', path])).stdout.trim(), String(64 * 2 ** 20));
    assert.match((await box.ok('lun', 'list')).stdout, new RegExp(`^ +1 +0 +\\S+ +${path} +64M +512 +rw `, 'm'));
    assert.deepEqual(links(), [`ip-127.0.0.1:${port}-iscsi-${TARGET}-lun-0 ${path}`]);
    for (const args of [['--attach', 'fuse'], []]) {
      const again = await box.ok('lun', 'attach', 'lun0', ...args);
      assert.equal(again.stdout, `unchanged: ${LUN0}, attached as ${path} (fuse)\n`);
      assert.equal(again.stderr, '');
    }
    const [changed] = [await json<Changed>('lun', 'attach', path)];
    assert.deepEqual([changed.changed, changed.device.path], [false, path]);

    assert.equal((await box.ok('lun', 'detach', kernelName(path))).stdout, `${LUN0}: detached from ${path}\n`);
    assert.equal((await box.ok('lun', 'detach', LUN0)).stdout, `unchanged: ${LUN0} has no device\n`);
    assert.deepEqual(links(), []);
    assert.deepEqual(deviceTraces(), []);
    assert.equal(sysAttribute(kernelName(path), 'loop/backing_file'), null);
  });

  it('after a login without devices are the same as a login with them', async () => {
    const plain = (text: string) => {
      const ours = /"(pid|isid|tsih|loggedInAt|ageSeconds|localAddress|lastError|readBytes|writtenBytes)": [^\n]*\n/g;
      return text.replaceAll(ours, '\n').replaceAll(/\/dev\/loop\d+/g, '/dev/loopN');
    };
    await box.ok('login', TARGET, '--attach', 'fuse');
    const [expected, itsLinks] = [(await box.ok('session', 'show', '--json')).stdout, links().length];
    await box.ok('logout', '--all');
    await login();
    for (const lun of ['lun0', 'lun1']) await box.ok('lun', 'attach', lun, '--attach', 'fuse');
    assert.equal(plain((await box.ok('session', 'show', '--json')).stdout), plain(expected));
    assert.equal(links().length, itsLinks);
  });

  it('without the kernel module: 12, and what else there is', {
    skip: existsSync('/sys/module/nbd') ? 'this kernel has nbd' : false,
  }, async () => {
    await login();
    for (const args of [[], ['--attach', 'nbd']]) {
      const run = await box.run('lun', 'attach', LUN0, ...args);
      assert.equal(run.code, 12, run.stderr);
      assert.match(run.stderr, /modprobe nbd/);
      assert.match(run.stderr, /^hint: .*fuse.*NBD URI/m);
    }
    assert.deepEqual(deviceTraces(), []);
  });

  it('without a program that FUSE takes: 12, and the package that brings it', async () => {
    // The session's process makes the device: it is started where the program cannot be run.
    for (const [program, name] of [
      ['/usr/bin/nbdfuse', 'libnbd-bin'],
      ['/usr/bin/fusermount3', 'fuse3'],
    ] as const) {
      const hidden = `${FORGET_OTHERS}mount --bind /dev/null "$0" && exec "$@"`;
      const command = [process.execPath, BIN, 'login', TARGET, '--attach', 'none'];
      const child = spawn('unshare', ['--mount', 'sh', '-c', hidden, program, ...command], {
        env: box.env,
        stdio: 'ignore',
      });
      assert.deepEqual(await once(child, 'close'), [0, null]);
      const run = await attach();
      assert.equal(run.code, 12, run.stderr);
      assert.match(
        run.stderr,
        new RegExp(`^lunctl: ${program.split('/').at(-1)} is not installed .12.\nhint: .*${name}`),
      );
      assert.deepEqual(deviceTraces(), []);
      await box.ok('logout', '--all');
    }
  });

  it('refuse with 28 what is attached otherwise, mounted, or written to by an NBD client', async () => {
    await login();
    await box.ok('lun', 'attach', 'lun0', '--attach', 'fuse');
    const device = (await json<Changed>('lun', 'attach', 'lun0')).device.path ?? '';
    for (const args of [['--attach', 'nbd'], ['--read-only']]) {
      const run = await box.run('lun', 'attach', 'lun0', ...args);
      assert.equal(run.code, 28, run.stderr);
      assert.match(run.stderr, new RegExp(`lun0 is attached as ${device} already .fuse, for writing.`));
      assert.match(run.stderr, /^hint: lunctl lun detach loop\d+ first$/m);
    }
    const folder = join(box.folder, 'mnt');
    mkdirSync(folder);
    await runTool('mkfs.ext4', ['-q', '-F', '--', device]);
    await runTool('mount', ['--', device, folder]);
    const [detach, logout] = [await box.run('lun', 'detach', device), await box.run('logout', TARGET)];
    await runTool('umount', ['--', folder]);
    rmdirSync(folder);
    assert.deepEqual([detach.code, logout.code], [28, 28]);
    assert.match(detach.stderr, new RegExp(`${device} is mounted on ${folder}`));

    const client = await nbdWriter(join(box.folder, 'run/s/1/nbd.sock'), 'lun1');
    const busy = await box.run('lun', 'attach', 'lun1', '--attach', 'fuse');
    client.kill('SIGKILL');
    await once(client, 'exit');
    assert.equal(busy.code, 28, busy.stderr);
    assert.match(busy.stderr, /lun1 is in use by \d+ NBD client/);
    assert.match((await box.ok('lun', 'attach', 'lun1', '--attach', 'fuse')).stdout, /attached as/);
  });

  it('refuse a second path to a disk that is attached, and give it a device once it is not', async () => {
    mkdirSync(join(box.folder, 'db/ifaces'), { recursive: true });
    writeFileSync(join(box.folder, 'db/ifaces/other'), 'iface.iscsi_ifacename = other\niface.transport_name = tcp\n');
    const records = join(box.folder, 'db/nodes', TARGET, `127.0.0.1,${port},1`);
    const record = readFileSync(join(records, 'default'), 'utf8');
    writeFileSync(
      join(records, 'other'),
      record.replace('iface.iscsi_ifacename = default', 'iface.iscsi_ifacename = other'),
    );
    await login('-I', 'default');
    await login('-I', 'other');
    await box.ok('lun', 'attach', LUN0, '-r', '1', '--attach', 'fuse');
    const second = await box.run('lun', 'attach', LUN0, '-r', '2', '--attach', 'fuse');
    assert.equal(second.code, 28, second.stderr);
    assert.match(second.stderr, /lun0 is not attached: second path to a disk that is attached as \/dev\/loop\d+/);
    await box.ok('lun', 'detach', LUN0, '-r', '1');
    await box.ok('lun', 'attach', LUN0, '-r', '2', '--attach', 'fuse');
    rmSync(join(records, 'other'));
  });

  it('read-only is what the device is, and what is said of it', async () => {
    await login();
    const made = await json<Changed>('lun', 'attach', LUN0, '--attach', 'fuse', '--read-only');
    const path = made.device.path ?? '';
    assert.deepEqual([made.changed, made.device.readOnly], [true, true]);
    assert.equal(sysAttribute(kernelName(path), 'ro'), '1');
    assert.match((await box.ok('lun', 'list')).stdout, new RegExp(`${path} +64M +512 +ro `));
    assert.match((await box.ok('lun', 'attach', 'lun0', '--read-only')).stdout, /^unchanged: .* \(fuse, read-only\)$/m);
    await box.ok('lun', 'detach', LUN0);
    assert.match((await box.ok('lun', 'list')).stdout, /^ +1 +0 +\S+ +- +64M +512 +rw /m);
    for (const n of ['0', '5', 'x']) assert.equal((await attach('--connections', n)).code, 7);
  });

  it('say once what FUSE means, after a start of the machine', async () => {
    const other = await Sandbox.make(INITIATOR);
    try {
      await other.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
      await other.ok('login', TARGET, '--attach', 'none');
      const said = [await other.ok('lun', 'attach', 'lun0', '--attach', 'fuse')];
      said.push(await other.ok('lun', 'attach', 'lun0', '--attach', 'fuse'));
      said.push(await other.ok('lun', 'attach', 'lun1', '--attach', 'fuse'));
      said.push(await other.ok('lun', 'show'));
      const times = said.map(({ stdout, stderr }) => `${stdout}${stderr}`.split('when memory runs out').length - 1);
      assert.deepEqual(times, [1, 0, 0, 0]);
    } finally {
      await other.stop();
    }
  });

  it('interrupted at any moment end with 130 and leave nothing', async () => {
    await login();
    const { ms } = await attach();
    await box.ok('lun', 'detach', LUN0);
    const cut = async (signal: NodeJS.Signals, moment: () => Promise<unknown>) => {
      const code = await cutShort(signal, moment);
      // One that was killed says nothing: its worker undoes it, and the next command finds it undone.
      const done = code === 0 || signal === 'SIGKILL' ? await box.ok('lun', 'detach', LUN0) : null;
      if (done === null) assert.match((await box.ok('lun', 'list')).stdout, /^ +1 +0 +\S+ +- /m);
      assert.deepEqual(deviceTraces(), []);
      assert.deepEqual(links(), []);
      return code;
    };
    for (let step = 4; step <= 13; step += CUT_EVERY) {
      await cut(step % 3 === 0 ? 'SIGKILL' : 'SIGINT', () => sleep((ms * step) / 12));
    }
    assert.equal(await cut('SIGINT', begun), 130);
  });

  /** The worker has begun to make the device. */
  async function begun(): Promise<void> {
    const sessions = join(box.folder, 'run/s');
    const isThere = () => readdirSync(sessions).some((sid) => existsSync(join(sessions, sid, 'attach-lun0.json')));
    while (!isThere()) await sleep(1);
  }

  async function cutShort(signal: NodeJS.Signals, moment: () => Promise<unknown>): Promise<number | null> {
    const args = [BIN, 'lun', 'attach', LUN0, '--attach', 'fuse'];
    const child = spawn(process.execPath, args, { env: box.env, stdio: 'ignore' });
    const closed = once(child, 'close') as Promise<[number | null]>;
    await moment();
    child.kill(signal);
    return (await closed)[0];
  }
});

/** A client that has the export open for writing. */
async function nbdWriter(socket: string, name: string): Promise<ChildProcess> {
  const args = ['-f', 'raw', `nbd+unix:///${name}?socket=${socket}`];
  const child = spawn('qemu-io', args, { stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.write('write 0 4096\n');
  await once(child.stdout, 'data');
  return child;
}
