// Columns that are chosen: which, in what order, in what form; and every listing for what scripts need of it.
import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { asksForJson } from '../../../src/cli/columns.js';
import { SESSIONS } from '../../../src/cli/render/devices.js';
import { DISKS } from '../../../src/cli/render/disk.js';
import { chosenColumns, columnsText, type Listing, listText, sizeColumn } from '../../../src/cli/render/listing.js';
import { blockRuns, LUNS } from '../../../src/cli/render/lun.js';
import { DISCOVERIES, FOUND, NODES } from '../../../src/cli/render/records.js';
import { AppError } from '../../../src/util/errors.js';

interface Thing {
  readonly name: string;
  readonly size: number;
}
const THINGS: Listing<Thing> = [
  { head: 'NAME', about: 'its name', text: ({ name }) => name },
  sizeColumn('SIZE', 'its size', ({ size }) => size),
  { head: 'LEN', about: 'length of its name', align: 'right', text: ({ name }) => `${name.length}`, extra: true },
];
const ROWS = [
  { name: 'a', size: 2 ** 31 },
  { name: 'bcd', size: 1536 },
];
const heads = (output?: string, all = false) =>
  chosenColumns(THINGS, { output, 'output-all': all }).map(({ head }) => head);

describe('columns', () => {
  it('the usual ones, all, added ones, and those that are named, in their order', () => {
    assert.deepEqual(heads(), ['NAME', 'SIZE']);
    assert.deepEqual(heads(undefined, true), ['NAME', 'SIZE', 'LEN']);
    assert.deepEqual(heads('+len,SIZE'), ['NAME', 'SIZE', 'LEN'], 'one that is there is not repeated');
    assert.deepEqual(heads('len, name'), ['LEN', 'NAME']);
  });
  for (const output of ['NOPE', '', '+', 'NAME,', 'NAME,+LEN', 'SIZE,\u001b[2Jx']) {
    it(`no column is called that: ${JSON.stringify(output)}`, () => {
      assert.throws(
        () => heads(output),
        (error) => {
          assert.ok(error instanceof AppError && error.code === 'ERR_USAGE');
          assert.equal(error.hint, 'the columns are NAME, SIZE, LEN');
          assert.ok(!error.message.includes('\u001b'));
          return true;
        },
      );
    });
  }
  it('sizes for people and exact, with and without a heading', () => {
    const columns = chosenColumns(THINGS, {});
    assert.equal(listText(columns, ROWS), 'NAME  SIZE\na       2G\nbcd   1.5K\n');
    assert.equal(listText(columns, ROWS, { bytes: true }), 'NAME        SIZE\na     2147483648\nbcd         1536\n');
    assert.equal(listText(columns, ROWS, { headings: false }), 'a      2G\nbcd  1.5K\n');
    assert.equal(listText(columns, [], { headings: false }), '');
  });
  it('many rows, which are padded by hand, look the same', () => {
    const many = Array.from({ length: 501 }, () => ROWS[1] as Thing);
    const lines = listText(chosenColumns(THINGS, {}), many, { headings: false }).split('\n');
    assert.deepEqual([lines.length, lines[0], lines[500]], [502, 'bcd  1.5K', 'bcd  1.5K']);
  });
  it('are listed with what they are', () => {
    assert.match(
      columnsText(THINGS),
      /^COLUMN +DEFAULT +WHAT IT IS\nNAME +yes +its name\n(.*\n)LEN +no +length of its name\n$/,
    );
  });
});

test('-o json in all its spellings is --json; after -- it is a word', () => {
  const asking = [
    ['-o', 'json'],
    ['-ojson'],
    ['-o=json'],
    ['--output', 'json'],
    ['--output=json'],
    ['x', '-o', 'json', '-n'],
  ];
  for (const argv of asking) assert.ok(asksForJson(argv), argv.join(' '));
  for (const argv of [['json'], ['-o', 'SID'], ['--', '-o', 'json'], ['-o', 'JSON,SID']])
    assert.ok(!asksForJson(argv), argv.join(' '));
});

describe('every listing', () => {
  const listings: Readonly<Record<string, Listing<never>>> = {
    ...{ SESSIONS, DISKS, LUNS, NODES, DISCOVERIES, FOUND },
    RUNS: blockRuns(512),
  };
  for (const [name, listing] of Object.entries(listings)) {
    it(`${name}: names in capitals, each once, each explained`, () => {
      const names = listing.map(({ head }) => head);
      assert.equal(new Set(names).size, names.length);
      for (const { head, about } of listing) {
        assert.match(head, /^[A-Z]+$/);
        assert.ok(about.length > 2);
      }
    });
  }
});
