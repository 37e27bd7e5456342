// The iscsiadm face where sessions are up, where records are damaged, and where it differs from the real one on purpose:
// modes node, iface and host as a program calls them.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Run, Sandbox } from '../helpers/sandbox.js';

const NAME = 'iqn.2022-08.com.test:disk';
const INITIATOR = 'iqn.2022-08.com.test:node01';

const said = ({ code, stdout, stderr }: Run) => ({ code, stdout, stderr });
const answer = (code: number, stdout: string, stderr = '') => ({ code, stdout, stderr });

describe('records', () => {
  let sandbox: Sandbox;
  const iscsiadm = (...args: string[]) => sandbox.run('iscsiadm', ...args);
  const folder = () => join(sandbox.folder, 'db/nodes', NAME);
  before(async () => {
    sandbox = await Sandbox.make(INITIATOR);
    for (const portal of ['10.0.0.1:3260,1', '10.0.0.2:3260,1'])
      await iscsiadm('-mnode', '-onew', '-T', NAME, '-p', portal);
  });
  after(() => sandbox.stop());

  test('lunctl -m is the same command', async () => {
    const list = `10.0.0.1:3260,1 ${NAME}\n10.0.0.2:3260,1 ${NAME}\n`;
    assert.deepEqual(said(await sandbox.run('-m', 'node')), answer(0, list));
    assert.deepEqual(said(await sandbox.run('--mode=node')), answer(0, list));
    assert.deepEqual(said(await iscsiadm('-m', 'node')), answer(0, list));
  });

  test('a record that cannot be used is told of only with -d, or where nothing else is shown', async () => {
    const path = join(folder(), '10.0.0.3,3260,1');
    mkdirSync(path);
    mkdirSync(join(path, 'default'));
    assert.equal((await iscsiadm('-m', 'node')).stderr, '');
    assert.match((await iscsiadm('-m', 'node', '-d', '1')).stderr, /10\.0\.0\.3,3260,1\/default/);
    const none = await iscsiadm('-m', 'node', '-T', NAME, '-p', '10.0.0.3');
    assert.match(none.stderr, /10\.0\.0\.3,3260,1\/default.*\niscsiadm: No records found\n$/);
    assert.equal(none.code, 21);
    const update = ['-m', 'node', '-T', NAME, '-o', 'update', '-n', 'node.startup', '-v', 'automatic'];
    assert.deepEqual(said(await iscsiadm(...update)), answer(0, ''));
  });

  test('no record is made for a port that cannot be, nor for a name that leads out of the database', async () => {
    for (const port of ['abc', '0', '99999']) {
      const refused = await iscsiadm('-m', 'node', '-o', 'new', '-T', `${NAME}2`, '-p', `10.0.0.1:${port}`);
      assert.equal(refused.code, 7);
      assert.match(refused.stderr, /^iscsiadm: port \d+ is not in 1 to 65535\n$/);
    }
    for (const [name, portal] of [
      ['../escaped', '10.0.0.1'],
      [`${NAME}2`, '../escaped'],
    ] as const) {
      const refused = await iscsiadm('-m', 'node', '-o', 'new', '-T', name, '-p', portal);
      assert.equal(refused.code, 7, refused.stdout);
    }
    assert.deepEqual(readdirSync(join(sandbox.folder, 'db/nodes')), [NAME]);
  });

  test('a secret is stored for the owner alone, shown only when asked for, and never in a message', async () => {
    // Without the mark that a whole run is watched for: iscsiadm's callers put it among the arguments.
    const secret = 'secret-of-this-test';
    const set = (key: string, value: string) =>
      iscsiadm('-m', 'node', '-T', NAME, '-o', 'update', '-n', key, '-v', value);
    assert.deepEqual(said(await set('node.session.auth.password', secret)), answer(0, ''));
    const tooLong = await set('node.session.auth.password', secret.repeat(20));
    assert.equal(tooLong.code, 7);
    assert.ok(!tooLong.stderr.includes(secret), tooLong.stderr);
    assert.match((await iscsiadm('-m', 'node', '-T', NAME)).stdout, /^node\.session\.auth\.password = \*{8}$/m);
    assert.ok((await iscsiadm('-m', 'node', '-T', NAME, '-S')).stdout.includes(secret));
    const file = join(folder(), '10.0.0.1,3260,1/default');
    assert.ok(readFileSync(file, 'utf8').includes(secret));
  });

  test('a database that may not be read is told of with its name', { skip: process.getuid?.() !== 0 }, async () => {
    const other = await Sandbox.make(INITIATOR, { unprivileged: true });
    try {
      const db = join(other.folder, 'db');
      mkdirSync(db);
      mkdirSync(join(db, 'nodes'));
      chmodSync(db, 0o700);
      const { code, stderr } = await other.run('iscsiadm', '-m', 'node');
      assert.equal(code, 13);
      assert.match(stderr, /^iscsiadm: cannot list .*nodes: permission denied\n/);
    } finally {
      await other.stop();
    }
  });
});

