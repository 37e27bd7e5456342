// lun show --is and --can as scripts use them: the exit status is the answer, and nbdinfo gives the same one.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runTool } from '../../src/disk/run.js';
import { CAN_WORDS } from '../../src/services/lun/question.js';
import { whyNoLoopDisks } from '../helpers/disk.js';
import { run } from '../helpers/programs.js';
import { Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const INITIATOR = 'iqn.2022-08.com.test:node01.initiator01';
const noNbdinfo = existsSync('/usr/bin/nbdinfo') ? false : 'nbdinfo is missing: apt-get install libnbd-bin';
const YES = 0;
const NO = 2;

describe('lun show as a question', () => {
  let box: Sandbox;
  before(async () => {
    box = await Sandbox.make(INITIATOR);
    const disks = [`${join(box.folder, 'disk.img')}=64M`, 'ramdisk:8M'];
    const { port } = await box.serve(...disks, '--target', TARGET, '--allow', INITIATOR);
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
    await box.ok('login', TARGET, '--attach', 'none');
  });
  after(() => box.stop());

  /** The exit status, once it is sure that nothing was printed. */
  const ask = async (lun: string, ...question: string[]): Promise<number | null> => {
    const { code, stdout, stderr } = await box.run('lun', 'show', lun, ...question);
    assert.deepEqual([stdout, stderr], ['', '']);
    return code;
  };
  const nbdinfo = async (lun: string, word: string) => {
    const uri = `nbd+unix:///${lun}?socket=${join(box.folder, 'run/s/1/nbd.sock')}`;
    return (await run('nbdinfo', `--can=${word}`, uri)).code;
  };

  it('gives what nbdinfo gives for the same export', { skip: noNbdinfo }, async () => {
    const known = CAN_WORDS.filter((word) => word !== 'map');
    for (const word of known) {
      assert.equal(await ask('lun1', '--can', word), await nbdinfo('lun1', word), word);
    }
    assert.equal(await ask('lun1', '--can', 'map'), YES);
  });

  it('says yes and no of one LUN', { skip: whyNoLoopDisks() ?? false }, async () => {
    assert.equal(await ask('lun0', '--is', 'attached'), NO);
    assert.equal(await ask('lun0', '--is', 'read-only'), NO);
    assert.equal(await ask('lun0', '--can', 'write'), YES);
    await box.ok('lun', 'attach', 'lun0', '--attach', 'fuse');
    // Its device writes, and nobody beside it.
    assert.equal(await ask('lun0', '--is', 'attached'), YES);
    assert.equal(await ask('lun0', '--can', 'write'), NO);
    assert.equal(await ask('lun0', '--can', 'trim'), NO);
    assert.equal(await ask('lun0', '--is', 'mounted'), NO);
    const { stdout } = await box.ok('lun', 'attach', 'lun0', '--json');
    const { path } = (JSON.parse(stdout) as { device: { path: string } }).device;
    const folder = join(box.folder, 'mnt');
    mkdirSync(folder);
    await runTool('sfdisk', ['--quiet', '--wipe=never', '--', path], { input: 'label: gpt\nstart=2048\n' });
    await runTool('partx', ['--update', '--', path]);
    await box.ok('disk', 'format', `${path}p1`, '--type', 'ext4');
    await box.ok('disk', 'mount', `${path}p1`, folder);
    try {
      assert.equal(await ask('lun0', '--is', 'mounted'), YES);
      assert.equal(await ask(path, '--is', 'mounted'), YES);
    } finally {
      await box.ok('disk', 'unmount', folder);
      rmdirSync(folder);
    }
    assert.equal(await ask('lun0', '--is', 'mounted'), NO);
    await box.ok('lun', 'detach', 'lun0');
    await box.ok('lun', 'attach', 'lun0', '--attach', 'fuse', '--read-only');
    assert.equal(await ask('lun0', '--is', 'read-only'), YES);
    await box.ok('lun', 'detach', 'lun0');
    assert.equal(await ask('lun0', '--is', 'thin'), YES);
    assert.equal(await ask('lun0', '--is', 'rotational'), NO);
  });

  it('an error is not taken for a no', async () => {
    const codes: [number, ...string[]][] = [
      [7, 'lun0', '--is', 'tls'],
      [7, 'lun0', '--can', 'fly'],
      [7, 'lun0', '--is', 'thin', '--can', 'trim'],
      [7, '--is', 'thin'],
      [21, 'lun9', '--is', 'thin'],
      [21, 'lun0', '-r', '99', '--is', 'thin'],
    ];
    for (const [code, ...args] of codes) {
      const run = await box.run('lun', 'show', ...args);
      assert.equal(run.code, code, `${args.join(' ')}: ${run.stderr}`);
      assert.match(run.stderr, /^lunctl: /);
    }
    const json = await box.run('lun', 'show', 'lun0', '--is', 'attached', '--json');
    assert.equal(json.code, NO);
    assert.equal((JSON.parse(json.stdout) as { schema: string }).schema, 'lunctl.lun-show/1');
  });
});
