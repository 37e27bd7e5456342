// Records made, changed and removed as a service: both faces of the program do it through here.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { NodeRef } from '../../src/records/node-ref.js';
import { listNodes } from '../../src/records/node-store.js';
import {
  addDiscovery,
  deleteDiscovery,
  listAllDiscoveries,
  updateDiscovery,
} from '../../src/services/records/edit-discoveries.js';
import { addIface, deleteIface, listIfaces, updateIface } from '../../src/services/records/edit-ifaces.js';
import { addNode, deleteNodes, updateNodes } from '../../src/services/records/edit-nodes.js';
import { recordsInUse } from '../../src/services/records/in-use.js';
import { readConfig, recordDiscovery } from '../../src/services/records/records.js';

const signal = new AbortController().signal;
const T1 = 'iqn.2022-08.com.test:t1';
const portal = { address: '10.0.0.1', port: 3260 };
const nobody = { inUse: () => false };

let root: string;
let paths: { configDir: string; dbDir: string };
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'lunctl-edit-'));
  paths = { configDir: root, dbDir: root };
});
afterEach(() => rm(root, { recursive: true, force: true }));

const tree = () =>
  execFileSync('find', [root, '-mindepth', '1', '-not', '-name', '.lunctl-lock', '-printf', '%P\n'], {
    encoding: 'utf8',
  })
    .split('\n')
    .filter((line) => line !== '')
    .sort();
const values = async (ref: Partial<NodeRef> = {}) => {
  const { items } = await listNodes(root);
  return items.find(({ ref: one }) => Object.entries(ref).every(([key, value]) => one[key as keyof NodeRef] === value))
    ?.values;
};
async function discover(...names: string[]): Promise<void> {
  const found = names.map((name) => ({ targetName: `iqn.2022-08.com.test:${name}`, ...portal, tpgt: 1 }));
  await recordDiscovery(paths, { portal, found, config: await readConfig(paths), save: null, ...nobody, signal });
}

