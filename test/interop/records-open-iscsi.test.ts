// One database, two programs: what the real iscsiadm has written we use, change and clear up, and what we have written it
// does; every key, and both at once.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { discoveryTree } from '../../src/cli/render/discovery-tree.js';
import { ifaceLine, nodeLine, nodeTree, recordText } from '../../src/cli/render/iscsiadm.js';
import { checkChanges, type Scope } from '../../src/records/changes.js';
import { IFACE_KEYS, NODE_KEYS, SENDTARGETS_KEYS } from '../../src/records/keys.js';
import { listNodes } from '../../src/records/node-store.js';
import type { RecordValues } from '../../src/records/values.js';
import {
  addDiscovery,
  deleteDiscovery,
  listAllDiscoveries,
  requireDiscovery,
  updateDiscovery,
} from '../../src/services/records/edit-discoveries.js';
import { addIface, deleteIface, listIfaces, updateIface } from '../../src/services/records/edit-ifaces.js';
import { addNode, deleteNodes, updateNodes } from '../../src/services/records/edit-nodes.js';
import { pruneRecords } from '../../src/services/records/prune.js';
import { readConfig, recordDiscovery, selectIface } from '../../src/services/records/records.js';
import { inNamespace, realIscsiadm, whyNoIscsiadm } from '../helpers/real-iscsiadm.js';

const ROUNDS = Number(process.env.LUNCTL_TEST_RECORD_ROUNDS ?? '60');
const signal = new AbortController().signal;
const nobody = { inUse: () => false };
const portal = { address: '10.0.0.1', port: 3260 };
const name = (short: string) => `iqn.2022-08.com.test:${short}`;

let root: string;
let paths: { configDir: string; dbDir: string };
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'lunctl-both-'));
  paths = { configDir: root, dbDir: root };
  // Each call tries to start its daemon: by systemctl that takes longer than all the rest.
  const stock = readFileSync('/etc/iscsi/iscsid.conf', 'utf8');
  writeFileSync(join(root, 'iscsid.conf'), stock.replace(/^iscsid\.startup = .*$/m, 'iscsid.startup = /bin/true'));
  writeFileSync(join(root, 'initiatorname.iscsi'), 'InitiatorName=iqn.2022-08.com.test:me\n', { mode: 0o600 });
});
afterEach(() => rm(root, { recursive: true, force: true }));

const real = (...commands: readonly string[]) => realIscsiadm(root, ...commands.map((line) => line.split(' ')));
const nodes = async () => {
  const { items, warnings } = await listNodes(root);
  assert.deepEqual(warnings, []);
  return items;
};
/** Lists of the real one come in the order of the file system. */
const sorted = (text: string) => text.split('\n').sort();
/** Both show the same: every list, and every record in full. */
async function agree(): Promise<void> {
  const items = await nodes();
  const refs = items.map(({ ref }) => ref);
  const { items: ifaces } = await listIfaces(paths);
  const shown = (values: RecordValues, table: typeof NODE_KEYS) => recordText(values, table, { showSecrets: true });
  // Without a record it ends with 21.
  const lists = refs.length === 0 ? [] : ['-m node', '-m node -P 1', '-m node -o show -S'];
  const theirs = real(
    ...lists,
    '-m discovery -P 1',
    '-m iface',
    ...ifaces.map(({ name: iface }) => `-m iface -I ${iface}`),
  );
  const ours = [
    refs.map(nodeLine).join(''),
    nodeTree(refs, { eachPortal: true }),
    items.map(({ values }) => shown(values, NODE_KEYS)).join(''),
    discoveryTree(await listAllDiscoveries(paths)),
    ifaces.map(ifaceLine).join(''),
    ...ifaces.map(({ values }) => shown(values, IFACE_KEYS)),
  ];
  assert.deepEqual(theirs.map(sorted), ours.slice(3 - lists.length).map(sorted));
}
async function discover(...names: string[]): Promise<void> {
  const found = names.map((short) => ({ targetName: name(short), ...portal, tpgt: 1 }));
  const config = await readConfig(paths);
  await recordDiscovery(paths, { portal, found, config, save: null, ...nobody, signal });
}

