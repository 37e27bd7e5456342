// getopt_long's rules, as glibc has them.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type GivenOption, isProblem, Options, scanOptions } from '../../../src/cli/iscsiadm/options.js';

const given = (argv: readonly string[]) => scanOptions(argv).filter((step): step is GivenOption => !isProblem(step));
const lines = (argv: string) =>
  given(argv.split(' ')).map(({ letter, value }) => (value === '' ? letter : `${letter}=${value}`));
const problems = (argv: string) =>
  scanOptions(argv.split(' '))
    .filter(isProblem)
    .map(({ line }) => line);

describe('options of iscsiadm', () => {
  const CASES: [string, string[]][] = [
    ['-m node -P 1', ['m=node', 'P=1']],
    ['-mnode -P1', ['m=node', 'P=1']],
    ['-m discoverydb -lD -t st', ['m=discoverydb', 'l', 'D', 't=st']],
    ['--mod node --rescan', ['m=node', 'R']],
    ['--mode=node --name=a=b', ['m=node', 'n=a=b']],
    ['-m node extra -T x args', ['m=node', 'T=x']],
    ['-m node -- -T x', ['m=node']],
    ['-m node -v -5', ['m=node', 'v=-5']],
    ['-A ipv4 -Aipv6', ['A=ipv4', 'A=ipv6']],
    ['--portal_type ipv4 --portal_type=ipv6', ['A', 'A=ipv6']],
    ['--login', ['l']],
    ['-', []],
  ];
  for (const [argv, expected] of CASES) test(argv, () => assert.deepEqual(lines(argv), expected));

  const WRONG: [string, string[]][] = [
    ['-m', ["option requires an argument -- 'm'"]],
    ['-z', ["invalid option -- 'z'"]],
    ['-A', ["option requires an argument -- 'A'"]],
    ['--bogus', ["unrecognized option '--bogus'"]],
    ['--log', ["option '--log' is ambiguous; possibilities: '--login' '--loginall' '--logout' '--logoutall'"]],
    ['--login=1', ["option '--login' doesn't allow an argument"]],
    ['--type', ["option '--type' requires an argument"]],
  ];
  for (const [argv, expected] of WRONG) test(argv, () => assert.deepEqual(problems(argv), expected));

  test('the last of an option counts, and all of -I are kept', () => {
    const options = new Options(given(['-m', 'node', '-msession', '-I', 'a', '-Ib', '-P', 'x']));
    assert.equal(options.text('m'), 'session');
    assert.deepEqual(options.all('I'), ['a', 'b']);
    assert.equal(options.number('P'), 0);
    assert.equal(options.number('d'), undefined);
  });
});
