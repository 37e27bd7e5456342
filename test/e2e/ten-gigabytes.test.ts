// A sparse 10 GiB file is shared in under a second, and a login returns only when the disk is usable.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const SIZE = 10_737_418_240;
const ROUNDS = Number(process.env.LUNCTL_TEST_ROUNDS ?? 10);

describe('ten gigabytes', () => {
  let box: Sandbox;
  let port: number;
  let chap: string[];
  before(async () => {
    box = await Sandbox.make(INITIATOR);
    chap = ['--chap-user', 'username', '--chap-secret-file', await box.secretFile('secret', 'canary-12345')];
  });
  after(() => box.stop());

  it('serve shares a sparse file in under a second more than the program takes to start', async () => {
    const start = (await box.ok('--version')).ms;
    // A machine on which the program starts slowly does the rest more slowly too.
    const most = Math.max(1000, 2 * start);
    const began = performance.now();
    ({ port } = await box.serve(join(box.folder, 'disk01.img=10G'), '--target', TARGET, '--allow', INITIATOR, ...chap));
    assert.ok(performance.now() - began - start < most);
    const { size, blocks } = statSync(join(box.folder, 'disk01.img'));
    assert.equal(size, SIZE);
    assert.ok(blocks < 64);
  });

  it(`the device has its size right after login, ${ROUNDS} times in a row`, async (t) => {
    const rootWithFuse = process.getuid?.() === 0 && existsSync('/dev/fuse');
    if (!rootWithFuse) {
      if (process.env.CI) assert.fail('CI must have root and /dev/fuse');
      t.skip('needs root and /dev/fuse');
      return;
    }
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`, ...chap);
    for (let round = 0; round < ROUNDS; round++) {
      const { stdout } = await box.ok('login', '--attach', 'fuse', '--json', ...chap);
      const [session] = JSON.parse(stdout).sessions;
      const [device] = session.devices;
      assert.equal(execFileSync('blockdev', ['--getsize64', device.path]).toString().trim(), String(SIZE));
      assert.match(device.nbd, /^nbd\+unix:\/\/\/lun0\?socket=\//);
      await box.ok('logout');
    }
    assert.deepEqual(
      box.leftovers().filter((line) => !line.includes(' serve ')),
      [],
    );
  });
});
