// What -p, -T and -I mean, read as leniently as iscsiadm does.
import assert from 'node:assert/strict';
import { lookup } from 'node:dns/promises';
import { describe, test } from 'node:test';
import { type GivenOption, Options } from '../../../src/cli/iscsiadm/options.js';
import {
  matches,
  matchesByText,
  type PortalWord,
  patternOf,
  readPortalWord,
} from '../../../src/cli/iscsiadm/pattern.js';

const portal = (address: string, port: number | null = null, tpgt = -1): PortalWord => ({ address, port, tpgt });

describe('-p', () => {
  const CASES: [string, PortalWord | undefined][] = [
    ['10.0.0.1', portal('10.0.0.1')],
    ['10.0.0.1:3261', portal('10.0.0.1', 3261)],
    ['10.0.0.1:3261,7', portal('10.0.0.1', 3261, 7)],
    ['10.0.0.1,7', portal('10.0.0.1', null, 7)],
    ['10.0.0.1:abc', portal('10.0.0.1', 0)],
    ['10.0.0.1:', portal('10.0.0.1', 0)],
    ['10.0.0.1:99999', portal('10.0.0.1', 99_999)],
    ['10.0.0.1:80x', portal('10.0.0.1', 80)],
    ['storage', portal('storage')],
    ['storage:3261', portal('storage', 3261)],
    ['storage.example:3261,2', portal('storage.example', 3261, 2)],
    ['fe80::1', portal('fe80::1')],
    ['fe80::1,3', portal('fe80::1', null, 3)],
    ['[fe80::1]', portal('fe80::1')],
    ['[fe80::1]:3260', portal('fe80::1', 3260)],
    ['[fe80::1]:3260,1', portal('fe80::1', 3260, 1)],
    ['[fe80::1', undefined],
    ['', portal('')],
    [':3260', portal('', 3260)],
  ];
  for (const [word, expected] of CASES)
    test(JSON.stringify(word), () => assert.deepEqual(readPortalWord(word), expected));
});

describe('a pattern', () => {
  const pattern = (...given: [string, string][]) =>
    patternOf({ options: new Options(given.map(([letter, value]): GivenOption => ({ letter, value }))) });
  const way = { targetName: 'iqn.a', address: '127.0.0.1', port: 3260, iface: 'default' };

  test('a portal without a port is port 3260; nothing given matches everything', () => {
    assert.equal(pattern(['p', '10.0.0.1']).port, 3260);
    assert.equal(pattern(['T', ''], ['p', '[x']).port, undefined);
    assert.ok(matchesByText(pattern(), way));
    assert.ok(matchesByText(pattern(['T', '']), way));
  });

  test('every part given has to fit', () => {
    assert.ok(matchesByText(pattern(['T', 'iqn.a'], ['p', '127.0.0.1'], ['I', 'default']), way));
    for (const other of [
      ['T', 'iqn.b'],
      ['p', '127.0.0.2'],
      ['p', '127.0.0.1:3261'],
      ['I', 'other'],
    ] as const) {
      assert.ok(!matchesByText(pattern([...other]), way), other.join(' '));
    }
  });

  test('for a listing an address is a text; for what is done to records a name that leads there fits too', async () => {
    assert.ok(!matchesByText(pattern(['p', 'localhost']), way));
    assert.ok(await matches(pattern(['p', '127.0.0.1']), way));
    const { address } = await lookup('localhost');
    assert.ok(await matches(pattern(['p', 'localhost']), { ...way, address }));
    assert.ok(!(await matches(pattern(['p', 'no-such-host.invalid']), way)));
  });
});
