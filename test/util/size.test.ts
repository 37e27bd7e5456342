import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSize } from '../../src/util/size.js';

const G = 1024 ** 3;
const SIZES: [string, number][] = [
  ['0', 0],
  ['4096', 4096],
  ['512B', 512],
  ['1k', 1024],
  ['10G', 10 * G],
  ['10g', 10 * G],
  ['10GiB', 10 * G],
  ['10GB', 10_000_000_000],
  ['10 GB', 10_000_000_000],
  ['1.5T', 1.5 * 1024 * G],
  ['0.3K', 307],
  [' 2M ', 2 * 1024 ** 2],
];

for (const [text, bytes] of SIZES) {
  test(`${JSON.stringify(text)} is ${bytes} bytes`, () => assert.equal(parseSize(text), bytes));
}

for (const text of [
  '',
  'G',
  '-1G',
  '1e9',
  '0x10',
  '10X',
  '10GiBs',
  '1.G',
  '.5G',
  '1,5G',
  '10G 5',
  'max',
  '50%',
  '8P',
  '9'.repeat(16),
]) {
  test(`${JSON.stringify(text)} is no size`, () => assert.throws(() => parseSize(text), { code: 'ERR_USAGE' }));
}
