// The database on disk: open-iscsi's layout and modes, and everything that may be wrong with it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { readConfigFile } from '../../src/records/config-file.js';
import { applyDiscovery, type Discovery, linkedNodes, listSendTargets } from '../../src/records/discovery-store.js';
import { newNodeValues } from '../../src/records/new-record.js';
import { linkName, type NodeRef, nodePath, parseLinkName, parsePortalName } from '../../src/records/node-ref.js';
import { deleteNode, listNodes, readNode, writeNode } from '../../src/records/node-store.js';
import { nodeRecord, staticRecord } from './fixtures.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const portal = { address: '127.0.0.1', port: 3260 };
const ref = (more: Partial<NodeRef> = {}): NodeRef => ({
  targetName: TARGET,
  ...portal,
  tpgt: 1,
  iface: 'default',
  ...more,
});

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'lunctl-db-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
/** Every path below the root with its kind and mode, as `find -printf '%M %P'`. */
const tree = () =>
  execFileSync('find', [root, '-mindepth', '1', '-printf', '%M %P\n'], { encoding: 'utf8' }).trim().split('\n').sort();

describe('node records', () => {
  it('lie where open-iscsi keeps them, for their owner alone', async () => {
    const old = process.umask(0);
    try {
      await writeNode(root, { ref: ref(), values: newNodeValues(ref(), portal, new Map()) });
      const byHand = ref({ targetName: 'iqn.2022-08.com.test:manual', address: '::1', tpgt: -1 });
      await writeNode(root, { ref: byHand, values: newNodeValues(byHand, null, new Map()) });
    } finally {
      process.umask(old);
    }
    assert.deepEqual(tree(), [
      '-rw------- nodes/iqn.2022-08.com.test:dlp.target01/127.0.0.1,3260,1/default',
      '-rw------- nodes/iqn.2022-08.com.test:manual/::1,3260',
      'drwx------ nodes',
      'drwx------ nodes/iqn.2022-08.com.test:dlp.target01',
      'drwx------ nodes/iqn.2022-08.com.test:dlp.target01/127.0.0.1,3260,1',
      'drwx------ nodes/iqn.2022-08.com.test:manual',
    ]);
  });
  it('are read as open-iscsi wrote them, in its order', async () => {
    put(`nodes/${TARGET}/127.0.0.1,3260,1/default`, nodeRecord);
    put(
      `nodes/${TARGET}/127.0.0.2,3260,1/default`,
      nodeRecord.replace('[0].address = 127.0.0.1', '[0].address = 127.0.0.2'),
    );
    put(`nodes/${TARGET}/::1,3260,1/default`, nodeRecord.replace('[0].address = 127.0.0.1', '[0].address = ::1'));
    put('nodes/iqn.2022-08.com.test:manual/10.0.0.1,3261', staticRecord);
    const { items, warnings } = await listNodes(root);
    assert.deepEqual(warnings, []);
    assert.deepEqual(
      items.map(({ ref: { address, port, tpgt } }) => [address, port, tpgt]),
      [
        ['127.0.0.1', 3260, 1],
        ['127.0.0.2', 3260, 1],
        ['::1', 3260, 1],
        ['10.0.0.1', 3261, -1],
      ],
    );
    assert.equal(items[0]?.values.text('node.session.cmds_max'), '128');
  });
  it('a rewrite leaves nothing else behind, and only what was set changes', async () => {
    const path = `nodes/${TARGET}/127.0.0.1,3260,1/default`;
    put(path, nodeRecord.replace('# END', 'node.session.sess_reopen_log_freq = 1\n# END'));
    const read = await readNode(root, ref());
    assert.ok(read);
    read.record.values.set('node.startup', 'automatic');
    await writeNode(root, read.record);
    const expected = nodeRecord
      .replace('node.startup = manual', 'node.startup = automatic')
      .replace('# END', 'node.session.sess_reopen_log_freq = 1\n# END');
    assert.equal(readFileSync(join(root, path), 'utf8'), expected);
    assert.equal(statSync(join(root, path)).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(root), ['nodes']);
  });
  it('an empty or missing database is empty', async () => {
    assert.deepEqual(await listNodes(join(root, 'nowhere')), { items: [], warnings: [] });
    assert.equal(await readNode(root, ref()), undefined);
  });
  it('one bad record is a warning and the others work', async () => {
    const folder = `nodes/${TARGET}`;
    put(`${folder}/127.0.0.1,3260,1/default`, nodeRecord);
    put(`${folder}/127.0.0.1,3260,1/other`, nodeRecord);
    put(`${folder}/127.0.0.3,3260,1/default`, nodeRecord);
    put(`${folder}/127.0.0.4,99999,1/default`, nodeRecord);
    put(`${folder}/README`, 'hello');
    put('nodes/not a target/127.0.0.1,3260,1/default', nodeRecord);
    put(`${folder}/127.0.0.5,3260,1/default`, 'x'.repeat(300_000));
    mkdirSync(join(root, `${folder}/127.0.0.6,3260,1/default`), { recursive: true });
    mkdirSync(join(root, `${folder}/127.0.0.7,3260,1`), { recursive: true });
    execFileSync('mkfifo', [join(root, `${folder}/127.0.0.7,3260,1/default`)]);
    mkdirSync(join(root, `${folder}/127.0.0.8,3260,1`), { recursive: true });
    symlinkSync('/etc/shadow', join(root, `${folder}/127.0.0.8,3260,1/default`));
    put(
      `${folder}/127.0.0.9,3260,1/default`,
      `${nodeRecord.replace('[0].address = 127.0.0.1', '[0].address = 127.0.0.9')}junk\n`,
    );
    put('nodes/plain-file', '');
    const { items, warnings } = await listNodes(root);
    assert.deepEqual(
      items.map(({ ref: { address } }) => address),
      ['127.0.0.1', '127.0.0.9'],
    );
    for (const part of [
      'other',
      '127.0.0.3',
      '127.0.0.4',
      'README',
      'not a target',
      '127.0.0.5',
      '127.0.0.6',
      '127.0.0.7',
      '127.0.0.8',
      '127.0.0.9',
      'plain-file',
    ]) {
      assert.equal(warnings.filter((text) => text.includes(part)).length, 1, `${part}\n${warnings.join('\n')}`);
    }
  });
  it('names that would leave their folder are refused before any path is made', async () => {
    const bad: Partial<NodeRef>[] = [
      { targetName: '../../etc' },
      { targetName: 'iqn.2022-08.com.test:a/b' },
      { targetName: 'iqn.2022-08.com.test:a\nb' },
      { address: '../..' },
      { address: 'a,b' },
      { address: '' },
      { port: 0 },
      { port: 65_536 },
      { tpgt: -2 },
      { tpgt: 1.5 },
      { iface: '..' },
      { iface: 'a/b' },
      { iface: '' },
    ];
    for (const more of bad) {
      assert.throws(() => nodePath(root, ref(more)), { code: 'ERR_USAGE' }, JSON.stringify(more));
      await assert.rejects(writeNode(root, { ref: ref(more), values: newNodeValues(ref(), null, new Map()) }));
    }
    assert.deepEqual(readdirSync(root), []);
  });
  it('names and links read back', () => {
    for (const one of [ref(), ref({ address: 'fe80::1%eth0' }), ref({ iface: 'my-if.0' })]) {
      assert.deepEqual(parseLinkName(linkName(one)), one);
    }
    for (const name of [
      '',
      'a,b',
      'st_config',
      `${TARGET},1,2,3`,
      `${TARGET},h,0x10,1,default`,
      `${TARGET},h,1,1,default,x`,
    ]) {
      assert.equal(parseLinkName(name), undefined, name);
    }
    for (const name of ['', ',', 'h', 'h,', 'h,1,', 'h,1,2,3', 'h,1,-1', 'h,01'])
      assert.equal(parsePortalName(name), undefined, name);
  });
  it('a full disk leaves the old record', {
    skip: process.getuid?.() === 0 ? false : 'needs root for a small tmpfs',
  }, async () => {
    const mount = join(root, 'small');
    mkdirSync(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', mount]);
    try {
      const record = { ref: ref(), values: newNodeValues(ref(), portal, new Map()) };
      await writeNode(mount, record);
      const path = nodePath(mount, ref());
      const before = readFileSync(path, 'utf8');
      execFileSync('sh', ['-c', `dd if=/dev/zero of=${mount}/fill bs=4k 2>/dev/null; true`]);
      record.values.set('node.startup', 'automatic');
      await assert.rejects(writeNode(mount, record), { code: 'ERR_DATABASE', message: /no space left/ });
      assert.equal(readFileSync(path, 'utf8'), before);
      assert.deepEqual(readdirSync(mount).sort(), ['fill', 'nodes']);
    } finally {
      execFileSync('umount', [mount]);
    }
  });
});

describe('discovery', () => {
  const all = new Set(['new', 'update', 'delete'] as const);
  const found = (name: string, address = '127.0.0.1', tpgt = 1) => ({
    targetName: `iqn.2022-08.com.test:${name}`,
    address,
    port: 3260,
    tpgt,
  });
  const apply = (targets: Discovery['found'], more: Partial<Discovery> = {}) =>
    applyDiscovery(root, { portal, found: targets, config: new Map(), operations: all, inUse: () => false, ...more });
  const names = async () =>
    (await listNodes(root)).items.map(({ ref: { targetName, address } }) => `${targetName.split(':')[1]} ${address}`);

  it('makes the record, the node records and the links of open-iscsi', async () => {
    await apply([found('a'), found('a', '::1'), found('a')]);
    const target = 'iqn.2022-08.com.test:a';
    assert.deepEqual(tree(), [
      `-rw------- nodes/${target}/127.0.0.1,3260,1/default`,
      `-rw------- nodes/${target}/::1,3260,1/default`,
      '-rw------- send_targets/127.0.0.1,3260/st_config',
      'drwx------ nodes',
      `drwx------ nodes/${target}`,
      `drwx------ nodes/${target}/127.0.0.1,3260,1`,
      `drwx------ nodes/${target}/::1,3260,1`,
      'drwx------ send_targets',
      'drwx------ send_targets/127.0.0.1,3260',
      `lrwxrwxrwx send_targets/127.0.0.1,3260/${target},127.0.0.1,3260,1,default`,
      `lrwxrwxrwx send_targets/127.0.0.1,3260/${target},::1,3260,1,default`,
    ]);
    const link = join(root, `send_targets/127.0.0.1,3260/${target},::1,3260,1,default`);
    assert.equal(readlinkSync(link), join(root, `nodes/${target}/::1,3260,1`));
    assert.ok(lstatSync(link).isSymbolicLink());
  });
  it('follows the answer: new, changed and gone', async () => {
    assert.deepEqual(
      (await apply([found('a'), found('b')])).map(({ what }) => what),
      ['new', 'new'],
    );
    const changes = await apply([found('b'), found('c')]);
    assert.deepEqual(
      changes.map(({ what, ref: one }) => `${what} ${one.targetName.split(':')[1]}`),
      ['update b', 'new c', 'delete a'],
    );
    assert.deepEqual(await names(), ['b 127.0.0.1', 'c 127.0.0.1']);
    assert.equal((await linkedNodes(root, portal)).length, 2);
    assert.deepEqual(
      (await listSendTargets(root)).items.map(({ portal: p }) => p),
      [portal],
    );
  });
  it('leaves alone what a session uses, what was made by hand, and what others found', async () => {
    const byHand = ref({ targetName: 'iqn.2022-08.com.test:hand', tpgt: -1 });
    await writeNode(root, { ref: byHand, values: newNodeValues(byHand, null, new Map()) });
    await apply([found('a'), found('b')]);
    await apply([found('x')], { portal: { address: 'other', port: 3260 } });
    await apply([], { inUse: ({ targetName }) => targetName.endsWith(':a') });
    assert.deepEqual(await names(), ['a 127.0.0.1', 'hand 127.0.0.1', 'x 127.0.0.1']);
  });
  it('moves a record to the portal that has found it last', async () => {
    const other = { address: '::1', port: 3260 };
    await apply([found('a')], { portal: other });
    await apply([found('a')]);
    assert.equal((await linkedNodes(root, other)).length, 0);
    assert.equal((await linkedNodes(root, portal)).length, 1);
    // So the first portal's next answer, without it, does not take it away.
    await apply([], { portal: other });
    assert.deepEqual(await names(), ['a 127.0.0.1']);
  });
  it('only does what it is told', async () => {
    await apply([found('a')]);
    await apply([found('b')], { operations: new Set(['update'] as const) });
    assert.deepEqual(await names(), ['a 127.0.0.1']);
    await apply([found('b')], { operations: new Set(['new'] as const) });
    assert.deepEqual(await names(), ['a 127.0.0.1', 'b 127.0.0.1']);
  });
  it('takes over a record made by hand, with its secret, once the tag is known', async () => {
    const byHand = ref({ targetName: 'iqn.2022-08.com.test:a', tpgt: -1 });
    const values = newNodeValues(byHand, null, new Map());
    values.set('node.session.auth.username', 'me');
    await writeNode(root, { ref: byHand, values });
    await apply([found('a')]);
    const { items } = await listNodes(root);
    assert.deepEqual(
      items.map(({ ref: one }) => one.tpgt),
      [1],
    );
    assert.equal(items[0]?.values.text('node.session.auth.username'), 'me');
  });
  it('replaces a record that cannot be used', async () => {
    put('nodes/iqn.2022-08.com.test:a/127.0.0.1,3260,1/default', nodeRecord);
    await apply([found('a')]);
    assert.deepEqual(await names(), ['a 127.0.0.1']);
  });
  it('deleting a node record takes its link and its empty folders along', async () => {
    await apply([found('a'), found('a', '::1')]);
    for (const record of (await listNodes(root)).items) await deleteNode(root, record);
    assert.deepEqual(readdirSync(join(root, 'nodes')), []);
    assert.deepEqual(readdirSync(join(root, 'send_targets/127.0.0.1,3260')), ['st_config']);
  });
  it('folders that are none of ours are named and skipped', async () => {
    put('send_targets/what/st_config', '');
    put('send_targets/h,1,2/st_config', '');
    mkdirSync(join(root, 'send_targets/h,3260/st_config'), { recursive: true });
    const { items, warnings } = await listSendTargets(root);
    assert.deepEqual(items, []);
    assert.equal(warnings.length, 3);
  });
});

describe('iscsid.conf', () => {
  it('sets what it sets', async () => {
    put('iscsid.conf', '# comment\nnode.startup = automatic\nnode.session.auth.chap_algs = SHA256,MD5\n');
    const { values, warnings } = await readConfigFile(root);
    assert.deepEqual(
      [...values],
      [
        ['node.startup', 'automatic'],
        ['node.session.auth.chap_algs', 'SHA256,MD5'],
      ],
    );
    assert.deepEqual(warnings, []);
  });
  it('is not needed', async () => assert.equal((await readConfigFile(root)).values.size, 0));
  it('with nonsense in it is a warning for each line, without values', async () => {
    put('iscsid.conf', 'node.startup\nnode.bogus = canary\nnode.startup = manual\n');
    const { values, warnings } = await readConfigFile(root);
    assert.equal(values.get('node.startup'), 'manual');
    assert.equal(warnings.length, 2);
    assert.ok(!warnings.join().includes('canary'));
  });
  it('that is a folder is a warning', async () => {
    mkdirSync(join(root, 'iscsid.conf'));
    const { values, warnings } = await readConfigFile(root);
    assert.equal(values.size, 0);
    assert.match(warnings[0] ?? '', /not a regular file.*not used/);
  });
  it('a stock file has no unknown keys', {
    skip: statSync('/etc/iscsi/iscsid.conf', { throwIfNoEntry: false })
      ? false
      : 'open-iscsi is not installed: apt-get install open-iscsi',
  }, async () => {
    assert.deepEqual((await readConfigFile('/etc/iscsi')).warnings, []);
  });
});
