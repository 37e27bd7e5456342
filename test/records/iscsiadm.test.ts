// The same database under iscsiadm's hands and ours: each reads, shows and deletes what the other has written.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { discoveryTree } from '../../src/cli/render/discovery-tree.js';
import { nodeLine, nodeTree, recordText } from '../../src/cli/render/iscsiadm.js';
import { readConfigFile } from '../../src/records/config-file.js';
import { applyDiscovery, linkedNodes } from '../../src/records/discovery-store.js';
import { NODE_KEYS } from '../../src/records/keys.js';
import { listNodes } from '../../src/records/node-store.js';
import { FORGET_OTHERS } from '../helpers/mount-namespace.js';

/** iscsiadm knows one place for its records: in a mount namespace of its own that place is the test's folder. */
function cannot(): string | false {
  if (process.getuid?.() !== 0) return 'needs root for a mount namespace';
  if (!existsSync('/etc/iscsi/iscsid.conf')) return 'open-iscsi is not installed: apt-get install open-iscsi';
  const { status } = spawnSync('unshare', ['-m', 'true']);
  return status === 0 ? false : 'this machine allows no mount namespaces';
}

describe('one database, two programs', { skip: cannot() }, () => {
  let root: string;
  const portal = { address: '10.9.8.7', port: 3260 };
  const name = (n: number) => `iqn.2022-08.com.test:dlp.target0${n}`;
  const found = [
    { targetName: name(1), address: '10.9.8.7', port: 3260, tpgt: 1 },
    { targetName: name(1), address: 'fe80::20c:29ff', port: 3260, tpgt: 1 },
    { targetName: name(2), address: '10.9.8.7', port: 3261, tpgt: 65_535 },
  ];
  const iscsiadm = (...args: string[]) =>
    execFileSync(
      'unshare',
      ['-m', 'sh', '-c', `${FORGET_OTHERS}mount --bind "$0" /etc/iscsi && exec iscsiadm "$@"`, root, ...args],
      {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'lunctl-shared-'));
    copyFileSync('/etc/iscsi/iscsid.conf', join(root, 'iscsid.conf'));
    writeFileSync(join(root, 'initiatorname.iscsi'), 'InitiatorName=iqn.2022-08.com.test:node01.initiator01\n', {
      mode: 0o600,
    });
    const { values: config } = await readConfigFile(root);
    const operations = new Set(['new', 'update', 'delete'] as const);
    await applyDiscovery(root, { portal, found, config, operations, inUse: () => false });
  });
  after(() => rm(root, { recursive: true, force: true }));

  it('iscsiadm lists our records in our order', async () => {
    const refs = (await listNodes(root)).items.map(({ ref }) => ref);
    assert.equal(iscsiadm('-m', 'node'), refs.map(nodeLine).join(''));
    assert.equal(iscsiadm('-m', 'node', '-P', '1'), nodeTree(refs));
  });
  it('and shows them as we do', async () => {
    for (const { ref, values } of (await listNodes(root)).items) {
      const host = ref.address.includes(':') ? `[${ref.address}]` : ref.address;
      const shown = iscsiadm('-m', 'node', '-T', ref.targetName, '-p', `${host}:${ref.port}`);
      const ours = recordText(values, NODE_KEYS, { showSecrets: false });
      // Its release may have keys that 2.1.8 did not; what both have must agree.
      const lines = (text: string) => text.split('\n').filter((line) => !line.startsWith('#'));
      const theirs = lines(shown);
      assert.deepEqual(
        lines(ours).filter((line) => theirs.includes(line)),
        lines(ours),
      );
    }
  });
  it('it finds them by their discovery', async () => {
    const sorted = (text: string) => text.split('\n').sort();
    assert.deepEqual(
      sorted(iscsiadm('-m', 'discovery', '-P', '1')),
      sorted(
        discoveryTree({
          sendTargets: [{ portal, nodes: await linkedNodes(root, portal) }],
          isns: [],
          static: [],
          firmware: [],
        }),
      ),
    );
  });
  it('we read what it has changed and made', async () => {
    iscsiadm('-m', 'node', '-T', name(2), '-o', 'update', '-n', 'node.startup', '-v', 'automatic');
    iscsiadm('-m', 'node', '-T', name(2), '-o', 'update', '-n', 'node.session.auth.password', '-v', 'its secret = 12');
    iscsiadm('-m', 'node', '-o', 'new', '-T', 'iqn.2022-08.com.test:manual', '-p', '10.0.0.1:3261');
    const { items, warnings } = await listNodes(root);
    assert.deepEqual(warnings, []);
    const second = items.find(({ ref }) => ref.targetName === name(2));
    assert.equal(second?.values.text('node.startup'), 'automatic');
    assert.equal(second?.values.text('node.session.auth.password'), 'its secret = 12');
    assert.deepEqual(
      items.map(({ ref }) => ref.tpgt),
      [1, 1, 65_535, -1],
    );
  });
  it('it deletes our records and leaves nothing of them', async () => {
    iscsiadm('-m', 'node', '-o', 'delete');
    assert.deepEqual(readdirSync(join(root, 'nodes')), []);
    assert.deepEqual(await linkedNodes(root, portal), []);
  });
});
