// Tables, sizes, ages, errors, suggestions: pure functions.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { EXIT_CODE, EXIT_TEXT, exitCodeOf } from '../../src/cli/exit-codes.js';
import { causesText, errorJson, errorText } from '../../src/cli/render/error.js';
import { table } from '../../src/cli/render/table.js';
import { formatAge, formatSize, orDash, settled } from '../../src/cli/render/text.js';
import { closest, editDistance } from '../../src/cli/suggest.js';
import { AppError, ERROR_CODES, ProtocolError } from '../../src/util/errors.js';

describe('what a program printed', () => {
  it('stands as a terminal would show it in the end', () => {
    assert.equal(
      settled('Writing inode tables: 0/8\b\b\b   \b\b\bdone                            \n\t32768\n'),
      'Writing inode tables: done\n\t32768\n',
    );
    assert.equal(settled('10%\r100%'), '100%');
    assert.equal(settled('\b\ba\u001b[31mb'), 'a[31mb');
  });
});

describe('tables', () => {
  const columns = [{ head: 'SID', align: 'right' }, { head: 'TARGET' }, { head: 'SIZE', align: 'right' }] as const;
  it('are plain aligned columns', () => {
    const rows = [
      ['1', 'iqn.a', '10G'],
      ['12', 'iqn.longer', '512M'],
    ];
    assert.equal(table(columns, rows), 'SID  TARGET      SIZE\n  1  iqn.a        10G\n 12  iqn.longer  512M\n');
  });
  it('have no trailing blanks and never cut', () => {
    const long = 'x'.repeat(400);
    assert.equal(
      table(
        [{ head: 'A' }, { head: 'B' }],
        [
          ['1', long],
          [long, ''],
        ],
      ).split('\n')[2],
      long,
    );
  });
  it('above 500 rows look the same as below', () => {
    const rows = Array.from({ length: 501 }, (_, i) => [String(i), `iqn.${i}`, 'x']);
    const lines = table(columns, rows).split('\n');
    const few = table(columns, [...rows.slice(498)]).split('\n');
    assert.deepEqual(lines.slice(-4), few.slice(-4));
    assert.equal(lines.length, 503);
  });
  it('measure by display width', () => {
    const [, first = '', second = ''] = table(
      [{ head: 'A' }, { head: 'B' }],
      [
        ['日本', 'x'],
        ['abcd', 'y'],
      ],
    ).split('\n');
    assert.equal(first.indexOf('x'), 4);
    assert.equal(second.indexOf('y'), 6);
  });
  it('are freed of escape sequences', () => assert.ok(!table([{ head: 'A' }], [['a\u001b[2J\nb']]).includes('\u001b')));
});

describe('texts', () => {
  it('sizes', () => {
    const cases: [number, string][] = [
      [0, '0B'],
      [1023, '1023B'],
      [1024, '1K'],
      [1536, '1.5K'],
      [2 ** 20 - 1, '1M'],
      [10_737_418_240, '10G'],
      [2 ** 50, '1P'],
      [2 ** 53, '8P'],
    ];
    for (const [bytes, text] of cases) assert.equal(formatSize(bytes), text);
  });
  it('ages', () => {
    assert.deepEqual([0, 9, 250, 8040, 277_200].map(formatAge), ['0s', '9s', '4m10s', '2h14m', '3d5h']);
  });
  it('and nothing', () => {
    assert.equal(orDash(''), '-');
  });
});

describe('errors', () => {
  it('every code has an exit code, and every exit code a text', () => {
    assert.deepEqual(Object.keys(EXIT_CODE).sort(), [...ERROR_CODES].sort());
    for (const code of Object.values(EXIT_CODE)) assert.ok(EXIT_TEXT[code], `no text for ${code}`);
  });
  it('iscsiadm knows the numbers below 40', () => {
    const fixed = { ERR_USAGE: 7, ERR_CONNECT: 8, ERR_SESSION_EXISTS: 15, ERR_FATAL_LOGIN: 19, ERR_NOT_FOUND: 21 };
    for (const [code, exit] of Object.entries(fixed)) assert.equal(EXIT_CODE[code as keyof typeof fixed], exit);
    assert.equal(exitCodeOf(new AppError('ERR_LOGIN_AUTH', 'x')), 24);
    assert.equal(exitCodeOf(new ProtocolError('RFC 7143 §11.8', 'x')), 5);
    assert.equal(exitCodeOf(new TypeError('x')), 1);
    assert.equal(exitCodeOf('x'), 1);
  });
  it('one line, never wrapped, and a hint', () => {
    const error = new AppError('ERR_LOGIN_AUTH', `Could not\nlogin to ${'x'.repeat(200)}`, {
      hint: 'check\tthe secret',
    });
    assert.equal(errorText(error), `lunctl: Could not login to ${'x'.repeat(200)} [24]\nhint: check the secret\n`);
    assert.equal(errorText(new Error('boom')), 'lunctl: boom [1]\n');
  });
  it('JSON has exactly what is allowed', () => {
    const error = Object.assign(new AppError('ERR_USAGE', 'no', { cause: new Error('inner') }), { argv: ['canary'] });
    assert.deepEqual(errorJson(error), { code: 'ERR_USAGE', exit: 7, message: 'no' });
    assert.deepEqual(errorJson(null), { code: 'ERR_UNKNOWN', exit: 1, message: 'null' });
  });
  it('causes, and an end to them', () => {
    const loop = new Error('a');
    loop.cause = loop;
    assert.equal(causesText(loop).split('\n').length, 9);
    assert.equal(causesText(new Error('a', { cause: 'b' })), '  caused by: b\n');
    assert.equal(causesText('a'), '');
  });
});

describe('did you mean', () => {
  const commands = ['login', 'logout', 'node login', 'session show', 'discovery sendtargets'];
  it('names what is near and nothing else', () => {
    assert.equal(closest('lgin', commands), 'login');
    assert.equal(closest('sesion show', commands), 'session show');
    assert.equal(closest('frobnicate', commands), undefined);
    assert.equal(closest('', commands), undefined);
  });
  it('is a distance', () => {
    assert.equal(editDistance('ab', 'ba'), 1);
    assert.equal(editDistance('', 'abc'), 3);
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        assert.equal(editDistance(a, b), editDistance(b, a));
        assert.equal(editDistance(a, b) === 0, a === b);
      }),
    );
  });
});
