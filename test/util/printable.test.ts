// Text that is shown: whatever it is made of, a terminal neither obeys it nor reorders what stands beside it.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { oneLine, printable } from '../../src/util/printable.js';

const SRC = join(import.meta.dirname, '../../src');

describe('printable', () => {
  it('keeps names and drops what moves the cursor, reorders or hides', () => {
    const table: [string, string][] = [
      ['iqn.2022-08.com.test:disk-1_ä日', 'iqn.2022-08.com.test:disk-1_ä日'],
      ['a\u001b[31mb', 'a[31mb'],
      ['\u0000a\u007fb\u0085c\u009bd', 'abcd'],
      ['a\u2028b\u2029c', 'abc'],
      ['a\u202eb\u2066c\u200fd\u061ce\u200bf\ufeffg', 'abcdefg'],
      ['a\ud800b', 'ab'],
    ];
    for (const [text, shown] of table) assert.equal(printable(text), shown);
  });
  it('cuts first and says so', () => {
    assert.equal(printable('abcdef', 4), 'abcd…');
    assert.equal(printable('abcd', 4), 'abcd');
    assert.equal(printable('\n\n\n\nabcd', 4), '…');
  });
  it('lets nothing through, and one line stays one line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.doesNotMatch(printable(text), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        assert.doesNotMatch(oneLine(text), /[\r\n\t]/);
      }),
    );
    assert.equal(oneLine(' a\r\n\tb\u202e '), 'a b');
  });
});

it('nobody else strips control characters or asks who we are', () => {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const others = files.filter((name) => {
    const text = readFileSync(join(SRC, name), 'utf8');
    const strips = /replace(?:All)?\([^)\n]*(?:\\p\{C|\\u0000|\\x00)/.test(text) && name !== 'util/printable.ts';
    return strips || (/\bgete?uid\b/.test(text) && name !== 'util/user.ts');
  });
  assert.deepEqual(others, []);
});
