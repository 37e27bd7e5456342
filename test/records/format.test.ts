// The record format: what open-iscsi wrote comes back byte for byte, and anything else ends in warnings.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseRecordText, recordFileText, VALUE_LARGEST } from '../../src/records/format.js';
import { IFACE_KEYS, keysOf, NEW_RECORD_CHAP_ALGS, NODE_KEYS, SENDTARGETS_KEYS } from '../../src/records/keys.js';
import { newNodeValues, newSendTargetsValues, refreshNodeValues } from '../../src/records/new-record.js';
import { RecordValues } from '../../src/records/values.js';
import { ifaceRecord, nodeRecord, sendTargetsRecord, staticRecord } from './fixtures.js';

const ref = {
  targetName: 'iqn.2022-08.com.test:dlp.target01',
  address: '127.0.0.1',
  port: 3260,
  tpgt: 1,
  iface: 'default',
};

describe('record text', () => {
  const records = { nodeRecord, staticRecord, sendTargetsRecord, ifaceRecord };
  for (const [name, text] of Object.entries(records)) {
    it(`${name} comes back as it was`, () => {
      const { pairs, warnings } = parseRecordText(text, name);
      assert.deepEqual(warnings, []);
      assert.equal(recordFileText(pairs), text);
    });
  }
  it('our own node record differs from open-iscsi’s only in the CHAP list', () => {
    const ours = recordFileText(newNodeValues(ref, { address: '127.0.0.1', port: 3260 }, new Map()));
    assert.equal(ours.replace(NEW_RECORD_CHAP_ALGS, 'MD5'), nodeRecord);
    const byHand = { ...ref, targetName: 'iqn.2022-08.com.test:manual', address: '10.0.0.1', port: 3261, tpgt: -1 };
    assert.equal(
      recordFileText(newNodeValues(byHand, null, new Map())).replace(NEW_RECORD_CHAP_ALGS, 'MD5'),
      staticRecord,
    );
  });
  it('and so does our discovery record', () => {
    const ours = recordFileText(newSendTargetsValues(ref, new Map()));
    assert.equal(ours.replace(NEW_RECORD_CHAP_ALGS, 'MD5'), sendTargetsRecord);
  });
  it('the tables follow the order of the files', () => {
    for (const [table, text] of [
      [NODE_KEYS, nodeRecord],
      [SENDTARGETS_KEYS, sendTargetsRecord],
      [IFACE_KEYS, ifaceRecord],
    ] as const) {
      const inFile = parseRecordText(text, '').pairs.map(([key]) => key);
      assert.deepEqual(
        keysOf(table).filter((key) => inFile.includes(key)),
        inFile,
      );
    }
  });
  it('is read as open-iscsi reads it', () => {
    const cases: [string, [string, string][]][] = [
      ['a=b', [['a', 'b']]],
      ['  a \t = \t b c  \r\n', [['a', 'b c']]],
      ['a = = b', [['a', '= b']]],
      ['a = "b"', [['a', '"b"']]],
      ['a = b # no comment', [['a', 'b # no comment']]],
      ['#a = b\n\n  # c = d', []],
      [
        'a = 1\nb = 2\na = 3',
        [
          ['a', '3'],
          ['b', '2'],
        ],
      ],
    ];
    for (const [text, pairs] of cases) {
      const parsed = parseRecordText(text, 'f');
      assert.deepEqual(parsed.pairs, pairs, text);
      assert.deepEqual(parsed.warnings, [], text);
    }
  });
  it('says what it skips, without the value', () => {
    const cases: [string, RegExp][] = [
      ['canary', /^f: line 1 is not "key = value"$/],
      ['a =', /^f: line 1 has no value for a$/],
      [`${'k'.repeat(128)} = canary`, /key that is too long/],
      [`a = canary${'x'.repeat(VALUE_LARGEST)}`, /value that is too long for a$/],
      ['a = can\u0007ary', /control characters/],
    ];
    for (const [text, warning] of cases) {
      const { pairs, warnings } = parseRecordText(text, 'f');
      assert.deepEqual(pairs, []);
      assert.match(warnings[0] ?? '', warning);
      assert.ok(!warnings[0]?.includes('canary'));
    }
  });
  it('takes anything, within bounds', () => {
    const line = fc.oneof(fc.string({ unit: 'binary', maxLength: 400 }), fc.constantFrom('a = b', '=', '# x', 'a = '));
    fc.assert(
      fc.property(fc.array(line, { maxLength: 40 }), (lines) => {
        const { pairs, warnings } = parseRecordText(lines.join('\n'), 'f');
        assert.ok(warnings.length <= 8);
        for (const [key, value] of pairs) {
          assert.ok(Buffer.byteLength(key) <= 127 && Buffer.byteLength(value) <= VALUE_LARGEST);
          assert.doesNotMatch(key + value, /\p{Cc}/u);
        }
        assert.deepEqual(parseRecordText(recordFileText(pairs), 'f').pairs, pairs);
      }),
    );
    assert.equal(parseRecordText('a = b\n'.repeat(100_000), 'f').pairs.length, 0);
    assert.equal(parseRecordText('\n'.repeat(100_000), 'f').warnings.length, 0);
  });
});

describe('record values', () => {
  it('keep the order of a file, and put new keys where they belong', () => {
    const values = new RecordValues(
      ['a', 'b', 'c', 'd'],
      [
        ['d', '1'],
        ['a', '1'],
        ['x', '1'],
      ],
    );
    values.set('b', '2');
    values.set('a', '3');
    values.set('y', '4');
    assert.deepEqual(
      [...values].map(([key]) => key),
      ['d', 'a', 'b', 'x', 'y'],
    );
    assert.equal(values.text('a'), '3');
    assert.equal(values.get('nope'), undefined);
    values.delete('a');
    assert.equal(values.text('a'), '');
  });
  it('a first key goes to the front', () => {
    const values = new RecordValues(['a', 'b'], [['b', '1']]);
    values.set('a', '2');
    assert.deepEqual(
      [...values].map(([key]) => key),
      ['a', 'b'],
    );
  });
});

describe('settings of iscsid.conf', () => {
  const config = new Map([
    ['node.startup', 'automatic'],
    ['node.session.auth.chap_algs', 'SHA256'],
    ['node.conn[0].address', '10.9.9.9'],
    ['node.name', 'iqn.2000-01.evil:x'],
  ]);
  it('go into new records, but not into what says which record it is', () => {
    const values = newNodeValues(ref, null, config);
    assert.equal(values.text('node.startup'), 'automatic');
    assert.equal(values.text('node.session.auth.chap_algs'), 'SHA256');
    assert.equal(values.text('node.conn[0].address'), '127.0.0.1');
    assert.equal(values.text('node.name'), ref.targetName);
  });
  it('come back with a repeated discovery; a saved secret stays unless they have one', () => {
    const values = newNodeValues(ref, null, new Map());
    values.set('node.session.timeo.replacement_timeout', '77');
    values.set('node.session.auth.username', 'me');
    values.set('node.session.auth.password', 'secret');
    refreshNodeValues(values, config);
    assert.equal(values.text('node.session.timeo.replacement_timeout'), '120');
    assert.equal(values.text('node.startup'), 'automatic');
    assert.equal(values.text('node.session.auth.username'), 'me');
    refreshNodeValues(
      values,
      new Map([
        ['node.session.auth.username', 'you'],
        ['node.session.auth.password', 'other'],
      ]),
    );
    assert.equal(values.text('node.session.auth.username'), 'you');
    assert.equal(values.text('node.session.auth.password'), 'other');
  });
});
