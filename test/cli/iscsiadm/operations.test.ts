// -o, -n and -v, which may be given several times.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { changesOf, operationOf } from '../../../src/cli/iscsiadm/operations.js';
import { type GivenOption, isProblem, Options, scanOptions } from '../../../src/cli/iscsiadm/options.js';

const options = (line: string) =>
  new Options(scanOptions(line.split(' ')).filter((step): step is GivenOption => !isProblem(step)));

describe('-o', () => {
  const CASES: [string, string][] = [
    ['', 'none'],
    ['-o new', 'new'],
    ['-o new -o new', 'new'],
    ['-o new -o update', 'several'],
    ['-o new -o bogus', 'new'],
    ['--op=delete', 'delete'],
  ];
  for (const [line, expected] of CASES) test(line, () => assert.equal(operationOf(options(line)), expected));
});

describe('-n and -v', () => {
  const CASES: [string, [string, string][]][] = [
    ['-n a -v 1', [['a', '1']]],
    ['-v 1 -n a', [['a', '1']]],
    [
      '-n a -v 1 -n b -v 2',
      [
        ['a', '1'],
        ['b', '2'],
      ],
    ],
    ['-n a -n b -v 2', [['b', '2']]],
    ['-n a -v 1 -v 2', [['a', '1']]],
    ['-n a', []],
    ['-v 1', []],
    ['-n a -o update -v=1', [['a', '=1']]],
  ];
  for (const [line, expected] of CASES) test(line, () => assert.deepEqual(changesOf(options(line)), expected));
});
