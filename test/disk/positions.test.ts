// Partitions by START and END, against the sectors that parted makes of the same words.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { alignment, type Geometry, usableRange } from '../../src/disk/layout.js';
import { parsePosition, parseSpans, placeSpans } from '../../src/disk/positions.js';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const disk = (sizeBytes: number, blockSize = 512, optimalIoSize = 0): Geometry => ({
  sizeBytes,
  blockSize,
  optimalIoSize,
});
const place = (words: string, geometry = disk(10 * GIB), existing: { start: number; length: number }[] = []) =>
  placeSpans(geometry, 'gpt', existing, parseSpans(words.split(' '))).map(
    ({ start, length }) => `${start}-${start + length - 1}`,
  );

/** Words, size of the disk, and `START-END` in sectors as parted 3.5 prints them. */
const AS_PARTED: readonly (readonly [string, number, string])[] = [
  ['0% 100%', 10 * GIB, '2048-20969471'],
  ['0% 50%', 10 * GIB, '2048-10485759'],
  ['50% 100%', 10 * GIB, '10485760-20969471'],
  ['33% 66%', 10 * GIB, '6920192-13840383'],
  ['25% 75%', 10 * GIB, '5242880-15728639'],
  ['1MiB 100%', 10 * GIB, '2048-20969471'],
  ['1MiB 512MiB', 10 * GIB, '2048-1048575'],
  ['2048s 1050623s', 10 * GIB, '2048-1050623'],
  ['1GiB 2GiB', 10 * GIB, '2097152-4194303'],
  ['1MB 100MB', 10 * GIB, '2048-194559'],
  ['0% 100%', 1_000_000_000, '2048-1951743'],
  ['0% 33%', 1_000_000_000, '2048-645119'],
  ['33% 77%', 1_000_000_000, '645120-1503231'],
];

describe('one partition by START and END', () => {
  for (const [words, size, expected] of AS_PARTED) {
    test(`${words} of ${size}`, () => assert.deepEqual(place(words, disk(size)), [expected]));
  }
  for (const [words, expected] of [
    ['mkpart primary 0% 100%', ['2048-20969471']],
    ['primary 0% 100%', ['2048-20969471']],
    ['0 100%', ['2048-20969471']],
    ['0s 20971519s', ['2048-20969471']],
    ['0% 30% 30% 60% 60% 100%', ['2048-6291455', '6291456-12582911', '12582912-20969471']],
    ['1MiB -1GiB', ['2048-18874367']],
    ['-1GiB 100%', ['18874368-20969471']],
    ['2049s 8191s', ['4096-8191']],
    ['1MiB 10GiB', ['2048-20969471']],
  ] as const) {
    test(words, () => assert.deepEqual(place(words), expected));
  }
  test('sectors of 4096 bytes, and an optimal I/O size of 4 MiB', () => {
    assert.deepEqual(place('0% 100%', disk(10 * GIB, 4096)), ['256-2621183']);
    assert.deepEqual(place('0% 50%', disk(10 * GIB, 512, 4 * MIB)), ['8192-10485759']);
  });
  test('free room between existing partitions', () => {
    const existing = [
      { start: 2048, length: 2048 },
      { start: 8192, length: 2048 },
    ];
    assert.deepEqual(place('2MiB 4MiB', disk(GIB), existing), ['4096-8191']);
    assert.throws(() => place('2MiB 5MiB', disk(GIB), existing), {
      code: 'ERR_USAGE',
      message: '2MiB 5MiB overlaps the partition of sectors 8192 to 10239',
    });
  });
});

describe('refused', () => {
  for (const words of [
    '0%',
    '0% 50% 50%',
    '50% 50%',
    '60% 40%',
    '0% 101%',
    '0% 60% 50% 100%',
    '1 100',
    '1MiB 11GiB',
    '20971520s 20971521s',
    '1MiB 1.5MiB',
    'logical 0% 100%',
    'extended 0% 100%',
    '-20GiB 100%',
    'half 100%',
  ]) {
    test(words, () => assert.throws(() => place(words), { code: 'ERR_USAGE' }));
  }
});

test('whatever is placed is aligned, on the disk, inside of what was asked for, and overlaps nothing', () => {
  const share = fc.integer({ min: 0, max: 1000 }).map((n) => `${n / 10}%`);
  const exact = fc.integer({ min: 0, max: 5000 }).map((n) => `${n * 7}KiB`);
  const words = fc.array(fc.tuple(fc.oneof(share, exact), fc.oneof(share, exact)), { minLength: 1, maxLength: 5 });
  const size = fc.integer({ min: 1, max: 40_000 }).map((n) => n * 4096 * 7);
  fc.assert(
    fc.property(
      words,
      size,
      fc.constantFrom('gpt', 'dos'),
      fc.constantFrom(512, 4096),
      (pairs, sizeBytes, label, blockSize) => {
        const geometry = disk(sizeBytes, blockSize);
        let ranges: ReturnType<typeof placeSpans>;
        try {
          ranges = placeSpans(geometry, label, [], parseSpans(pairs.flat()));
        } catch (error) {
          assert.equal((error as { code: string }).code, 'ERR_USAGE');
          return;
        }
        const grain = alignment(geometry) / blockSize;
        const usable = usableRange(geometry, label);
        for (const [i, { start, length }] of ranges.entries()) {
          assert.ok(start % grain === 0 && length % grain === 0 && length > 0);
          assert.ok(start >= usable.start && start + length <= usable.start + usable.length);
          const [from, to] = (pairs[i] ?? []).map(parsePosition);
          if (from?.kind === 'bytes') assert.ok(start * blockSize >= from.bytes);
          if (to?.kind === 'bytes') assert.ok((start + length) * blockSize <= to.bytes);
        }
        const sorted = [...ranges].sort((a, b) => a.start - b.start);
        sorted.forEach((range, i) => {
          const next = sorted[i + 1];
          assert.ok(next === undefined || range.start + range.length <= next.start);
        });
      },
    ),
  );
});

const noParted =
  spawnSync('parted', ['--version']).error === undefined ? false : 'parted is missing: apt-get install parted';
test('parted itself agrees', { skip: noParted }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'lunctl-parted-'));
  try {
    for (const [words, size, expected] of AS_PARTED) {
      const image = join(folder, 'image');
      writeFileSync(image, '');
      truncateSync(image, 0);
      truncateSync(image, size);
      const args = ['-s', '-m', '-a', 'optimal', image, 'mklabel', 'gpt', 'mkpart', 'primary', ...words.split(' ')];
      const { stdout } = spawnSync('parted', [...args, 'unit', 's', 'print'], { encoding: 'utf8' });
      const [, start, end] = /^1:(\d+)s:(\d+)s/m.exec(stdout) ?? [];
      assert.equal(`${start}-${end}`, expected, words);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
