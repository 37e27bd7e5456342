// CRC32C: the examples of RFC 7143 §A.4 (as the bytes stand on the wire), the usual check value, and both ways agree.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { chooseRegister, crc32c } from '../../src/util/crc32c.js';
import { crc32cRegisterJs, crc32cTables } from '../../src/util/crc32c-js.js';
import { compileCrc32c, crc32cModule, SCRATCH_LENGTH } from '../../src/util/crc32c-wasm.js';

const wasm = compileCrc32c();
const up = Buffer.from(Array.from({ length: 32 }, (_, i) => i));

describe('crc32c', () => {
  const read10 =
    '01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000 02000000 00000000';
  const table: [name: string, data: Buffer, onWire: string][] = [
    ['32 bytes of zeros', Buffer.alloc(32), 'aa36918a'],
    ['32 bytes of ones', Buffer.alloc(32, 0xff), '43aba862'],
    ['32 bytes counting up', up, '4e79dd46'],
    ['32 bytes counting down', Buffer.from(up).reverse(), '5cdb3f11'],
    ['a SCSI Read (10) command PDU', Buffer.from(read10.replaceAll(' ', ''), 'hex'), '563a96d9'],
  ];
  for (const [name, data, onWire] of table) {
    it(`of ${name}`, () => {
      const digest = Buffer.alloc(4);
      digest.writeUInt32LE(crc32c(data));
      assert.equal(digest.toString('hex'), onWire);
    });
  }

  it('has the check value of the algorithm', () => {
    assert.equal(crc32c(Buffer.from('123456789')), 0xe306_9283);
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a91_36aa);
    assert.equal(crc32c(Buffer.alloc(0)), 0);
  });

  it('takes a part of a buffer and goes on from a part', () => {
    const data = Buffer.alloc(1000);
    for (let i = 0; i < data.length; i++) data[i] = (i * 7) & 0xff;
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1000), fc.nat(1000), (a, b, c) => {
        const [start, middle, end] = [a, b, c].sort((x, y) => x - y) as [number, number, number];
        const whole = crc32c(Buffer.from(data.subarray(start, end)));
        assert.equal(crc32c(data, start, end), whole);
        assert.equal(crc32c(data, middle, end, crc32c(data, start, middle)), whole);
      }),
    );
  });
});

describe('WebAssembly and JavaScript', () => {
  it('agree on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat(40), fc.integer(), (bytes, start, register) => {
        const data = Buffer.from(bytes);
        const from = Math.min(start, data.length);
        assert.equal(wasm(data, from, data.length, register), crc32cRegisterJs(data, from, data.length, register));
      }),
    );
  });

  it('agree beyond the memory that WebAssembly copies to at a time', () => {
    const data = Buffer.alloc(2 * SCRATCH_LENGTH + 33);
    for (let i = 0; i < data.length; i++) data[i] = (i * 131 + (i >>> 8)) & 0xff;
    for (const length of [SCRATCH_LENGTH - 1, SCRATCH_LENGTH, SCRATCH_LENGTH + 1, data.length]) {
      assert.equal(wasm(data, 0, length, -1), crc32cRegisterJs(data, 0, length, -1));
    }
  });

  it('is plain JavaScript where WebAssembly is missing or wrong', () => {
    const broken = chooseRegister(() => {
      throw new Error('no WebAssembly');
    });
    assert.equal(broken, crc32cRegisterJs);
    assert.equal(
      chooseRegister(() => () => 0),
      crc32cRegisterJs,
    );
    assert.equal(
      chooseRegister(() => wasm),
      wasm,
    );
  });

  it('come from the same tables and a small module', () => {
    assert.deepEqual(crc32cTables(16).subarray(0, 8 * 256), crc32cTables(8));
    assert.ok(crc32cModule().length < 1000);
  });
});
