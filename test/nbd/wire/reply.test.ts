import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { emitDataChunk, emitErrorChunk, emitNoneChunk, emitSimpleReply } from '../../../src/nbd/wire/reply.js';

const HIGH = 0x0102_0304;
const LOW = 0xf5f6_f7f8;

describe('NBD replies', () => {
  const cases: [string, string, (b: Buffer, at: number) => void][] = [
    ['a simple reply', '67446698 00000000 01020304f5f6f7f8', (b, at) => emitSimpleReply(b, at, 0, HIGH, LOW)],
    ['a simple error', '67446698 0000001c 01020304f5f6f7f8', (b, at) => emitSimpleReply(b, at, 28, HIGH, LOW)],
    ['NONE', '668e33ef 0001 0000 01020304f5f6f7f8 00000000', (b, at) => emitNoneChunk(b, at, HIGH, LOW)],
    [
      'OFFSET_DATA',
      '668e33ef 0000 0001 01020304f5f6f7f8 00001008 0000000000000200',
      (b, at) => emitDataChunk(b, at, 0, HIGH, LOW, 512, 4096),
    ],
    [
      'the last OFFSET_DATA, far into a large disk',
      '668e33ef 0001 0001 01020304f5f6f7f8 00000009 001ffffffffffe00',
      (b, at) => emitDataChunk(b, at, 1, HIGH, LOW, 2 ** 53 - 512, 1),
    ],
    [
      'ERROR with room for a message',
      '668e33ef 0001 8001 01020304f5f6f7f8 0000000a 00000005 0004',
      (b, at) => emitErrorChunk(b, at, 5, HIGH, LOW, 4),
    ],
  ];
  for (const [name, hex, emit] of cases) {
    it(`emits ${name} into a dirty buffer, and nothing beside it`, () => {
      const expected = Buffer.from(hex.replaceAll(' ', ''), 'hex');
      const b = Buffer.alloc(expected.length + 20, 0xa5);
      emit(b, 10);
      assert.equal(b.toString('hex', 10, 10 + expected.length), expected.toString('hex'));
      assert.ok(b.subarray(0, 10).every((byte) => byte === 0xa5));
      assert.ok(b.subarray(10 + expected.length).every((byte) => byte === 0xa5));
    });
  }
});
