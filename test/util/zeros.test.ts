import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isZeros } from '../../src/util/zeros.js';

test('one byte that is not zero is found wherever it is', () => {
  for (const length of [1, 2, 4096, 65_535, 65_536, 65_537, 200_000]) {
    const bytes = Buffer.alloc(length);
    assert.equal(isZeros(bytes), true, `${length} zeros`);
    for (const at of [0, length >> 1, Math.min(length - 1, 65_535), Math.min(length - 1, 65_536), length - 1]) {
      bytes[at] = 1;
      assert.equal(isZeros(bytes), false, `${length} bytes, one at ${at}`);
      bytes[at] = 0;
    }
  }
  assert.equal(isZeros(Buffer.alloc(0)), true);
});
