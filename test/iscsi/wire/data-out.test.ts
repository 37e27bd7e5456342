// SCSI Data-Out, RFC 7143 §11.7. Vectors from captures of open-iscsi, LIO and tgt.
import { Opcode } from '../../../src/iscsi/wire/bhs.js';
import { emitDataOut, parseDataOut } from '../../../src/iscsi/wire/data-out.js';
import { codecTests, hex } from './codec.js';

codecTests('DataOut', {
  opcode: Opcode.DataOut,
  parse: parseDataOut,
  emit: emitDataOut,
  vectors: [
    [
      'the answer to the first R2T',
      '05800000 00040000 00000000 00000000 66000000 00000061 00000000 9885439c 00000000 00000000 00010000 00000000',
      {
        final: true,
        lun: hex('0000000000000000'),
        itt: 0x66000000,
        ttt: 0x61,
        expStatSn: 2558870428,
        dataSn: 0,
        bufferOffset: 65536,
      },
    ],
    [
      'the answer to the second R2T',
      '05800000 00030000 00000000 00000000 66000000 00000062 00000000 9885439c 00000000 00000000 00050000 00000000',
      {
        final: true,
        lun: hex('0000000000000000'),
        itt: 0x66000000,
        ttt: 0x62,
        expStatSn: 2558870428,
        dataSn: 0,
        bufferOffset: 327680,
      },
    ],
  ],
});
