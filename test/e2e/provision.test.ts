// disk provision as a person runs it: found behind a portal, with CHAP, and what it prints; and without a device.
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { mounts } from '../../src/disk/sysfs.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';

describe('lunctl disk provision', { skip: whyNoLoopDisks() ?? false }, () => {
  let box: Sandbox;
  let portal = '';
  let chap: string[] = [];
  const disk = `${TARGET}/0`;
  const where = () => join(box.folder, 'srv/data');
  before(async () => {
    box = await Sandbox.make(INITIATOR);
    box.env.LIBMOUNT_FSTAB = join(box.folder, 'fstab');
    chap = ['--chap-user', 'username', '--chap-secret-file', await box.secretFile('secret', 'canary-for-testing\n')];
    const image = `${join(box.folder, 'disk.img')}=64M`;
    const { port } = await box.serve(image, 'ramdisk:16M', '--target', TARGET, '--allow', INITIATOR, ...chap);
    portal = `127.0.0.1:${port}`;
  });
  after(async () => {
    if (mounts().some(({ target }) => target === where())) await box.run('disk', 'unmount', where());
    await box.stop();
    assert.deepEqual(box.leftovers(), []);
  });

  it('without a record it needs a portal; a way to a device is asked for before anything is done', async () => {
    const lost = await box.run('disk', 'provision', disk, '/mnt', '--type', 'ext4', '--attach', 'fuse');
    assert.deepEqual([lost.code, lost.stdout], [21, '']);
    assert.match(lost.stderr, /^lunctl: No records found \[21\]\nhint: /);
    const other = await box.run(
      'disk',
      'provision',
      'iqn.2000-01.x:none/0',
      '/mnt',
      '--type',
      'ext4',
      '--attach',
      'fuse',
      '-p',
      portal,
    );
    assert.deepEqual([other.code, other.stdout], [21, '']);
    assert.match(other.stderr, /names no target iqn\.2000-01\.x:none/);
    const nowhere = await box.run('disk', 'provision', disk, '--type', 'ext4');
    assert.deepEqual([nowhere.code, nowhere.stdout], [7, '']);
    const missing = await box.run(
      'disk',
      'provision',
      disk,
      '/no/such',
      '--type',
      'ext4',
      '--attach',
      'fuse',
      '-p',
      portal,
    );
    assert.deepEqual([missing.code, missing.stdout], [7, '']);
    assert.equal((await box.run('session', 'show')).code, 21);
  });

  it('the whole way, each step a line; then unchanged', async () => {
    const words = ['disk', 'provision', disk, where(), '--type', 'ext4', '--label', 'data', '--mkdir', '--fstab'];
    const way = ['-p', portal, '--attach', 'fuse', ...chap, '--save'];
    const dry = await box.ok(...words, ...way, '--dry-run');
    assert.match(dry.stdout, /^lunctl node login .*--attach none\nlunctl lun attach \S+ --attach fuse\n# the rest/);
    const { stdout } = await box.ok(...words, ...way, '--', '-m', '1');
    const lines = stdout.split('\n');
    const expected = [
      new RegExp(`^ \\[1/7\\] login      session 1, ${portal}$`),
      /^ \[2\/7\] attach {5}\/dev\/loop\d+$/,
      /^ \[3\/7\] label {6}gpt$/,
      /^ \[4\/7\] partition {2}loop\d+p1, 62M$/,
      /^ \[5\/7\] format {5}ext4 {2}\(mkfs\.ext4 -L data -m 1 -- \/dev\/loop\d+p1\) {2}[\d.]+ s$/,
      /^ \[6\/7\] mount {6}\/dev\/loop\d+p1 on \/\S+\/srv\/data$/,
      /^ \[7\/7\] fstab {6}UUID=\S+ \/\S+\/srv\/data ext4 defaults,_netdev,nofail\S* 0 0$/,
      /^Filesystem +Type +Size +Used +Avail +Use% +Mounted on$/,
      /^\/dev\/loop\d+p1 +ext4 /,
      /^node\.startup of \S+ is now automatic$/,
    ];
    for (const [i, pattern] of expected.entries()) assert.match(lines[i] ?? '', pattern);
    const fstab = join(box.folder, 'fstab');
    const before = { text: readFileSync(fstab), mtime: statSync(fstab).mtimeMs };
    const again = await box.ok('disk', 'provision', disk, where(), '--type', 'ext4', '--fstab');
    assert.match(again.stdout, /^unchanged: gpt label, loop\d+p1, ext4, mounted on \S+, in \S+\/fstab\n$/);
    assert.deepEqual({ text: readFileSync(fstab), mtime: statSync(fstab).mtimeMs }, before);
    assert.match((await box.ok('node', 'show', TARGET)).stdout, /node\.startup = automatic/);
    const listed = await box.ok('disk', 'list');
    assert.match(listed.stdout, /^└─loop\d+p1 +62M +part +ext4 +data +\/\S+\/srv\/data +\d+%$/m);
  });

  it('another file system: 28 while it is mounted, 40 after that, and with the name agreed to it is made', async () => {
    const words = ['disk', 'provision', disk, where(), '--type', 'ext4', '--label', 'new'];
    assert.equal((await box.run(...words, '--confirm', disk)).code, 28);
    await box.ok('disk', 'unmount', where(), '--fstab');
    assert.equal(readFileSync(join(box.folder, 'fstab'), 'utf8'), '');
    const refused = await box.run(...words);
    assert.deepEqual([refused.code, refused.stdout], [40, '']);
    assert.match(
      refused.stderr,
      /holds ext4 "data" in partition 1, not one labelled "new" \[40\]\nhint: add --confirm/,
    );
    assert.equal((await box.run(...words, '--confirm', 'loop0')).code, 40);
    const made = await box.ok(...words, '--confirm', disk);
    assert.match(
      made.stdout,
      /^ \[1\/6\] login {6}session 1, unchanged\n[\s\S]* \[4\/6\] partition {2}\S+, unchanged\n \[5\/6\] format/,
    );
    await box.ok('disk', 'unmount', disk);
  });

  it('without a device it ends with the file system, and says how to mount', async () => {
    const words = ['disk', 'provision', `${TARGET}/1`, '/srv', '--type', 'vfat', '--attach', 'none'];
    const { stdout } = await box.ok(...words);
    assert.match(stdout, /\[2\/6\] attach {5}left out: nbd\+unix:[\s\S]*\[5\/6\] format {5}vfat/);
    assert.match(
      stdout,
      /\[6\/6\] mount {6}left out: there is no device\nto mount it: lunctl disk provision \S+\/1 \/srv --type vfat/,
    );
    assert.match((await box.ok(...words)).stdout, /^unchanged: gpt label, \S+p1, vfat\nto mount it: /);
    assert.match((await box.ok('disk', 'list')).stdout, /^-? +16M +gpt .*\/1\n└─p1 +14M +part +vfat/m);
  });
});
