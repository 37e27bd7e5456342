// Lines as they are typed to the target shell.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { holdsSecret, parseCommandLine } from '../../../src/cli/targetcli/command-line.js';
import { AppError } from '../../../src/util/errors.js';

const ROWS: readonly [string, string, string, string[], Record<string, string>][] = [
  ['ls', '', 'ls', [], {}],
  ['/', '/', '', [], {}],
  ['..', '..', '', [], {}],
  ['@here', '@here', '', [], {}],
  ['cd ../..', '', 'cd', ['../..'], {}],
  ['tpg1/portals/ ls', 'tpg1/portals/', 'ls', [], {}],
  ['/iscsi/* ls', '/iscsi/*', 'ls', [], {}],
  ['* status', '*', 'status', [], {}],
  ['/iscsi/iqn.a:b/tpg1/portals/[::1]:3260 info', '/iscsi/iqn.a:b/tpg1/portals/[::1]:3260', 'info', [], {}],
  ['create  disk01 /a/b.img   10G', '', 'create', ['disk01', '/a/b.img', '10G'], {}],
  ['create 192.168.90.1 ip_port=3260', '', 'create', ['192.168.90.1'], { ip_port: '3260' }],
  ['set auth userid=u password=a=b', '', 'set', ['auth'], { userid: 'u', password: 'a=b' }],
  ['set auth password="a b^c"', '', 'set', ['auth'], { password: 'a b^c' }],
  ["create 'a b' x=''", '', 'create', ['a b'], { x: '' }],
];

describe('a line', () => {
  for (const [line, path, command, positional, keywords] of ROWS) {
    test(line, () => {
      const parsed = parseCommandLine(line);
      const { keywords: pairs, ...rest } = parsed;
      assert.deepEqual({ ...rest, keywords: Object.fromEntries(pairs) }, { path, command, positional, keywords });
    });
  }
  test('with a quote that is not closed, or of no end, is refused', () => {
    assert.throws(() => parseCommandLine('set auth password="a'), /No closing quotation/);
    assert.throws(() => parseCommandLine(`ls ${'x'.repeat(20_000)}`), /too long/);
    assert.throws(() => parseCommandLine('a-b'), /Command not found a-b/);
  });
  test('of any characters is read or refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (line) => {
        try {
          parseCommandLine(line);
        } catch (error) {
          assert.ok(error instanceof AppError);
        }
      }),
    );
  });
  test('with a password in it is told from others', () => {
    assert.ok(holdsSecret('/iscsi set discovery_auth mutual_password=x'));
    assert.ok(!holdsSecret('/iscsi set discovery_auth userid=x'));
  });
});