describe('node records', () => {
  it('without a tag are a file ADDRESS,PORT, as with iscsiadm', async () => {
    const { ref } = await addNode(paths, { targetName: T1, portal, tpgt: -1 }, signal);
    assert.equal(ref.tpgt, -1);
    assert.deepEqual(tree(), ['nodes', `nodes/${T1}`, `nodes/${T1}/10.0.0.1,3260`]);
  });
  it('with a tag have a link in static, and replace the one without', async () => {
    await addNode(paths, { targetName: T1, portal, tpgt: -1 }, signal);
    await addNode(paths, { targetName: T1, portal, tpgt: 1 }, signal);
    assert.deepEqual(tree(), [
      'nodes',
      `nodes/${T1}`,
      `nodes/${T1}/10.0.0.1,3260,1`,
      `nodes/${T1}/10.0.0.1,3260,1/default`,
      'static',
      `static/${T1},10.0.0.1,3260,1,default`,
    ]);
  });
  it('made anew lose what was set, unless they are not to be replaced', async () => {
    const one = { targetName: T1, portal, tpgt: 1 };
    const { ref } = await addNode(paths, one, signal);
    await updateNodes(paths, [ref], [['node.session.queue_depth', '7']], signal);
    await assert.rejects(addNode(paths, one, signal, { replace: false }), { code: 'ERR_USAGE', message: /exists/ });
    assert.equal((await values())?.text('node.session.queue_depth'), '7');
    await addNode(paths, one, signal);
    assert.equal((await values())?.text('node.session.queue_depth'), '32');
  });
  it('take the settings of iscsid.conf, of their interface, and those given', async () => {
    writeFileSync(join(root, 'iscsid.conf'), 'node.startup = automatic\nnode.session.queue_depth = 9\n');
    await addIface(paths, 'if1', signal, { changes: [['iface.initiatorname', 'iqn.2022-08.com.test:me']] });
    const changes = [['node.session.queue_depth', '11']] as const;
    await addNode(paths, { targetName: T1, portal, tpgt: 1, iface: 'if1' }, signal, { changes });
    const record = await values({ iface: 'if1' });
    assert.equal(record?.text('node.startup'), 'automatic');
    assert.equal(record?.text('node.session.queue_depth'), '11');
    assert.equal(record?.text('iface.initiatorname'), 'iqn.2022-08.com.test:me');
  });
  it('that cannot be are refused before anything is made', async () => {
    for (const bad of [
      { targetName: '../../etc', portal, tpgt: 1 },
      { targetName: 'a,b', portal, tpgt: 1 },
      { targetName: T1, portal: { address: '../x', port: 1 }, tpgt: 1 },
      { targetName: T1, portal: { address: 'h', port: 0 }, tpgt: 1 },
      { targetName: T1, portal, tpgt: 65_536 },
      { targetName: T1, portal, tpgt: 1, iface: '../../x' },
      { targetName: T1, portal, tpgt: 1, iface: 'nope' },
    ]) {
      await assert.rejects(addNode(paths, bad, signal), { code: 'ERR_USAGE' }, JSON.stringify(bad));
    }
    assert.deepEqual(tree(), []);
  });
  it('that iscsiadm has made under a name that is no iSCSI name are used', async () => {
    await addNode(paths, { targetName: 'not-a-name', portal, tpgt: 7 }, signal);
    const { items, warnings } = await listNodes(root);
    assert.deepEqual([items.map(({ ref }) => ref.targetName), warnings], [['not-a-name'], []]);
  });
  it('change together, and not at all when one change is none', async () => {
    const { ref } = await addNode(paths, { targetName: T1, portal, tpgt: 1 }, signal);
    const both = [
      ['node.startup', 'automatic'],
      ['node.session.scan', 'BAD'],
    ] as const;
    await assert.rejects(updateNodes(paths, [ref], both, signal), { code: 'ERR_USAGE', refusal: 'bad-value' });
    assert.equal((await values())?.text('node.startup'), 'manual');
    const missing = { ...ref, tpgt: 2 };
    const { results } = await updateNodes(paths, [missing, ref], [['node.startup', 'automatic']], signal);
    assert.deepEqual(
      results.map(({ error }) => error?.code),
      ['ERR_NOT_FOUND', undefined],
    );
    assert.equal((await values())?.text('node.startup'), 'automatic');
  });
  it('keep what others have written, and keys that nobody knows', async () => {
    const { ref } = await addNode(paths, { targetName: T1, portal, tpgt: 1 }, signal);
    const path = join(root, `nodes/${T1}/10.0.0.1,3260,1/default`);
    writeFileSync(path, readFileSync(path, 'utf8').replace('# END', 'node.future = 3\n# END'));
    const before = readFileSync(path, 'utf8');
    await updateNodes(paths, [ref], [['node.startup', 'automatic']], signal);
    assert.equal(readFileSync(path, 'utf8'), before.replace('startup = manual', 'startup = automatic'));
  });
  it('lose nothing to each other when many are set at once', async () => {
    const { ref } = await addNode(paths, { targetName: T1, portal, tpgt: 1 }, signal);
    const keys = ['abort', 'lu_reset', 'tgt_reset', 'host_reset'].map(
      (name) => `node.session.err_timeo.${name}_timeout`,
    );
    await Promise.all(keys.map((key, i) => updateNodes(paths, [ref], [[key, String(100 + i)]], signal)));
    const record = await values();
    assert.deepEqual(
      keys.map((key) => record?.text(key)),
      ['100', '101', '102', '103'],
    );
  });
  it('go with their links and folders, except where a session uses them', async () => {
    await discover('t1', 't2');
    await addNode(paths, { targetName: 'iqn.2022-08.com.test:t3', portal, tpgt: 4 }, signal);
    const refs = (await listNodes(root)).items.map(({ ref }) => ref);
    const inUse = ({ targetName }: NodeRef) => targetName === T1;
    const results = await deleteNodes(paths, refs, { inUse }, signal);
    assert.deepEqual(
      results.map(({ error }) => error?.code),
      ['ERR_SESSION_EXISTS', undefined, undefined],
    );
    assert.deepEqual(
      tree(),
      [
        'nodes',
        `nodes/${T1}`,
        `nodes/${T1}/10.0.0.1,3260,1`,
        `nodes/${T1}/10.0.0.1,3260,1/default`,
        'send_targets',
        'send_targets/10.0.0.1,3260',
        'send_targets/10.0.0.1,3260/st_config',
        `send_targets/10.0.0.1,3260/${T1},10.0.0.1,3260,1,default`,
        'static',
      ].sort(),
    );
  });
  it('are in use by the kernel’s sessions too', async () => {
    const put = (path: string, text: string) => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), `${text}\n`);
    };
    put('sessions/session3/targetname', T1);
    put('sessions/session3/ifacename', 'default');
    put('connections/connection3:0/persistent_address', '10.0.0.1');
    put('connections/connection3:0/persistent_port', '3260');
    const kernel = { sessions: join(root, 'sessions'), connections: join(root, 'connections') };
    const inUse = await recordsInUse({ runDir: join(root, 'run') }, kernel);
    const ref = { targetName: T1, ...portal, tpgt: 1, iface: 'default' };
    assert.deepEqual(
      [inUse(ref), inUse({ ...ref, port: 3261 }), inUse({ ...ref, iface: 'if1' })],
      [true, false, false],
    );
  });
});

