// The commands that make, change, check and remove records, as people and scripts call them.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Sandbox } from '../helpers/sandbox.js';

const T1 = 'iqn.2022-08.com.test:t1';
const T2 = 'iqn.2022-08.com.test:t2';
const SECRET = 'canary-for-testing';
/** Where a caller gives it away, in arguments or in a file for all: that is not what a whole run is watched for. */
const GIVEN = 'given-in-arguments';

let box: Sandbox;
beforeEach(async () => {
  box = await Sandbox.make('iqn.2022-08.com.test:me');
});
afterEach(() => box.stop());

const out = async (...args: string[]) => (await box.ok(...args)).stdout;
async function refused(code: number, pattern: RegExp, ...args: string[]): Promise<string> {
  const run = await box.run(...args);
  assert.equal(run.code, code, `${args.join(' ')}\n${run.stdout}${run.stderr}`);
  assert.match(run.stderr, pattern);
  assert.equal(run.stdout, '');
  return run.stderr;
}
const node = (name: string, at = '10.0.0.1,3260,1/default') => join(box.folder, 'db/nodes', name, at);
function conf(text: string, mode = 0o600): void {
  const path = join(box.folder, 'etc/iscsid.conf');
  rmSync(path, { force: true });
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
}

describe('node new, set, delete', () => {
  it('a record by hand, changed and removed', async () => {
    assert.equal(
      await out('node', 'new', T1, '-p', '10.0.0.1:3260,1', 'node.session.queue_depth=44'),
      `added: 10.0.0.1:3260,1 ${T1}\n`,
    );
    assert.equal(await out('node', 'list'), `10.0.0.1:3260,1 ${T1}\n`);
    assert.match(await out('node', 'show', T1), /^node\.session\.queue_depth = 44$/m);
    assert.equal(
      await out('node', 'set', T1, 'node.startup=automatic', 'node.session.scan=auto'),
      `changed: 10.0.0.1:3260,1 ${T1}\n  node.startup: manual -> automatic\n`,
    );
    assert.equal(await out('node', 'set', 'node.startup=automatic'), `unchanged: 10.0.0.1:3260,1 ${T1}\n`);
    assert.equal(await out('node', 'delete', T1), `removed: 10.0.0.1:3260,1 ${T1}\n`);
    await refused(21, /No records found/, 'node', 'list');
  });
  it('without a tag, and by an interface', async () => {
    assert.equal(await out('node', 'new', T1, '-p', '[fd00::1]'), `added: [fd00::1]:3260 ${T1}\n`);
    await box.ok('iface', 'new', 'if1', 'iface.ipaddress=10.0.0.7');
    assert.equal(
      await out('node', 'new', T1, '-p', '10.0.0.1:3260,1', '-I', 'if1'),
      `added: 10.0.0.1:3260,1 ${T1} (interface if1)\n`,
    );
    assert.match(readFileSync(node(T1, '10.0.0.1,3260,1/if1'), 'utf8'), /^iface\.ipaddress = 10\.0\.0\.7$/m);
  });
  it('one that is there stays as it is, unless it is to be replaced', async () => {
    const args = ['node', 'new', T1, '-p', '10.0.0.1:3260,1'];
    await box.ok(...args);
    await box.ok('node', 'set', T1, 'node.session.queue_depth=7');
    await refused(7, /exists.*\n.*lunctl node set/, ...args);
    assert.match(readFileSync(node(T1), 'utf8'), /queue_depth = 7$/m);
    await box.ok(...args, '--replace');
    assert.match(readFileSync(node(T1), 'utf8'), /queue_depth = 32$/m);
  });
  it('a dry run says what would be, and leaves no trace', async () => {
    const add = ['node', 'new', T1, '-p', '10.0.0.1:3260,1'];
    assert.match(await out(...add, '--dry-run'), /^would be added: /);
    assert.ok(!existsSync(join(box.folder, 'db')));
    await box.ok(...add);
    const before = readFileSync(node(T1), 'utf8');
    assert.match(
      await out('node', 'set', T1, 'node.startup=onboot', '--dry-run'),
      /^would be changed: .*\n {2}node\.startup: manual -> onboot\n$/,
    );
    assert.match(await out('node', 'delete', T1, '--dry-run'), /^would be removed: /);
    assert.match(await out('iface', 'new', 'if1', '--dry-run'), /^would be added: interface if1$/m);
    assert.equal(readFileSync(node(T1), 'utf8'), before);
    assert.ok(!existsSync(join(box.folder, 'db/ifaces')));
  });
  it('several targets need --all, and one bad setting keeps all of them as they are', async () => {
    for (const name of [T1, T2]) await box.ok('node', 'new', name, '-p', '10.0.0.1:3260,1');
    await refused(7, /several targets/, 'node', 'set', 'node.startup=automatic');
    await refused(7, /several targets/, 'node', 'delete');
    await refused(7, /--all cannot also be given with/, 'node', 'delete', T1, '--all');
    await refused(
      7,
      /one of auto \| manual/,
      'node',
      'set',
      '--all',
      'node.startup=automatic',
      'node.session.scan=BAD',
    );
    for (const name of [T1, T2]) assert.match(readFileSync(node(name), 'utf8'), /node\.startup = manual/);
    assert.equal((await out('node', 'set', '--all', 'node.startup=automatic')).match(/^changed/gm)?.length, 2);
    assert.equal((await out('node', 'delete', '--all')).match(/^removed/gm)?.length, 2);
  });
  it('what cannot be set is refused, with what can', async () => {
    await box.ok('node', 'new', T1, '-p', '10.0.0.1:3260,1');
    await refused(
      7,
      /no key queue_depth.*\n.*did you mean node\.session\.queue_depth\?/,
      'node',
      'set',
      T1,
      'queue_depth=5',
    );
    await refused(7, /from 0 to 65535/, 'node', 'set', T1, 'node.session.queue_depth=70000');
    await refused(7, /from 0 to 65535/, 'node', 'set', T1, 'node.session.queue_depth=abc');
    await refused(7, /cannot be changed/, 'node', 'set', T1, 'node.name=iqn.2022-08.com.test:x');
    await refused(7, /lunctl iface set/, 'node', 'set', T1, 'iface.mtu=9000');
    await refused(7, /KEY=VALUE/, 'node', 'set', T1);
    await refused(7, /not an iSCSI name/, 'node', 'new', '../../etc', '-p', '10.0.0.1');
    await refused(7, /Could not read iface info/, 'node', 'new', T2, '-p', '10.0.0.1', '-I', 'nope');
  });
  it('a secret on the command line is refused and not repeated', async () => {
    await box.ok('node', 'new', T1, '-p', '10.0.0.1:3260,1');
    for (const args of [
      ['node', 'set', T1, `node.session.auth.password=${GIVEN}`],
      ['node', 'set', T1, 'node.session.auth.password', GIVEN, 'a=b'],
      ['node', 'set', T1, `node.session.auth.password =${GIVEN}`],
      ['node', 'new', T2, '-p', 'h', `node.session.auth.password_in=${GIVEN}`],
      ['discovery', 'set', '10.0.0.1', `discovery.sendtargets.auth.password=${GIVEN}`],
      ['node', 'set', T1, `password=${GIVEN}`],
    ]) {
      const text = await refused(7, /./, ...args);
      assert.ok(!text.includes(GIVEN), text);
    }
    assert.match((await box.run('node', 'set', T1, `node.session.auth.password=${GIVEN}`)).stderr, /lunctl chap setup/);
    assert.ok(!readFileSync(node(T1), 'utf8').includes('password'));
  });
  it('-S reveals what is ******** without it', async () => {
    conf(`node.session.auth.username = me\nnode.session.auth.password = ${SECRET}\n`);
    await box.ok('node', 'new', T1, '-p', '10.0.0.1:3260,1');
    assert.match(await out('node', 'show', T1), /password = \*{8}$/m);
    assert.match(await out('node', 'show', T1, '-S'), new RegExp(`password = ${SECRET}$`, 'm'));
    assert.match(await out('config', 'show'), /^node\.session\.auth\.password = \*{8}$/m);
    assert.match(await out('config', 'show', '-S'), new RegExp(`password = ${SECRET}$`, 'm'));
    assert.ok(!(await out('config', 'show', '--json')).includes(SECRET));
  });
});

