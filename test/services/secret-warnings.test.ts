// Short and shared CHAP secrets of a configuration are named, and never shown.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { EMPTY_CONFIG } from '../../src/saveconfig/defaults.js';
import type { NodeAcl, SaveConfig, Tpg } from '../../src/saveconfig/model.js';
import { secretWarnings } from '../../src/services/serve/secret-warnings.js';

const TARGET = 'iqn.2022-08.com.test:dlp.target01';
const acl = (name: string, secret: string, mutual?: string): NodeAcl => ({
  node_wwn: `iqn.2022-08.com.test:${name}`,
  attributes: {},
  mapped_luns: [],
  chap_userid: 'user',
  chap_password: secret,
  ...(mutual !== undefined && { chap_mutual_userid: 'back', chap_mutual_password: mutual }),
});
function config(tpg: Partial<Tpg>, modules: SaveConfig['fabric_modules'] = []): SaveConfig {
  const group: Tpg = {
    tag: 1,
    enable: true,
    attributes: {},
    parameters: {},
    luns: [],
    node_acls: [],
    portals: [],
    ...tpg,
  };
  return { ...EMPTY_CONFIG, fabric_modules: modules, targets: [{ fabric: 'iscsi', wwn: TARGET, tpgs: [group] }] };
}

it('good secrets of their own are no matter', () => {
  const node_acls = [acl('a', 'secret-of-a-12', 'answer-to-a-12'), acl('b', 'secret-of-b-12')];
  assert.deepEqual(secretWarnings(config({ node_acls })), []);
  assert.deepEqual(secretWarnings(EMPTY_CONFIG), []);
});

it('short and shared ones are named with their place', () => {
  const node_acls = [acl('a', 'password', 'short'), acl('b', 'shared-secret-1'), acl('c', 'shared-secret-1')];
  const modules = [{ name: 'iscsi', discovery_enable_auth: true, discovery_userid: 'd', discovery_password: 'tiny' }];
  const lines = secretWarnings(config({ node_acls, chap_userid: 'g', chap_password: 'shared-secret-1' }, modules));
  const at = `/iscsi/${TARGET}/tpg1`;
  assert.deepEqual(
    lines.map((line) => line.replace(/;.*/, '')),
    [
      '/iscsi discovery_auth: the CHAP secret has 4 bytes',
      `${at}/acls/iqn.2022-08.com.test:a: the CHAP secret has 8 bytes`,
      `${at}/acls/iqn.2022-08.com.test:a: the mutual CHAP secret has 5 bytes`,
      `${at}: its CHAP secret is that of 2 others too`,
    ],
  );
  for (const secret of ['password', 'short', 'tiny', 'shared-secret'])
    assert.ok(!lines.some((line) => line.includes(secret)));
});
