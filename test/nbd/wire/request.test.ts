import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  REQUEST_LENGTH,
  requestCookieHigh,
  requestCookieLow,
  requestFlags,
  requestLength,
  requestMagic,
  requestOffset,
  requestType,
} from '../../../src/nbd/wire/request.js';

describe('NBD requests', () => {
  const cases: [string, string, [number, number, number, number, number, number]][] = [
    [
      'a write with FUA',
      '0001 0001 0102030405060708 0000000000001000 00002000',
      [1, 1, 0x0102_0304, 0x0506_0708, 4096, 8192],
    ],
    [
      'the largest values',
      'ffff ffff ffffffffffffffff 001fffffffffffff ffffffff',
      [0xffff, 0xffff, 0xffff_ffff, 0xffff_ffff, 2 ** 53 - 1, 0xffff_ffff],
    ],
  ];
  for (const [name, hex, expected] of cases) {
    it(`reads ${name}, anywhere in a buffer`, () => {
      const bytes = Buffer.from(`25609513${hex.replaceAll(' ', '')}`, 'hex');
      assert.equal(bytes.length, REQUEST_LENGTH);
      const b = Buffer.concat([Buffer.alloc(7, 0xee), bytes, Buffer.alloc(7, 0xee)]);
      assert.equal(requestMagic(b, 7), 0x2560_9513);
      const fields = [requestFlags, requestType, requestCookieHigh, requestCookieLow, requestOffset, requestLength];
      assert.deepEqual(
        fields.map((field) => field(b, 7)),
        expected,
      );
    });
  }

  it('keeps offsets of 2^53 and more above every disk', () => {
    const b = Buffer.alloc(REQUEST_LENGTH);
    for (const offset of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      b.writeBigUInt64BE(offset, 16);
      assert.ok(requestOffset(b, 0) > Number.MAX_SAFE_INTEGER);
    }
  });
});
