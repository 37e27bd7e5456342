// Ready To Transfer, RFC 7143 §11.8. Vectors from captures of open-iscsi, LIO and tgt.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Opcode } from '../../../src/iscsi/wire/bhs.js';
import { emitR2T, parseR2T } from '../../../src/iscsi/wire/r2t.js';
import { ProtocolError } from '../../../src/util/errors.js';
import { codecTests, hex } from './codec.js';

codecTests('R2T', {
  opcode: Opcode.R2T,
  parse: parseR2T,
  emit: emitR2T,
  vectors: [
    [
      'the first of a write',
      '31800000 00000000 00000000 00000000 66000000 00000061 9885439c 00000066 000000a4 00000000 00010000 00040000',
      {
        lun: hex('0000000000000000'),
        itt: 0x66000000,
        ttt: 0x61,
        statSn: 2558870428,
        expCmdSn: 102,
        maxCmdSn: 164,
        r2tSn: 0,
        bufferOffset: 65536,
        desiredDataTransferLength: 262144,
      },
    ],
    [
      'the second of a write',
      '31800000 00000000 00000000 00000000 66000000 00000062 9885439c 00000066 000000a4 00000001 00050000 00030000',
      {
        lun: hex('0000000000000000'),
        itt: 0x66000000,
        ttt: 0x62,
        statSn: 2558870428,
        expCmdSn: 102,
        maxCmdSn: 164,
        r2tSn: 1,
        bufferOffset: 327680,
        desiredDataTransferLength: 196608,
      },
    ],
  ],
});

describe('an R2T for nothing', () => {
  it('breaks the protocol', () => {
    const header = hex(`31800000 ${'00'.repeat(44)}`);
    assert.throws(() => parseR2T(header), ProtocolError);
  });
});