describe('discovery and iface', () => {
  it('the record of a portal is shown, changed and removed with what it named', async () => {
    const { port } = await box.serve('ramdisk:4M', '--target', T1, '--no-auth');
    const portal = `127.0.0.1:${port}`;
    await box.ok('discover', portal);
    await box.ok('node', 'new', T2, '-p', '10.0.0.1:3260,1');
    assert.match(await out('discovery', 'show', portal), /^discovery\.sendtargets\.timeo\.login_timeout = 15$/m);
    assert.equal(
      await out('discovery', 'set', portal, 'discovery.sendtargets.timeo.login_timeout=5'),
      `changed: ${portal}\n  discovery.sendtargets.timeo.login_timeout: 15 -> 5\n`,
    );
    assert.match(await out('discovery', 'show', '-p', portal), /login_timeout = 5$/m);
    await refused(7, /no key node\.startup/, 'discovery', 'set', portal, 'node.startup=manual');
    await refused(21, /not found/, 'discovery', 'show', '10.9.9.9');
    await refused(7, /which portal/, 'discovery', 'show');
    await box.ok('login', T1, '--attach', 'none');
    await refused(15, /a session uses the record/, 'node', 'delete', T1);
    assert.match(
      await out('discovery', 'delete', portal),
      new RegExp(`^removed: ${portal}\nkept, a session uses it: ${portal},1 ${T1}\n$`),
    );
    assert.match(await out('discovery', 'list', '-P', '1'), /SENDTARGETS:\nNo targets found\.\n/);
    assert.match(await out('node', 'prune'), /^kept: nodes.*no longer asked, but a session uses it\n$/);
    await box.ok('logout', T1);
    assert.match(await out('node', 'prune', '--dry-run'), /^would be removed: nodes.*no longer asked\n$/);
    assert.match(await out('node', 'prune'), /^removed: nodes.*no longer asked\n$/);
    assert.equal(await out('node', 'prune'), '');
    assert.equal(await out('node', 'list'), `10.0.0.1:3260,1 ${T2}\n`);
  });
  it('discovery list has every kind', async () => {
    await box.ok('node', 'new', T2, '-p', '10.0.0.1:3260,1');
    const isns = join(box.folder, 'db/isns/10.0.0.9,3205');
    mkdirSync(isns, { recursive: true });
    writeFileSync(join(isns, 'isns_config'), 'discovery.type = isns\n');
    assert.equal(await out('discovery', 'list'), '10.0.0.9:3205 via isns\n');
    assert.equal(
      await out('discovery', 'list', '-P', '1'),
      `SENDTARGETS:\nNo targets found.\niSNS:\nDiscoveryAddress: 10.0.0.9,3205\nSTATIC:\nTarget: ${T2}\n\tPortal: 10.0.0.1:3260,1\n\t\tIface Name: default\nFIRMWARE:\nNo targets found.\n`,
    );
  });
  it('an interface record, from new to delete', async () => {
    assert.equal(await out('iface', 'new', 'if1', 'iface.net_ifacename=eth0'), 'added: interface if1\n');
    assert.equal(
      await out('iface', 'list'),
      'if1 tcp,<empty>,<empty>,eth0,<empty>\ndefault tcp,<empty>,<empty>,<empty>,<empty>\niser iser,<empty>,<empty>,<empty>,<empty>\n',
    );
    assert.equal(await out('iface', 'list', '-n', '-o', 'NAME,NETDEV'), 'if1      eth0\ndefault  -\niser     -\n');
    await refused(7, /exists/, 'iface', 'new', 'if1');
    await refused(
      7,
      /bound by iface\.net_ifacename.*\n.*frees it/,
      'iface',
      'set',
      'if1',
      'iface.hwaddress=00:11:22:33:44:55',
    );
    await refused(
      7,
      /bound by/,
      'iface',
      'new',
      'if2',
      'iface.net_ifacename=eth0',
      'iface.hwaddress=00:11:22:33:44:55',
    );
    await refused(7, /built in/, 'iface', 'set', 'default', 'iface.mtu=9000');
    await box.ok('node', 'new', T1, '-p', '10.0.0.1:3260,1', '-I', 'if1');
    assert.equal(
      await out('iface', 'set', 'if1', 'iface.initiatorname=iqn.2022-08.com.test:if1'),
      `changed: interface if1\n  iface.initiatorname: <empty> -> iqn.2022-08.com.test:if1\nchanged: 10.0.0.1:3260,1 ${T1} (interface if1)\n`,
    );
    assert.match(await out('iface', 'show', 'if1'), /^iface\.initiatorname = iqn\.2022-08\.com\.test:if1$/m);
    assert.match(readFileSync(node(T1, '10.0.0.1,3260,1/if1'), 'utf8'), /initiatorname = iqn/);
    assert.equal(
      await out('iface', 'delete', 'if1'),
      `removed: interface if1\nremoved: 10.0.0.1:3260,1 ${T1} (interface if1)\n`,
    );
    await refused(7, /Could not read iface info for if1/, 'iface', 'show', 'if1');
  });
});

