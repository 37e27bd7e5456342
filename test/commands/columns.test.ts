// -o, -n, -b and --list-columns of the listing commands, as scripts use them.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const LISTINGS = [
  'node list',
  'discovery list',
  'discovery sendtargets',
  'iface list',
  'session show',
  'lun list',
  'lun map',
  'disk list',
];

describe('columns that are chosen', () => {
  let box: Sandbox;
  let port: number;
  before(async () => {
    box = await Sandbox.make('iqn.2022-08.com.test:node01.initiator01');
    ({ port } = await box.serve('ramdisk:8M', '--target', TARGET, '--no-auth'));
    await box.ok('discovery', 'sendtargets', '-p', `127.0.0.1:${port}`);
    await box.ok('login', TARGET, '--attach', 'none');
  });
  after(() => box.stop());
  const out = async (...args: string[]) => (await box.ok(...args)).stdout;

  it('a table in a pipe, without a heading, with whole numbers', async () => {
    assert.equal(await out('session', 'show', '-n', '-o', 'SID,TARGET,DEVICES'), `1  ${TARGET}  lun0\n`);
    assert.equal(await out('lun', 'list', '-nb', '-o', 'size,block'), '8388608  512\n');
    assert.equal(await out('lun', 'list', '-n', '-o', 'size'), '8M\n');
    assert.equal(await out('node', 'list', '-n', '-o', 'startup,portal'), `manual  127.0.0.1:${port}\n`);
    assert.equal(await out('disk', 'list', '-nb', '-o', 'SIZE,FROM'), `8388608  ${TARGET}/0\n`);
    assert.equal(await out('discovery', 'list', '-o', 'PORTAL,TARGETS', '-n'), `127.0.0.1:${port}  ${TARGET}\n`);
    assert.equal(await out('discover', `127.0.0.1:${port}`, '-n', '-o', 'tpgt,target'), `1  ${TARGET}\n`);
  });
  it('-b alone is the usual table; the age in seconds', async () => {
    assert.match(await out('session', 'show', '-b'), /^SID +STATE +TARGET .*\n +1 +LOGGED_IN .* +\d+ +\d+ +\d+\n$/);
  });
  it('+COL adds, --output-all shows all', async () => {
    assert.match(await out('node', 'list', '-o', '+AUTH'), /^PORTAL +TPGT +TARGET +IFACE +STARTUP +AUTH\n.* None\n$/);
    assert.match(await out('session', 'show', '--output-all'), / SOCKET\n.*nbd\.sock\n$/);
  });
  it('without any of them the lines for scripts are as they were', async () => {
    assert.equal(await out('node', 'list'), `127.0.0.1:${port},1 ${TARGET}\n`);
    assert.equal(await out('session', 'show'), `tcp: [1] 127.0.0.1:${port},1 ${TARGET} (non-flash)\n`);
  });
  it('-o json is --json', async () => {
    const parse = (text: string) => JSON.parse(text) as { schema: string };
    assert.equal(parse(await out('session', 'show', '-o', 'json')).schema, 'lunctl.session-show/1');
    assert.equal(parse(await out('node', 'list', '--output=json')).schema, 'lunctl.node-list/1');
  });
  for (const command of LISTINGS) {
    it(`${command} --list-columns does nothing else, and an unknown column is 7 with the list`, async () => {
      const words = command.split(' ');
      const args = command === 'lun map' ? ['x'] : [];
      assert.match(await out(...words, ...args, '--list-columns'), /^COLUMN +DEFAULT +WHAT IT IS\n[A-Z]+ +yes +\S/);
      const { code, stdout, stderr } = await box.run(...words, ...args, '-o', 'SIZE,NOPE');
      assert.deepEqual([code, stdout], [7, '']);
      assert.match(stderr, /^lunctl: no column is called "(SIZE|NOPE)" \[7\]\nhint: the columns are [A-Z]+, /);
    });
  }
  it('columns and a print level are two ways to look: 7', async () => {
    const { code, stderr } = await box.run('session', 'show', '-P', '1', '-n');
    assert.equal(code, 7);
    assert.match(stderr, /--noheadings|--print/);
  });
});
