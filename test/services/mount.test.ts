// disk mount and unmount with fstab, busy mounts, nested ones and what is no file system, on a real loop device.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { contentOf } from '../../src/disk/probe.js';
import { runTool } from '../../src/disk/run.js';
import { mountPointsOf, mounts } from '../../src/disk/sysfs.js';
import { writeNode } from '../../src/records/node-store.js';
import { fstabOptions, hasLoginUnit } from '../../src/services/disk/fstab.js';
import { type MountOptions, mountDisk } from '../../src/services/disk/mount.js';
import { unmountDisk } from '../../src/services/disk/unmount.js';
import { readConfig, selectNodes, temporaryNode } from '../../src/services/records/records.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { type FakeSession, startFakeSession, TARGET } from '../helpers/fake-session.js';

const MIB = 1024 ** 2;
const skip = whyNoLoopDisks(['nbdkit']) ?? false;
const GENERATOR = '/usr/lib/systemd/system-generators/systemd-fstab-generator';
/** With bytes that are no UTF-8, tabs, and no line feed at its end. */
const OTHERS = Buffer.concat([
  Buffer.from('# made by hand\n/dev/sda1\t/\text4  errors=remount-ro\t0 1\n# caf'),
  Buffer.from([0xe9, 0xff]),
  Buffer.from('\ntmpfs /tmp tmpfs defaults 0 0'),
]);