describe('config show and check', () => {
  it('show says where each setting comes from', async () => {
    conf('# head\nnode.startup = automatic\niscsid.safe_logout = Yes\n');
    const text = await out('config', 'show', '--origin');
    assert.match(text, /^environment:LUNCTL_DB_DIR\tdb-dir = .*\/db$/m);
    assert.match(text, /^file:.*\/initiatorname\.iscsi\tInitiatorName = iqn\.2022-08\.com\.test:me$/m);
    assert.match(text, /^file:.*\/iscsid\.conf:2\tnode\.startup = automatic$/m);
    assert.match(text, /^file:.*\/iscsid\.conf:3\tiscsid\.safe_logout = Yes$/m);
    assert.match(text, /^default\tnode\.session\.queue_depth = 32$/m);
    assert.match(await out('config', 'show'), /^node\.startup = automatic$/m);
  });
  it('show makes no initiator name', async () => {
    const path = join(box.folder, 'etc/initiatorname.iscsi');
    writeFileSync(path, '');
    await refused(6, /names no initiator/, 'config', 'show');
    assert.equal(readFileSync(path, 'utf8'), '');
  });
  it('check has nothing to say where all is well', async () => {
    conf('node.startup = automatic\n');
    await box.ok('node', 'new', T1, '-p', '10.0.0.1:3260,1');
    const run = await box.ok('config', 'check');
    assert.deepEqual([run.stdout, run.stderr], ['', '']);
  });
  it('check finds what is not in order', async () => {
    await box.ok('iface', 'new', 'if1');
    await box.ok('node', 'new', T2, '-p', '10.0.0.1:3260,1', '-I', 'if1');
    conf(
      `node.bogus = 1\nnode.startup = Automatic\nnode.session.queue_depth = abc\nnode.conn[0].timeo.login_timeout = 0\n` +
        `node.session.auth.username = me\nnode.session.auth.password = ${GIVEN}\nnode.session.auth.password_in = ${GIVEN}\nbroken line\n`,
      0o644,
    );
    writeFileSync(join(box.folder, 'etc/initiatorname.iscsi'), 'InitiatorName=not a name\n');
    mkdirSync(join(box.folder, 'db/nodes', T1, '10.0.0.1,3260,1'), { recursive: true });
    writeFileSync(node(T1), '');
    writeFileSync(join(box.folder, 'db/ifaces/if1'), 'iface.mtu = 70000\n');
    writeFileSync(
      node(T2, '10.0.0.1,3260,1/gone'),
      readFileSync(node(T2, '10.0.0.1,3260,1/if1'), 'utf8').replace('= if1', '= gone\nnode.future = 3'),
    );
    const { code, stdout, stderr } = await box.run('config', 'check');
    assert.equal(code, 1);
    assert.equal(stderr, '');
    assert.ok(!stdout.includes(GIVEN));
    for (const pattern of [
      /^warning: .*iscsid\.conf:1: unknown key node\.bogus/m,
      /^warning: .*iscsid\.conf:2: node\.startup does not take "Automatic"/m,
      /^warning: .*iscsid\.conf:3: node\.session\.queue_depth does not take "abc"/m,
      /^warning: .*iscsid\.conf:4: .*login_timeout = 0 is not used/m,
      /^error: .*iscsid\.conf: line 8 is not "key = value"/m,
      /^warning: .*iscsid\.conf: it holds a secret, and others .*\n {2}hint: chmod/m,
      /^error: .*iscsid\.conf: both directions of mutual CHAP have the same secret/m,
      /^error: .*initiatorname\.iscsi: /m,
      /^error: .*t1\/10\.0\.0\.1,3260,1\/default: it names no target/m,
      /^warning: .*ifaces\/if1: iface\.mtu does not take "70000"/m,
      /^warning: .*\/gone: unknown key node\.future/m,
      /^warning: .*\/gone: it is bound to interface gone, which has no record/m,
    ]) {
      assert.match(stdout, pattern);
    }
    assert.equal(stdout.match(/^(error|warning):/gm)?.length, 12, stdout);
  });
});
