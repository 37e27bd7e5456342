// Portals as text: HOST[:PORT][,TPGT], RFC 7143 §13.8.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatPortal, parsePortal, readPortal } from '../../src/iscsi/portal.js';
import { AppError } from '../../src/util/errors.js';

describe('portals', () => {
  const table: [text: string, address: string, port: number, tpgt: number | null, again: string][] = [
    ['127.0.0.1', '127.0.0.1', 3260, null, '127.0.0.1:3260'],
    ['127.0.0.1:3261', '127.0.0.1', 3261, null, '127.0.0.1:3261'],
    ['127.0.0.1:3260,1', '127.0.0.1', 3260, 1, '127.0.0.1:3260,1'],
    ['10.0.0.1,0', '10.0.0.1', 3260, 0, '10.0.0.1:3260,0'],
    ['dlp.example.com:860', 'dlp.example.com', 860, null, 'dlp.example.com:860'],
    ['[::1]:3260,1', '::1', 3260, 1, '[::1]:3260,1'],
    ['[fe80::1%eth0]', 'fe80::1%eth0', 3260, null, '[fe80::1%eth0]:3260'],
    ['2001:db8::7', '2001:db8::7', 3260, null, '[2001:db8::7]:3260'],
    ['[::ffff:10.0.0.1]:65535', '::ffff:10.0.0.1', 65_535, null, '[::ffff:10.0.0.1]:65535'],
  ];
  for (const [text, address, port, tpgt, again] of table) {
    it(`reads ${text}`, () => {
      assert.deepEqual(readPortal(text), { address, port, tpgt });
      assert.equal(formatPortal(parsePortal(text)), again);
      assert.deepEqual(readPortal(again), { address, port, tpgt });
    });
  }

  for (const text of [
    ...['', ':3260', 'host:', 'host:0', 'host:65536', 'host:99999', 'host:abc', 'host:3260,', 'host:3260,65536'],
    ...[
      'host,1,2',
      'a b',
      '-host',
      'host/x',
      '[127.0.0.1]:3260',
      '[::1',
      '::1]:3260',
      '[::g]',
      '[]',
      '1:2:3',
      'fe80::1%',
    ],
    ...['[::1%a b]', 'host\n', 'user@host', '[::1]]:3260', '[::1]:3260 ', `${'a'.repeat(254)}`],
  ]) {
    it(`refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
      assert.equal(readPortal(text), null);
      assert.throws(
        () => parsePortal(text),
        (error) => error instanceof AppError && error.code === 'ERR_USAGE' && !error.message.includes('\n'),
      );
    });
  }

  it('writes a portal without a group', () => {
    assert.equal(formatPortal({ address: '::1', port: 1 }), '[::1]:1');
    assert.equal(formatPortal({ address: 'h', port: 1, tpgt: null }), 'h:1');
  });
});