describe('interfaces', () => {
  it('are listed with the built-in ones last', async () => {
    await addIface(paths, 'zz', signal);
    await addIface(paths, 'aa', signal);
    mkdirSync(join(root, 'ifaces/bad'));
    const { items, warnings } = await listIfaces(paths);
    assert.deepEqual(
      items.map(({ name }) => name),
      ['aa', 'zz', 'default', 'iser'],
    );
    assert.equal(items.at(-1)?.values.text('iface.transport_name'), 'iser');
    assert.match(warnings.join(), /^ifaces\/bad: .*not a regular file; skipped$/);
  });
  it('change with the node records that are bound to them', async () => {
    await addIface(paths, 'if1', signal);
    await addNode(paths, { targetName: T1, portal, tpgt: 1, iface: 'if1' }, signal);
    await addNode(paths, { targetName: T1, portal, tpgt: 1 }, signal);
    const { nodes } = await updateIface(paths, 'if1', [['iface.net_ifacename', 'eth0']], signal);
    assert.equal(nodes.length, 1);
    assert.equal((await values({ iface: 'if1' }))?.text('iface.net_ifacename'), 'eth0');
    assert.equal((await values({ iface: 'default' }))?.text('iface.net_ifacename'), '');
  });
  it('are bound by one thing only, and unbound by an empty value', async () => {
    await addIface(paths, 'if1', signal, { changes: [['iface.net_ifacename', 'eth0']] });
    const hardware = [['iface.hwaddress', '00:11:22:33:44:55']] as const;
    await assert.rejects(updateIface(paths, 'if1', hardware, signal), {
      refusal: 'binding',
      key: 'iface.hwaddress',
      value: 'iface.net_ifacename',
    });
    await updateIface(paths, 'if1', [['iface.net_ifacename', '']], signal);
    await updateIface(paths, 'if1', hardware, signal);
    assert.ok(readFileSync(join(root, 'ifaces/if1'), 'utf8').includes('iface.hwaddress = 00:11:22:33:44:55'));
    assert.ok(!readFileSync(join(root, 'ifaces/if1'), 'utf8').includes('net_ifacename'));
  });
  it('that are built in do not change', async () => {
    for (const name of ['default', 'iser']) {
      const special = { refusal: 'special-iface', key: name };
      await assert.rejects(addIface(paths, name, signal), special);
      await assert.rejects(updateIface(paths, name, [['iface.mtu', '9']], signal), special);
      await assert.rejects(deleteIface(paths, name, nobody, signal), special);
    }
    assert.deepEqual(tree(), []);
  });
  it('go with the records that are bound to them, unless one is in use', async () => {
    await addIface(paths, 'if1', signal);
    await addNode(paths, { targetName: T1, portal, tpgt: 1, iface: 'if1' }, signal);
    await addNode(paths, { targetName: T1, portal: { address: 'h', port: 1 }, tpgt: -1, iface: 'if1' }, signal);
    await addNode(paths, { targetName: T1, portal, tpgt: 1 }, signal);
    await assert.rejects(deleteIface(paths, 'if1', { inUse: () => true }, signal), { code: 'ERR_SESSION_EXISTS' });
    assert.equal((await listNodes(root)).items.length, 3);
    assert.equal((await deleteIface(paths, 'if1', nobody, signal)).length, 2);
    assert.deepEqual(
      (await listNodes(root)).items.map(({ ref }) => ref.iface),
      ['default'],
    );
    assert.deepEqual(readdirSync(join(root, 'ifaces')), []);
    await assert.rejects(deleteIface(paths, 'if1', nobody, signal), {
      code: 'ERR_USAGE',
      message: /Could not read iface/,
    });
  });
});