describe('one record database', { skip: whyNoIscsiadm() }, () => {
  it('that iscsiadm has made is listed, changed, extended and cleared up by us, and read by it again', async () => {
    real(
      '-m iface -I if1 -o new',
      `-m iface -I if1 -o update -n iface.initiatorname -v ${name('if1')}`,
      `-m node -o new -T ${name('a')} -p 10.0.0.1:3260,1`,
      `-m node -o new -T ${name('a')} -p 10.0.0.1:3260,1 -I if1`,
      `-m node -o new -T ${name('b')} -p [fd00::1]:3261,7`,
      `-m node -o new -T ${name('c')} -p host.example`,
      '-m discoverydb -t st -p 10.0.0.2 -o new',
      '-m discoverydb -t isns -p 10.0.0.3 -o new',
      `-m node -T ${name('b')} -o update -n node.session.auth.password -v canary#=secret`,
    );
    await agree();
    const items = await nodes();
    assert.equal(
      items.find(({ ref }) => ref.targetName === name('b'))?.values.text('node.session.auth.password'),
      'canary#=secret',
    );

    const refs = items.map(({ ref }) => ref);
    const { results } = await updateNodes(paths, refs, [['node.startup', 'automatic']], signal);
    assert.ok(results.every(({ error, changed }) => error === null && changed.length === 1));
    await updateIface(paths, 'if1', [['iface.ipaddress', '10.0.0.7']], signal);
    await addNode(paths, { targetName: name('d'), portal, tpgt: 3, iface: 'if1' }, signal);
    await updateDiscovery(
      paths,
      { address: '10.0.0.2', port: 3260 },
      [['discovery.sendtargets.reopen_max', '2']],
      signal,
    );
    await discover('e', 'f');
    await agree();
    assert.equal((await nodes()).length, 7);

    await discover('f');
    writeFileSync(join(root, 'nodes', name('c'), 'host.example,3260'), '');
    const { removed } = await pruneRecords(paths, { ...nobody, dryRun: false }, signal);
    assert.deepEqual(
      removed.map(({ kind }) => kind),
      ['unreadable'],
    );
    await deleteIface(paths, 'if1', nobody, signal);
    await deleteDiscovery(paths, { address: '10.0.0.2', port: 3260 }, nobody, signal);
    await agree();
    assert.deepEqual(
      (await nodes()).map(({ ref }) => ref.targetName),
      [name('a'), name('b'), name('f')],
    );
  });

  it('that we have made is changed and cleared up by iscsiadm, and read by us again', async () => {
    await addIface(paths, 'if1', signal, { changes: [['iface.initiatorname', name('if1')]] });
    await discover('a', 'b');
    await addNode(paths, { targetName: name('c'), portal, tpgt: 4, iface: 'if1' }, signal);
    await addNode(paths, { targetName: name('d'), portal, tpgt: -1 }, signal);
    await addDiscovery(paths, { address: '10.0.0.2', port: 3260 }, signal);
    await agree();

    real(
      '-m node -o update -n node.startup -v onboot',
      '-m iface -I if1 -o update -n iface.ipaddress -v 10.0.0.9',
      `-m node -o new -T ${name('d')} -p 10.0.0.1:3260,9`,
    );
    await agree();
    const items = await nodes();
    assert.ok(items.every(({ ref, values }) => ref.tpgt === 9 || values.text('node.startup') === 'onboot'));
    const bound = items.find(({ ref }) => ref.iface === 'if1');
    assert.equal(bound?.values.text('iface.ipaddress'), '10.0.0.9');
    // It has replaced our record without a tag.
    assert.deepEqual(
      items.filter(({ ref }) => ref.targetName === name('d')).map(({ ref }) => ref.tpgt),
      [9],
    );

    real(
      `-m node -o delete -T ${name('d')}`,
      '-m iface -I if1 -o delete',
      '-m discoverydb -t st -p 10.0.0.1 -o delete',
      '-m discoverydb -t st -p 10.0.0.2 -o delete',
    );
    assert.deepEqual(await nodes(), []);
    for (const folder of ['nodes', 'static', 'send_targets', 'ifaces'])
      assert.deepEqual(readdirSync(join(root, folder)), []);
    assert.deepEqual(await pruneRecords(paths, { ...nobody, dryRun: true }, signal), { removed: [], kept: [] });
  });

  it('takes every key of each kind of record from both, and stores it the same', async () => {
    for (const short of ['real', 'ours']) await addNode(paths, { targetName: name(short), portal, tpgt: 1 }, signal);
    for (const short of ['real', 'ours']) await addIface(paths, short, signal);
    for (const port of [1, 2]) await addDiscovery(paths, { address: 'h', port }, signal);
    const ours = (await nodes()).find(({ ref }) => ref.targetName === name('ours'))?.ref;
    assert.ok(ours);
    let sets = 0;
    for (const [scope, table] of [
      ['node', NODE_KEYS],
      ['iface', IFACE_KEYS],
      ['discovery', SENDTARGETS_KEYS],
    ] as const) {
      const changes = table.flatMap(([key]) => valuesFor(scope, key).map((value) => [key, value] as const));
      sets += changes.length;
      if (scope === 'node') await updateNodes(paths, [ours], changes, signal);
      else if (scope === 'iface') await updateIface(paths, 'ours', changes, signal);
      else await updateDiscovery(paths, { address: 'h', port: 2 }, changes, signal);
      const where = { node: `node -T ${name('real')}`, iface: 'iface -I real', discovery: 'discoverydb -t st -p h:1' };
      const script = changes.map(([key, value]) => `iscsiadm -m ${where[scope]} -o update -n '${key}' -v '${value}'`);
      const { code, stderr } = inNamespace(root, 'sh', '-ec', script.join('\n'));
      assert.deepEqual([code, stderr], [0, '']);
    }
    assert.ok(sets > 150, String(sets));
    const file = (path: string) => readFileSync(join(root, path), 'utf8');
    const record = (short: string) => file(`nodes/${name(short)}/10.0.0.1,3260,1/default`);
    assert.deepEqual(sorted(record('ours').replace(name('ours'), name('real'))), sorted(record('real')));
    assert.deepEqual(sorted(file('ifaces/ours').replace('= ours', '= real')), sorted(file('ifaces/real')));
    const discovery = (port: number) => file(`send_targets/h,${port}/st_config`).replace(`port = ${port}`, 'port = N');
    assert.deepEqual(sorted(discovery(2)), sorted(discovery(1)));
    await agree();
    assert.equal(
      recordText((await requireDiscovery(paths, { address: 'h', port: 2 })).values, SENDTARGETS_KEYS, {
        showSecrets: true,
      }),
      real('-m discoverydb -t st -p h:2 -S')[0],
    );
    assert.equal((await selectIface(paths, 'ours')).values.text('iface.mtu'), '65531');
  });

  it(`is changed by both at once, ${ROUNDS} rounds of ours: no record is torn, lost or left behind`, {
    timeout: 120_000,
  }, async () => {
    await addNode(paths, { targetName: name('ours'), portal, tpgt: 1 }, signal);
    real(...['theirs', 'both'].map((short) => `-m node -o new -T ${name(short)} -p 10.0.0.1:3260,1`));
    const writer = join(import.meta.dirname, 'records-writer.ts');
    // Until ours has ended theirs goes on. It looks through all the folders without its lock, and gives up where a record has
    // gone meanwhile: then it is called again.
    const script = `again() { for i in 1 2 3 4 5 6 7 8; do "$@" >/dev/null 2>/run/said && return; done; cat /run/said >&2; false; }
node --import tsx '${writer}' ${ROUNDS} & ours=$!
n=0
while kill -0 $ours 2>/dev/null; do
  n=$((n + 1))
  again iscsiadm -m node -T ${name('theirs')} -o update -n node.session.cmds_max -v $n || exit 10
  again iscsiadm -m node -o new -T ${name('both')} -p 10.0.0.5:3260,3 || exit 11
  again iscsiadm -m node -T ${name('both')} -p 10.0.0.5 -o delete || exit 12
  again iscsiadm -m iface -I if$((n % 3)) -o new || exit 13
done
wait $ours || exit 14
ls -A /run/lock/iscsi | grep -q lock.write && exit 15
echo $n`;
    const { code, stdout, stderr } = inNamespace(root, 'sh', '-c', script);
    assert.deepEqual([code, stderr], [0, ''], stdout);
    const rounds = stdout.trim();
    assert.ok(Number(rounds) >= 3, stdout);
    await agree();
    const items = await nodes();
    const value = (short: string, key: string) =>
      items.find(({ ref }) => ref.targetName === name(short))?.values.text(key);
    assert.equal(value('ours', 'node.session.queue_depth'), String(ROUNDS));
    assert.equal(value('theirs', 'node.session.cmds_max'), rounds);
    assert.deepEqual(
      items.map(({ ref }) => `${ref.targetName.slice(21)} ${ref.tpgt}`),
      ['both 1', `found ${ROUNDS % 2}`, 'ours 1', 'theirs 1'],
    );
    assert.deepEqual(
      readdirSync(root).filter((file) => file.startsWith('.lunctl-') && file !== '.lunctl-lock'),
      [],
    );
    assert.deepEqual(await pruneRecords(paths, { ...nobody, dryRun: true }, signal), { removed: [], kept: [] });
  });

  it('is found by iscsiadm where an old release has left it', async () => {
    await discover('a');
    await addNode(paths, { targetName: name('flat'), portal, tpgt: -1 }, signal);
    const folder = join(root, 'send_targets/10.0.0.9,3260');
    mkdirSync(join(root, 'send_targets'), { recursive: true });
    copyFileSync(join(root, 'send_targets/10.0.0.1,3260/st_config'), folder);
    writeFileSync(folder, readFileSync(folder, 'utf8').replace('10.0.0.1', '10.0.0.9'));
    await agree();
    await updateDiscovery(
      paths,
      { address: '10.0.0.9', port: 3260 },
      [['discovery.sendtargets.reopen_max', '1']],
      signal,
    );
    assert.ok(existsSync(join(folder, 'st_config')));
    await agree();
    await deleteNodes(
      paths,
      (await nodes()).map(({ ref }) => ref),
      nobody,
      signal,
    );
    await agree();
  });
});

/** Values for one key: what it may be, and what C's strtol makes of nonsense. None where it says which record it is. */
function valuesFor(scope: Scope, key: string): readonly string[] {
  const taken = (value: string) => {
    try {
      checkChanges(scope, [[key, value]]);
      return true;
    } catch {
      return false;
    }
  };
  // A device or an address binds the interface; a transport that there is not ends the real one.
  if (['iface.hwaddress', 'iface.net_ifacename', 'iface.transport_name'].includes(key)) return [];
  if (key === 'iface.ipaddress') return ['10.0.0.7'].filter(taken);
  if (key === 'node.session.auth.chap_algs') return ['SHA256', 'SHA3-256,MD5'];
  const words = ['automatic', 'Yes', 'CHAP', 'None,CRC32C', 'manual'];
  const stored = (value: string) => checkChanges(scope, [[key, value]]).changes[0]?.[1];
  if (!taken('a b')) return words.filter(taken);
  if (stored('a b') !== '0') return ['99999999999', 'a b = # c'];
  // Of these numbers without a sign the real one writes more bits than it shows; we write what it shows.
  const odd = (scope === 'node' && stored('-5') !== '-5') || key === 'iface.iface_num';
  return odd ? ['7'] : ['99999999999', '-5'];
}
