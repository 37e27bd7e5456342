// What a record takes: the keys, words and numbers of open-iscsi 2.1.8, as recorded from it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkChanges, type Refusal, type Scope } from '../../src/records/changes.js';

const stored = (scope: Scope, key: string, value: string, strict = false) =>
  checkChanges(scope, [[key, value]], { strict }).changes[0]?.[1];
const refusal = (scope: Scope, key: string, value: string, strict = false): Refusal | 'taken' => {
  try {
    checkChanges(scope, [[key, value]], { strict });
    return 'taken';
  } catch (error) {
    return (error as { refusal: Refusal }).refusal;
  }
};

const DEPTH = 'node.session.queue_depth';
const ALGS = 'node.session.auth.chap_algs';
const HEADER = 'node.conn[0].iscsi.HeaderDigest';

describe('a change of a record', () => {
  it('is stored as open-iscsi stores it', () => {
    const rows: [Scope, string, string, string][] = [
      ['node', 'node.startup', 'onboot', 'onboot'],
      ['node', DEPTH, '5', '5'],
      ['node', DEPTH, 'abc', '0'],
      ['node', DEPTH, '', '0'],
      ['node', DEPTH, '-5', '65531'],
      ['node', DEPTH, '99999999999', '59391'],
      ['node', DEPTH, '70000', '4464'],
      ['node', DEPTH, '010', '10'],
      ['node', DEPTH, '0x10', '0'],
      ['node', DEPTH, ' 7', '7'],
      ['node', DEPTH, '7x', '7'],
      ['node', 'node.session.initial_cmdsn', '-5', '4294967291'],
      ['node', 'node.session.initial_cmdsn', '2147483648', '2147483648'],
      ['node', 'node.session.iscsi.ERL', '2147483648', '-2147483648'],
      ['node', 'node.session.timeo.replacement_timeout', '-1', '-1'],
      ['node', ALGS, 'SHA3-256,MD5', 'SHA3-256,MD5'],
      ['node', ALGS, 'MD5, SHA1', 'MD5,SHA1'],
      ['node', ALGS, 'MD5,BAD,SHA1', 'MD5,SHA1'],
      ['node', ALGS, 'BAD', 'MD5'],
      ['node', ALGS, '', 'MD5'],
      ['node', HEADER, 'None,CRC32C', 'None,CRC32C'],
      ['node', 'iface.transport_name', 'iser', 'iser'],
      ['node', 'node.session.auth.username', ' a b ', 'a b'],
      ['node', 'node.session.auth.password', '# x=y', '# x=y'],
      ['iface', 'iface.mtu', 'abc', '0'],
      ['iface', 'iface.mtu', '70000', '4464'],
      ['iface', 'iface.vlan_priority', '70000', '112'],
      ['iface', 'iface.iface_num', '70000', '70000'],
      ['iface', 'iface.hwaddress', '', ''],
      ['discovery', 'discovery.sendtargets.timeo.login_timeout', '-5', '-5'],
      ['discovery', 'discovery.sendtargets.use_discoveryd', 'Yes', 'Yes'],
      ['discovery', ALGS, 'SHA1', 'SHA1'],
    ];
    for (const [scope, key, value, expected] of rows)
      assert.equal(stored(scope, key, value), expected, `${key} ${value}`);
  });
  it('is refused for the reason that open-iscsi has', () => {
    const rows: [Scope, string, string, Refusal][] = [
      ['node', 'bogus.name', '1', 'unknown-key'],
      ['node', 'discovery.sendtargets.timeo.login_timeout', '1', 'unknown-key'],
      ['node', 'node.conn[1].address', '1', 'unknown-key'],
      ['node', 'node.name', 'iqn.x', 'fixed-key'],
      ['node', 'node.discovery_type', 'static', 'fixed-key'],
      ['node', 'iface.mtu', '9000', 'iface-key'],
      ['node', 'node.startup', 'Manual', 'bad-value'],
      ['node', 'node.startup', '', 'bad-value'],
      ['node', 'node.leading_login', 'yes', 'bad-value'],
      ['node', 'node.session.auth.authmethod', 'WRONG', 'bad-value'],
      ['node', HEADER, 'CRC32C, None', 'bad-value'],
      ['iface', 'node.startup', 'manual', 'unknown-key'],
      ['iface', 'iface.iscsi_ifacename', 'x', 'fixed-key'],
      ['discovery', 'discovery.sendtargets.port', '1', 'fixed-key'],
      ['discovery', 'node.startup', 'manual', 'unknown-key'],
    ];
    for (const [scope, key, value, expected] of rows)
      assert.equal(refusal(scope, key, value), expected, `${key} ${value}`);
  });
  it('is refused where it would break the file', () => {
    assert.equal(refusal('node', 'node.session.auth.username', 'a\nnode.startup = automatic'), 'bad-value');
    assert.equal(refusal('node', 'node.session.auth.username', 'x'.repeat(256)), 'bad-value');
    assert.equal(refusal('node', 'node.session.auth.username', 'x'.repeat(255)), 'taken');
  });
  it('strictly takes numbers in their range and known words only', () => {
    for (const value of ['abc', '', '-5', '70000', '010', '7x'])
      assert.equal(refusal('node', DEPTH, value, true), 'bad-value');
    for (const value of ['BAD', 'MD5,MD5', '']) assert.equal(refusal('node', ALGS, value, true), 'bad-value');
    assert.equal(stored('node', DEPTH, '64', true), '64');
    assert.equal(stored('node', 'node.session.timeo.replacement_timeout', '-1', true), '-1');
  });
  it('tells which words were left out', () => {
    const { ignored } = checkChanges('node', [[ALGS, 'MD5,BAD,MD5']]);
    assert.deepEqual(ignored, [
      { key: ALGS, word: 'BAD', why: 'unknown' },
      { key: ALGS, word: 'MD5', why: 'repeated' },
    ]);
  });
  it('never repeats a secret', () => {
    assert.throws(
      () => checkChanges('node', [['node.session.auth.password', 'canary\u0007secret']]),
      (error: Error) => !JSON.stringify({ ...error, message: error.message }).includes('canary'),
    );
  });
});