describe('discovery records', () => {
  it('are made, changed, made anew, and removed with what they have found', async () => {
    await discover('t1', 't2');
    const timeout = [['discovery.sendtargets.timeo.login_timeout', '5']] as const;
    const { record } = await updateDiscovery(paths, portal, timeout, signal);
    assert.equal(record.values.text('discovery.sendtargets.timeo.login_timeout'), '5');
    const again = await addDiscovery(paths, portal, signal);
    assert.equal(again.values.text('discovery.sendtargets.timeo.login_timeout'), '15');
    const inUse = ({ targetName }: NodeRef) => targetName === T1;
    const { deleted, kept } = await deleteDiscovery(paths, portal, { inUse }, signal);
    assert.deepEqual([deleted.length, kept.length], [1, 1]);
    assert.deepEqual(tree(), [
      'nodes',
      `nodes/${T1}`,
      `nodes/${T1}/10.0.0.1,3260,1`,
      `nodes/${T1}/10.0.0.1,3260,1/default`,
      'send_targets',
    ]);
    await assert.rejects(deleteDiscovery(paths, portal, nobody, signal), {
      code: 'ERR_NOT_FOUND',
      message: 'Discovery record [10.0.0.1,3260] not found.',
    });
    await assert.rejects(updateDiscovery(paths, portal, timeout, signal), { code: 'ERR_NOT_FOUND' });
  });
  it('in the old flat form are read, and become folders when they are written', async () => {
    await addDiscovery(paths, portal, signal);
    const folder = join(root, 'send_targets/10.0.0.1,3260');
    const text = readFileSync(join(folder, 'st_config'), 'utf8');
    await rm(folder, { recursive: true });
    writeFileSync(folder, text.replace('login_timeout = 15', 'login_timeout = 6'));
    assert.deepEqual((await listAllDiscoveries(paths)).sendTargets, [{ portal, nodes: [] }]);
    const { record } = await updateDiscovery(paths, portal, [['discovery.sendtargets.reopen_max', '2']], signal);
    assert.equal(record.values.text('discovery.sendtargets.timeo.login_timeout'), '6');
    assert.deepEqual(readdirSync(folder), ['st_config']);
    await rm(folder, { recursive: true });
    writeFileSync(folder, text);
    await deleteDiscovery(paths, portal, nobody, signal);
    assert.deepEqual(readdirSync(join(root, 'send_targets')), []);
  });
  it('of every kind are listed', async () => {
    await discover('t1');
    const { ref } = await addNode(paths, { targetName: 'iqn.2022-08.com.test:hand', portal, tpgt: 2 }, signal);
    const link = `${T1},10.0.0.1,3260,1,default`;
    for (const folder of ['isns/10.0.0.9,3205', 'isns/10.0.0.8,3205', 'isns/what']) {
      mkdirSync(join(root, folder), { recursive: true });
      writeFileSync(join(root, folder, link), '');
    }
    writeFileSync(join(root, 'isns/10.0.0.9,3205/isns_config'), 'discovery.type = isns\n');
    const all = await listAllDiscoveries(paths);
    const found = { targetName: T1, ...portal, tpgt: 1, iface: 'default' };
    assert.deepEqual(all.sendTargets, [{ portal, nodes: [found] }]);
    assert.deepEqual(all.isns, [{ server: { address: '10.0.0.9', port: 3205 }, nodes: [found] }]);
    assert.deepEqual([all.static, all.firmware], [[ref], []]);
    assert.match(all.warnings.join(), /isns\/what/);
  });
});
