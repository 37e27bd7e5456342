import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  emitBlockSizeInfo,
  emitExportInfo,
  emitOptionReply,
  emitServerData,
  emitTextInfo,
  parseInfoRequest,
  parseOptionHeader,
} from '../../../src/nbd/wire/option.js';
import { ProtocolError } from '../../../src/util/errors.js';

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex');
}

describe('NBD options', () => {
  it('reads a header and refuses another magic', () => {
    const header = bytes('49484156454f5054 00000007 ffffffff');
    assert.deepEqual(parseOptionHeader(header), { option: 7, length: 0xffff_ffff });
    for (const at of [0, 7]) {
      const wrong = Buffer.from(header);
      wrong.writeUInt8(wrong.readUInt8(at) ^ 0x20, at);
      assert.throws(() => parseOptionHeader(wrong), ProtocolError);
    }
  });

  it('reads the data of INFO and GO', () => {
    const request = parseInfoRequest(bytes('00000004 6c756e30 0002 0003 0001'));
    assert.equal(request?.name.toString(), 'lun0');
    assert.deepEqual(request?.types, [3, 1]);
    assert.deepEqual(parseInfoRequest(bytes('00000000 0000'))?.types, []);
  });

  it('refuses data whose lengths contradict each other, whatever the bytes', () => {
    for (const hex of ['', '00000000', '00000001 0000', 'ffffffff 0000', '00000000 0001', '00000000 0000 00']) {
      assert.equal(parseInfoRequest(bytes(hex)), null, hex);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (data) => {
        const request = parseInfoRequest(Buffer.from(data));
        if (request) assert.equal(6 + request.name.length + 2 * request.types.length, data.length);
      }),
    );
  });

  const replies: [string, string, Buffer][] = [
    ['ACK', '0003e889045565a9 00000006 00000001 00000000', emitOptionReply(6, 1)],
    [
      'an error with a message',
      '0003e889045565a9 000000ff 80000001 00000002 6e6f',
      emitOptionReply(255, 0x8000_0001, Buffer.from('no')),
    ],
    ['NBD_REP_SERVER', '00000004 6c756e30 6469736b', emitServerData('lun0', 'disk')],
    ['NBD_INFO_EXPORT', '0000 001ffffffffffe00 0d6d', emitExportInfo(2 ** 53 - 512, 0x0d6d)],
    ['NBD_INFO_NAME', '0001 c3bc', emitTextInfo(1, 'ü')],
    ['NBD_INFO_BLOCK_SIZE', '0003 00000200 00001000 02000000', emitBlockSizeInfo(512, 4096, 2 ** 25)],
  ];
  for (const [name, hex, emitted] of replies) {
    it(`emits ${name}`, () => assert.equal(emitted.toString('hex'), bytes(hex).toString('hex')));
  }
});