describe('with a session', () => {
  let sandbox: Sandbox;
  let port: number;
  const iscsiadm = (...args: string[]) => sandbox.run('iscsiadm', ...args);
  const other = () => ['-T', NAME, '-p', '10.0.0.1:3260,1'];
  before(async () => {
    sandbox = await Sandbox.make(INITIATOR);
    const disk = join(sandbox.folder, 'disk.img');
    writeFileSync(disk, Buffer.alloc(1 << 20));
    ({ port } = await sandbox.serve(disk, '--target', NAME, '--allow', INITIATOR));
    assert.deepEqual(said(await iscsiadm('-m', 'host', '-P', '1')), answer(21, '', 'iscsiadm: No iSCSI hosts.\n'));
    await iscsiadm('-m', 'iface', '-I', 'bound', '-o', 'new');
    for (const way of [['-T', NAME, '-p', `127.0.0.1:${port},1`], other()]) {
      await iscsiadm('-m', 'node', '-o', 'new', '-I', 'bound', ...way);
    }
    await sandbox.ok('node', 'login', NAME, '-p', `127.0.0.1:${port}`, '-I', 'bound', '--attach', 'none');
  });
  after(() => sandbox.stop());

  const inUse = () =>
    `iscsiadm: This command will remove the record [iface: bound, target: ${NAME}, portal: 127.0.0.1,${port}], but a session is using it. Logout session then rerun command to remove record.\n`;

  test('its record is not deleted, others are', async () => {
    const refused = await iscsiadm('-m', 'node', '-o', 'delete');
    const all = 'iscsiadm: Could not execute operation on all records: session exists\n';
    assert.deepEqual(said(refused), answer(15, '', inUse() + all));
    assert.deepEqual(said(await iscsiadm('-m', 'node')), answer(0, `127.0.0.1:${port},1 ${NAME}\n`));
  });

  test('its transport is not changed', async () => {
    const change = ['-o', 'update', '-n', 'node.transport_name', '-v', 'iser'];
    const text =
      'iscsiadm: Cannot modify node/iface transport name while a session is using it. Log out the session then update record.\n';
    assert.deepEqual(said(await iscsiadm('-m', 'node', '-T', NAME, ...change)), answer(15, '', text));
  });

  test('its interface is neither made anew nor deleted, with none of its records', async () => {
    await iscsiadm('-m', 'node', '-o', 'new', '-I', 'bound', ...other());
    const again = 'iscsiadm: Could not create new interface bound.\n';
    assert.deepEqual(said(await iscsiadm('-m', 'iface', '-I', 'bound', '-o', 'new')), answer(15, '', again));
    const kept = `${inUse()}iscsiadm: Could not delete iface bound: session exists\n`;
    assert.deepEqual(said(await iscsiadm('-m', 'iface', '-I', 'bound', '-o', 'delete')), answer(15, '', kept));
    assert.equal((await iscsiadm('-m', 'node')).stdout.split('\n').length - 1, 2);
  });

  test('a change of its interface comes with a warning', async () => {
    const { code, stdout, stderr } = await iscsiadm('-m', 'iface', '-I', 'bound', '-oupdate', '-niface.mtu', '-v9000');
    assert.deepEqual([code, stdout], [0, 'bound updated.\n']);
    assert.match(stderr, /^iscsiadm: Updating iface while iscsi sessions are using it\./);
  });

  test('it is a host of its own, with what each level asks for', async () => {
    const host = (level: string) => iscsiadm('-m', 'host', '-P', level);
    assert.deepEqual(said(await host('0')), answer(0, 'tcp: [1] 127.0.0.1,[<empty>],<empty> <empty>\n'));
    const heads = (text: string) => text.split('\n').filter((line) => /^\t+[A-Z].*:$/.test(line));
    const sections = async (level: string) => heads((await host(level)).stdout).map((line) => line.trim());
    assert.deepEqual(await sections('1'), []);
    assert.deepEqual(await sections('2'), ['Sessions:', 'Interface:']);
    assert.deepEqual(await sections('3'), ['Sessions:', 'Interface:', 'Negotiated iSCSI params:']);
    assert.deepEqual(await sections('4'), [
      'Sessions:',
      'Interface:',
      'Negotiated iSCSI params:',
      'Attached SCSI devices:',
    ]);
    assert.deepEqual(said(await host('5')), answer(7, '', 'iscsiadm: Invalid info level 5. Try 0 - 4.\n'));
  });
});
