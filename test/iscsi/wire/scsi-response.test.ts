// SCSI Response, RFC 7143 §11.4. Vectors from captures of open-iscsi, LIO and tgt.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Opcode } from '../../../src/iscsi/wire/bhs.js';
import {
  buildResponseData,
  emitScsiResponse,
  parseResponseData,
  parseScsiResponse,
} from '../../../src/iscsi/wire/scsi-response.js';
import { ProtocolError } from '../../../src/util/errors.js';
import { codecTests, hex } from './codec.js';

codecTests('ScsiResponse', {
  opcode: Opcode.ScsiResponse,
  parse: parseScsiResponse,
  emit: emitScsiResponse,
  vectors: [
    [
      'GOOD of a digest session',
      '21800000 00000000 00000000 00000000 17000000 00000000 a441aeec 00000017 00000056 00000000 00000000 00000000',
      {
        bidiOverflow: false,
        bidiUnderflow: false,
        overflow: false,
        underflow: false,
        response: 0,
        status: 0,
        itt: 0x17000000,
        snackTag: 0,
        statSn: 2755768044,
        expCmdSn: 23,
        maxCmdSn: 86,
        expDataSn: 0,
        bidiResidual: 0,
        residual: 0,
      },
    ],
    [
      'CHECK CONDITION with sense',
      '21800002 00000062 00000000 00000000 1c000000 00000000 a441aef1 0000001c 0000005b 00000000 00000000 00000000',
      {
        bidiOverflow: false,
        bidiUnderflow: false,
        overflow: false,
        underflow: false,
        response: 0,
        status: 2,
        itt: 0x1c000000,
        snackTag: 0,
        statSn: 2755768049,
        expCmdSn: 28,
        maxCmdSn: 91,
        expDataSn: 0,
        bidiResidual: 0,
        residual: 0,
      },
      hex(
        '0060700005000000000a00000000200000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000',
      ),
    ],
  ],
});

describe('the data segment of a SCSI Response', () => {
  const sense = hex('70000500 0000000a 00000000 20000000 0000');

  it('carries sense and response data', () => {
    const data = buildResponseData(sense);
    assert.equal(data.readUInt16BE(0), 18);
    assert.deepEqual(parseResponseData(data).sense, sense);
    const { responseData } = parseResponseData(Buffer.concat([data, hex('0102')]));
    assert.deepEqual(responseData, hex('0102'));
    assert.equal(parseResponseData(Buffer.alloc(0)).sense.length, 0);
  });

  it('is refused when SenseLength runs past its end', () => {
    for (const data of ['00', '0001', `0013 ${sense.toString('hex')}`, 'ffff']) {
      assert.throws(() => parseResponseData(hex(data)), ProtocolError);
    }
  });
});
