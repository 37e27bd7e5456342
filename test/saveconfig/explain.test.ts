// Who gets in by a configuration of LIO, and why not: told, and done the same by the target's own look-ups.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { MemoryDevice } from '../../src/block/memory-device.js';
import { explainAccess } from '../../src/saveconfig/explain.js';
import type { SaveConfig, Tpg } from '../../src/saveconfig/model.js';
import { parseSaveConfig } from '../../src/saveconfig/parse.js';
import { nodeConfig } from '../../src/services/serve/node-config.js';
import { LogicalUnit } from '../../src/target/logical-unit.js';
import { TargetNode } from '../../src/target/target-node.js';

const TARGET2 = 'iqn.2022-08.com.test:dlp.target02';
const NODE1 = 'iqn.2022-08.com.test:node01.initiator01';
const NODE2 = 'iqn.2022-08.com.test:node02';
const STRANGER = 'iqn.2022-08.com.test:stranger';

const config = parseSaveConfig(readFileSync(new URL('data/lio-two-targets.json', import.meta.url), 'utf8'), 'a.json');

/** With other settings in every portal group. */
function withGroups(change: (tpg: Tpg) => Tpg): SaveConfig {
  return { ...config, targets: config.targets.map((target) => ({ ...target, tpgs: target.tpgs.map(change) })) };
}
function attributes(changes: Readonly<Record<string, number>>): SaveConfig {
  return withGroups((tpg) => ({ ...tpg, attributes: { ...tpg.attributes, ...changes } }));
}
function explain(initiator: string, from = config, target = TARGET2) {
  const [group] = explainAccess(from, initiator, target);
  assert.ok(group);
  return group;
}

describe('explain-auth', () => {
  it('an ACL with mutual CHAP, its LUNs by its own numbers', () => {
    const { allowed, status, by, chap, chapUser, luns, listed } = explain(NODE1);
    assert.deepEqual([allowed, status, by, chap, chapUser, listed], [true, 0, 'acl', 'mutual', 'username', true]);
    assert.deepEqual(
      luns.map(({ lun, backstore, readOnly }) => [lun, backstore, readOnly]),
      [
        [0, '/backstores/ramdisk/rd0', false],
        [1, '/backstores/pscsi/pscsi01', false],
        [2, '/backstores/fileio/f2', false],
        [5, '/backstores/fileio/f1', false],
      ],
    );
  });
  it('an ACL without credentials where CHAP is required lets nobody in', () => {
    const { allowed, status, reason } = explain(NODE2);
    assert.deepEqual([allowed, status], [false, 0x0201]);
    assert.match(reason, /its ACL has no userid and password/);
  });
  it('demo mode takes the credentials of the group, and may be read-only', () => {
    const { by, chap, chapUser, luns } = explain(STRANGER);
    assert.deepEqual([by, chap, chapUser], ['demo', 'one-way', 'tpguser']);
    assert.ok(luns.every(({ readOnly }) => !readOnly));
    assert.ok(explain(STRANGER, attributes({ demo_mode_write_protect: 1 })).luns.every(({ readOnly }) => readOnly));
  });
  it('without demo mode a stranger is refused, and shown what there is only by demo_mode_discovery', () => {
    const closed = attributes({ generate_node_acls: 0 });
    const { status, listed, luns } = explain(STRANGER, closed);
    assert.deepEqual([status, listed, luns], [0x0202, true, []]);
    assert.equal(explain(STRANGER, attributes({ generate_node_acls: 0, demo_mode_discovery: 0 })).listed, false);
  });
  it('a disabled group', () => {
    const { status, listed } = explain(
      NODE1,
      withGroups((tpg) => ({ ...tpg, enable: false })),
    );
    assert.deepEqual([status, listed], [0x0301, false]);
  });
  it('never shows a secret', () => {
    const text = JSON.stringify(explainAccess(config, NODE1, null));
    for (const secret of ['password', 'mutualpass12', 'tpgpass12345']) assert.ok(!text.includes(`"${secret}"`), secret);
  });
});

describe('what is told is what is done', () => {
  const units = new Map<string, LogicalUnit>(
    config.storage_objects.map(({ plugin, name }) => {
      const device = new MemoryDevice({ sizeBytes: 4096 });
      return [`/backstores/${plugin}/${name}`, new LogicalUnit({ name, serial: '1', device })] as const;
    }),
  );
  const variants: [string, SaveConfig][] = [
    ['as it is', config],
    ...['generate_node_acls', 'authentication', 'demo_mode_discovery', 'demo_mode_write_protect'].flatMap((name) =>
      [0, 1].map((value): [string, SaveConfig] => [`${name}=${value}`, attributes({ [name]: value })]),
    ),
    ['disabled', withGroups((tpg) => ({ ...tpg, enable: false }))],
  ];
  for (const [name, variant] of variants) {
    it(name, () => {
      const node = new TargetNode(nodeConfig(variant, (path) => units.get(path)));
      for (const initiator of [NODE1, NODE2, STRANGER]) {
        for (const told of explainAccess(variant, initiator, null)) {
          const group = node.groupByTag(told.targetName, told.tag);
          assert.ok(group);
          const grant = group.grantFor(initiator);
          assert.equal(group.isShownTo(initiator), told.listed, `${initiator} ${told.targetName}`);
          assert.equal(grant !== null, told.by !== null);
          assert.equal(grant?.authenticationRequired ?? false, grant !== null && told.chap !== 'none');
          const mapped = [...(grant?.luns.values() ?? [])].map(({ lun, readOnly }) => [lun, readOnly]);
          const expected = told.luns.map(({ lun, readOnly }) => [lun, readOnly]);
          assert.deepEqual(mapped.sort(), expected.sort());
        }
      }
    });
  }

  it('what LIO negotiates is what is wished for, and digests are offered', () => {
    const [, target] = nodeConfig(config, (path) => units.get(path)).targets;
    const { parameters, alias, loginTimeoutMs, commandWindow } = target?.portalGroups[0] ?? {};
    assert.deepEqual(parameters?.headerDigest, ['CRC32C', 'None']);
    assert.deepEqual([parameters?.maxBurstLength, parameters?.initialR2T], [16_776_192, false]);
    assert.equal(parameters?.maxRecvDataSegmentLength, 262_144);
    assert.deepEqual([alias, loginTimeoutMs, commandWindow], ['LIO Target', 15_000, 64]);
  });

  it('discovery authentication that nobody can pass lets nobody in', () => {
    const fabric = { name: 'iscsi', discovery_enable_auth: true };
    const { discoveryAuth } = nodeConfig({ ...config, fabric_modules: [fabric] }, (path) => units.get(path));
    assert.ok((discoveryAuth?.account?.secret.length ?? 0) >= 32);
    const off = { ...fabric, discovery_enable_auth: false, discovery_userid: 'u', discovery_password: 'p' };
    assert.equal(nodeConfig({ ...config, fabric_modules: [off] }, (path) => units.get(path)).discoveryAuth, null);
  });
});