describe('mount and unmount', { skip }, () => {
  let fake: FakeSession;
  let folder = '';
  let fstab = '';
  let uuid = '';
  let directory = '';
  const children: ChildProcess[] = [];
  const path = () => fake.attachment?.path ?? '';
  const mount = (values: Partial<MountOptions> = {}) =>
    mountDisk({
      ...{ dev: `${TARGET}/0`, paths: fake.paths, directory, mkdir: true, readOnly: false, extra: [], dryRun: false },
      fstab: true,
      ...values,
    });
  const unmount = (where: string, values: { fstab?: boolean; dryRun?: boolean } = {}) =>
    unmountDisk({ where, paths: fake.paths, dryRun: false, ...values });
  const ourLine = (at: string, options = 'defaults,_netdev,nofail') =>
    `UUID=${uuid} ${at} ext4 ${hasLoginUnit() ? `${options},x-systemd.requires=lunctl-login.service` : options} 0 0`;

  before(async () => {
    folder = mkdtempSync(`${tmpdir()}/lunctl-mount-`);
    fake = await startFakeSession({ sizeBytes: 64 * MIB });
    await runTool('mkfs.ext4', ['-q', '-F', '--', path()]);
    uuid = (await contentOf(path())).uuid ?? '';
    process.env.LIBMOUNT_FSTAB = fstab = `${folder}/fstab`;
  });
  beforeEach(() => {
    directory = `${folder}/mnt`;
    rmSync(fstab, { force: true });
    writeFileSync(fstab, OTHERS);
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    for (const { target } of mounts().reverse()) {
      if (target.startsWith(`${folder}/`)) await runTool('umount', ['--', target]);
    }
  });
  after(async () => {
    delete process.env.LIBMOUNT_FSTAB;
    await fake.close();
    rmSync(folder, { recursive: true });
  });

  test('--fstab adds one line, once; mode, owner and every other byte stay', async () => {
    chmodSync(fstab, 0o640);
    chownSync(fstab, 12, 34);
    const { boot } = await mount({ extra: ['-o', 'noexec,nosuid'] });
    const line = ourLine(directory, 'defaults,noexec,nosuid,_netdev,nofail');
    assert.deepEqual(boot?.fstab, { path: fstab, line, changed: true });
    const expected = Buffer.concat([OTHERS, Buffer.from(`\n${line}\n`)]);
    assert.deepEqual(readFileSync(fstab), expected);
    const { mode, uid, gid, mtimeMs, ino } = statSync(fstab);
    assert.deepEqual([mode & 0o7777, uid, gid], [0o640, 12, 34]);
    assert.match(mounts().findLast(({ target }) => target === directory)?.options ?? '', /nosuid.*noexec/);
    // Mounted already, line there already: nothing is written.
    const again = await mount();
    assert.deepEqual([again.boot?.fstab.changed, again.mounted?.target], [false, directory]);
    assert.deepEqual([statSync(fstab).mtimeMs, statSync(fstab).ino], [mtimeMs, ino]);
    await assert.rejects(mount({ fstab: false }), { code: 'ERR_BUSY' });

    assert.match((await unmount(directory, { fstab: true, dryRun: true })).lines.join('\n'), /sed .*-e 5d /);
    const { targets, fstab: removed } = await unmount(directory, { fstab: true });
    assert.deepEqual([targets, removed.map((entry) => entry.line)], [[directory], [line]]);
    assert.deepEqual(readFileSync(fstab), Buffer.concat([OTHERS, Buffer.from('\n')]));
    assert.equal(statSync(fstab).mode & 0o7777, 0o640);
    assert.deepEqual(readdirSync(folder).sort(), ['fstab', 'mnt']);
    await assert.rejects(unmount(directory, { fstab: true }), { code: 'ERR_NOT_FOUND' });
  });

  test('what findmnt and systemd make of the line: nothing to complain about, and the order of a boot', async () => {
    directory = `${folder}/a dir\\with é`;
    writeFileSync(fstab, '');
    await mount();
    assert.match(readFileSync(fstab, 'utf8'), /a\\040dir\\134with\\040é/);
    const verified = execFileSync('findmnt', ['--verify', '--tab-file', fstab], { encoding: 'utf8' });
    assert.match(verified, /Success, no errors or warnings detected/);
    const listed = execFileSync('findmnt', ['--noheadings', '--output', 'TARGET', '--tab-file', fstab]).toString();
    assert.equal(listed.trim(), directory);
    if (existsSync(GENERATOR)) {
      writeFileSync(
        fstab,
        readFileSync(fstab, 'utf8').replace('nofail ', 'nofail,x-systemd.requires=lunctl-login.service '),
      );
      const out = `${folder}/units`;
      mkdirSync(out);
      execFileSync(GENERATOR, [out, out, out], { env: { ...process.env, SYSTEMD_FSTAB: fstab } });
      const unit = readdirSync(out).find((name) => name.endsWith('.mount')) ?? '';
      const text = readFileSync(`${out}/${unit}`, 'utf8');
      assert.match(text, /^After=lunctl-login\.service$/m);
      assert.match(text, /^Requires=lunctl-login\.service$/m);
      assert.match(text, /^Options=.*_netdev/m);
      // nofail: remote-fs.target wants it and does not wait for it.
      assert.deepEqual(readdirSync(`${out}/remote-fs.target.wants`), [unit]);
      assert.doesNotMatch(text, /^Before=.*remote-fs\.target/m);
      rmSync(out, { recursive: true });
    }
    assert.deepEqual((await unmount(`${TARGET}/0`, { fstab: true })).fstab.length, 1);
    assert.equal(readFileSync(fstab, 'utf8'), '');
  });

  test('requires= is only written where the unit is', () => {
    assert.deepEqual(fstabOptions(['ro', '_netdev'], true), [
      ...['defaults', 'ro', '_netdev', 'nofail', 'x-systemd.requires=lunctl-login.service'],
    ]);
    assert.deepEqual(fstabOptions([], false), ['defaults', '_netdev', 'nofail']);
    const units = `${folder}/systemd`;
    assert.equal(hasLoginUnit([units]), false);
    mkdirSync(units);
    writeFileSync(`${units}/lunctl-login.service`, '');
    assert.equal(hasLoginUnit([units]), true);
  });

  test('a line for the directory that is another disk: refused before anything is mounted', async () => {
    writeFileSync(fstab, `UUID=other ${directory}/ xfs defaults 0 0\n`);
    await assert.rejects(mount(), {
      code: 'ERR_REFUSED',
      message: `line 1 of ${fstab} mounts UUID=other on ${directory}`,
    });
    assert.deepEqual(mountPointsOf(path(), ''), []);
    assert.equal(readFileSync(fstab, 'utf8'), `UUID=other ${directory}/ xfs defaults 0 0\n`);
  });

  test('a line of ours by hand stays as it is, and only it is removed', async () => {
    const byHand = `UUID="${uuid.toUpperCase()}"\t${directory}\text4\tnoatime,_netdev\t0 2`;
    writeFileSync(fstab, `${byHand}\nUUID=${uuid} /elsewhere ext4 noauto 0 0\n`);
    assert.equal((await mount()).boot?.fstab.changed, false);
    await unmount(directory, { fstab: true });
    assert.equal(readFileSync(fstab, 'utf8'), `UUID=${uuid} /elsewhere ext4 noauto 0 0\n`);
    // Not mounted, but there is a line: it goes, by its directory.
    await unmount('/elsewhere', { fstab: true });
    assert.equal(readFileSync(fstab, 'utf8'), '');
  });

  test('a symbolic link is followed and stays one; without a file one is made; a bad argument is refused', async () => {
    const real = `${folder}/real-fstab`;
    rmSync(fstab);
    writeFileSync(real, OTHERS);
    symlinkSync('real-fstab', fstab);
    await mount();
    assert.ok(lstatSync(fstab).isSymbolicLink());
    assert.match(readFileSync(real, 'latin1'), new RegExp(`UUID=${uuid}`));
    await unmount(directory, { fstab: true });
    rmSync(fstab);
    rmSync(real);
    await mount();
    assert.equal(statSync(fstab).mode & 0o7777, 0o644);
    assert.equal(readFileSync(fstab, 'utf8'), `${ourLine(directory)}\n`);
    await unmount(directory);
    await assert.rejects(mount({ extra: ['--bind'] }), { code: 'ERR_USAGE', message: /no place in fstab/ });
    const plan = await mount({ dryRun: true, directory: `${folder}/new`, extra: ['-o', 'noexec'] });
    assert.equal(plan.mounted, null);
    assert.match(
      plan.lines.join('\n'),
      /^mkdir -p -- \S+\nmount -o _netdev -o noexec -- \S+ \S+\nprintf '%s\\n' 'UUID=\S+ .*' >> /,
    );
    assert.ok(!existsSync(`${folder}/new`));
  });

  test('the record of the session logs in at boot from then on; without one that is told', async () => {
    const { boot } = await mount();
    assert.equal(boot?.startup, null);
    assert.match(boot?.warnings.join('\n') ?? '', /has no record.*discovery sendtargets -p 127\.0\.0\.1:3260/);
    const config = await readConfig(fake.paths);
    const record = temporaryNode(TARGET, { address: '127.0.0.1', port: 3260 }, config);
    record.values.set('node.startup', 'manual');
    await writeNode(fake.paths.dbDir, record);
    assert.match(
      (await mount({ dryRun: true })).lines.join('\n'),
      /^# node\.startup = automatic in the record of iqn/m,
    );
    assert.deepEqual((await mount()).boot?.startup, { targetName: TARGET, changed: true });
    assert.deepEqual((await mount()).boot?.startup, { targetName: TARGET, changed: false });
    const { items } = await selectNodes(fake.paths);
    assert.deepEqual(
      items.map(({ values }) => values.text('node.startup')),
      ['automatic'],
    );
  });

  test('in use: 28, and who', async () => {
    await mount({ fstab: false });
    mkdirSync(`${directory}/inside`, { recursive: true });
    const child = spawn('sleep', ['60'], { cwd: `${directory}/inside` });
    children.push(child);
    const reader = spawn('sh', ['-c', 'exec 3>"$1/file"; echo; exec sleep 60', 'sh', directory]);
    children.push(reader);
    await once(reader.stdout, 'data');
    const busy = {
      code: 'ERR_BUSY',
      message: new RegExp(`in use: used by sleep \\(pid ${child.pid}\\), .*${reader.pid}`),
    };
    await assert.rejects(unmount(directory), busy);
    assert.equal(mountPointsOf(path(), '').length, 1);
  });

  test('mounts inside each other: by DEV all of them, the inner one first; a foreign one inside is named', async () => {
    await mount({ fstab: false });
    await mount({ fstab: false, directory: `${directory}/inside` });
    const { targets } = await unmount(path().slice(5));
    assert.deepEqual(targets, [`${directory}/inside`, directory]);
    await mount({ fstab: false });
    await runTool('mount', ['-t', 'tmpfs', '--', 'tmpfs', `${directory}/inside`]);
    await assert.rejects(unmount(`${TARGET}/0`), { code: 'ERR_BUSY', message: /inside is mounted inside it/ });
    await assert.rejects(unmount(`${directory}/inside`), { code: 'ERR_USAGE', message: /not on a disk of a lunctl/ });
  });

  test('a failed mount takes back every directory that it has made', async () => {
    await assert.rejects(mount({ fstab: false, directory: `${folder}/a/b/c`, extra: ['-o', 'nonsense=1'] }), {
      code: 'ERR_HELPER',
    });
    assert.ok(!existsSync(`${folder}/a`));
  });

  test('by a symbolic link the directory itself is meant', async () => {
    mkdirSync(directory, { recursive: true });
    symlinkSync('mnt', `${folder}/link`);
    const { mounted, boot } = await mount({ directory: `${folder}/link` });
    assert.equal(mounted?.target, directory);
    assert.equal(boot?.fstab.line, ourLine(directory));
    assert.deepEqual((await unmount(`${folder}/link`, { fstab: true })).fstab.length, 1);
    rmSync(`${folder}/link`);
  });

  test('swap and members of others are no file systems: 27', async () => {
    execFileSync('mkswap', [path()], { stdio: 'ignore' });
    await assert.rejects(mount(), (error: { code: string; hint: string }) => {
      assert.deepEqual([error.code, error.hint], ['ERR_NOT_SUPPORTED', `swapon -- ${path()}`]);
      return true;
    });
    await runTool('mkfs.ext4', ['-q', '-F', '--', path()]);
  });
});
