// Shared flags: portals as typed, one value given twice, and what oclif's parser is not let see.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parsePortalValue, sameOf } from '../../src/cli/flags.js';
import { asUsageError, refuseUnknownFlags, translateOclifError } from '../../src/cli/parse-errors.js';
import { AppError } from '../../src/util/errors.js';

describe('portals', () => {
  it('know whether a port was written', () => {
    const cases: [string, string, number, number | null][] = [
      ['10.0.0.1', '10.0.0.1', 3260, null],
      ['10.0.0.1:3260', '10.0.0.1', 3260, 3260],
      ['10.0.0.1:3261,1', '10.0.0.1', 3261, 3261],
      ['10.0.0.1,1', '10.0.0.1', 3260, null],
      ['host.example', 'host.example', 3260, null],
      ['[::1]', '::1', 3260, null],
      ['[::1]:3261', '::1', 3261, 3261],
      ['::1', '::1', 3260, null],
      ['fe80::3261', 'fe80::3261', 3260, null],
    ];
    for (const [text, address, port, explicitPort] of cases) {
      const group = text.endsWith(',1') ? 1 : null;
      assert.deepEqual(parsePortalValue(text), { address, port, explicitPort, group }, text);
    }
    for (const text of ['', ':3260', 'a b', 'h:0', 'h:x', '[::1', '10.0.0.1:3260:1']) {
      assert.throws(() => parsePortalValue(text), { code: 'ERR_USAGE' }, text);
    }
  });
  it('given twice must agree', () => {
    assert.equal(sameOf('a', 'a', '--x'), 'a');
    assert.equal(sameOf(undefined, 'a', '--x'), 'a');
    assert.equal(sameOf(undefined, undefined, '--x'), undefined);
    assert.deepEqual(sameOf({ a: 1 }, { a: 1 }, '--x'), { a: 1 });
    assert.throws(() => sameOf('a', 'b', '--x'), { code: 'ERR_USAGE', message: /--x/ });
  });
});

describe('unknown options', () => {
  const flags = {
    attach: { type: 'option', char: undefined },
    'chap-user': { type: 'option', char: undefined },
    verbose: { type: 'boolean', char: 'v', allowNo: true },
    old: { type: 'option', aliases: ['older'] },
  } as const;
  const check = (...argv: string[]) => refuseUnknownFlags(argv, flags, 'node:login');
  it('are refused by name alone', () => {
    for (const argv of [['--nope=canary'], ['--nope', 'canary'], ['x', '--nope']]) {
      assert.throws(() => check(...argv), { code: 'ERR_USAGE', message: 'unknown option --nope' });
    }
    assert.throws(() => check('--atach', 'x'), { hint: 'did you mean --attach?' });
    assert.throws(() => check('--xyzzy'), { hint: 'lunctl node login --help lists the options' });
  });
  it('but not what follows an option, an alias, a negation or --', () => {
    check('--attach', '--looks-like-one');
    check('--attach=none', '--no-verbose', '-v', '--older', '--x');
    check('--', '--anything');
    check('-x', 'operand', '-');
    assert.throws(() => check('-v', '--looks-like-one'), { code: 'ERR_USAGE' });
  });
});

describe('oclif’s own errors', () => {
  it('become one line with 7', () => {
    const wrapped = new AppError('ERR_ACCESS', 'Parsing --file \n\tno such thing\nSee more help with --help', {
      hint: 'h',
    });
    const error = asUsageError(wrapped, 'serve');
    assert.deepEqual([error.code, error.message, error.hint], ['ERR_ACCESS', '--file: no such thing', 'h']);
    const plain = asUsageError(
      new Error('The following error occurred:\n  \u001b[2ma b\u001b[22m\nSee more help with --help'),
      'disk:label',
    );
    assert.deepEqual(
      [plain.code, plain.message, plain.hint],
      ['ERR_USAGE', 'a b', 'lunctl disk label --help lists the options'],
    );
  });
  it('bugs stay what they are', () => {
    const bug = new TypeError('x');
    assert.equal(translateOclifError(bug), bug);
  });
});
