// How far something long has come, in words: percent, rate, done of total, the time left.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pace } from '../../src/cli/pace.js';
import { clearedBytes, restoreLine } from '../../src/disk/wipe.js';

const GIB = 2 ** 30;

describe('pace', () => {
  test('no rate before there is one, then rate and time left', () => {
    let now = 1000;
    const pace = new Pace(10 * GIB, () => now);
    assert.equal(pace.text(0), '0%  0B/10G');
    now += 100;
    assert.equal(pace.text(GIB / 2), '5%  512M/10G');
    now += 4900;
    assert.equal(pace.text(GIB), '10%  204.8M/s  1G/10G  ETA 45s');
    now += 5000;
    assert.equal(pace.text(10 * GIB), '100%  1G/s  10G/10G  ETA 0s');
    assert.match(pace.text(11 * GIB), /^100% .* 10G\/10G/);
  });
  test('nothing at all is done at once', () => assert.equal(new Pace(0).text(0), '100%  0B/0B'));
});

describe('what clearing programs print', () => {
  for (const [text, bytes] of [
    ['/dev/loop1: Zero-filled 67108864 bytes from the offset 134217728\n', 201_326_592],
    ['/dev/loop1: Discarded 67108864 bytes from the offset 0', 67_108_864],
    [
      '\r1073741824 bytes (1.1 GB, 1.0 GiB) copied, 2 s, 537 MB/s\r2147483648 bytes (2.1 GB, 2.0 GiB) copied, 4 s',
      2 * GIB,
    ],
    ['16+0 records in\n16+0 records out\n67108864 bytes (67 MB, 64 MiB) copied, 0.13 s, 498 MB/s\n', 67_108_864],
    ['dd: error writing', null],
    ['', null],
  ] as const) {
    test(JSON.stringify(text), () => assert.equal(clearedBytes(text), bytes));
  }
});

test('the line that puts signatures back', () => {
  assert.match(restoreLine("/home/it's me", '/dev/nbd0'), /^for f in '\/home\/it'\\''s me'\/\*\.bak; do /);
  assert.equal(
    restoreLine('/var/lib/lunctl/wiped/1', '/dev/nbd0'),
    'for f in /var/lib/lunctl/wiped/1/*.bak; do o=$' +
      '{f##*-}; dd if="$f" of=/dev/nbd0 bs=1 seek=$(($' +
      '{o%.bak})) conv=notrunc; done',
  );
});
