// SNACK Request, RFC 7143 §11.16. Vectors by the layout of that clause.
import { NO_TAG, Opcode } from '../../../src/iscsi/wire/bhs.js';
import { emitSnackRequest, parseSnackRequest, SnackType } from '../../../src/iscsi/wire/snack.js';
import { codecTests, hex } from './codec.js';

codecTests('SnackRequest', {
  opcode: Opcode.SnackRequest,
  parse: parseSnackRequest,
  emit: emitSnackRequest,
  vectors: [
    [
      'two Data-In PDUs again',
      '10800000 00000000 00000000 00000000 00000012 00000000 00000000 0a0b0c0d 00000000 00000000 00000003 00000002',
      {
        type: SnackType.DataOrR2T,
        lun: hex('0000000000000000'),
        itt: 0x12,
        ttt: 0,
        expStatSn: 0x0a0b0c0d,
        begRun: 3,
        runLength: 2,
      },
    ],
    [
      'all statuses from one on',
      '10810000 00000000 00000000 00000000 ffffffff ffffffff 00000000 00000009 00000000 00000000 00000009 00000000',
      {
        type: SnackType.Status,
        lun: hex('0000000000000000'),
        itt: NO_TAG,
        ttt: NO_TAG,
        expStatSn: 9,
        begRun: 9,
        runLength: 0,
      },
    ],
    [
      'DataACK',
      '10820000 00000000 00010000 00000000 ffffffff 00000040 00000000 00000009 00000000 00000000 00000010 00000000',
      {
        type: SnackType.DataAck,
        lun: hex('0001000000000000'),
        itt: NO_TAG,
        ttt: 0x40,
        expStatSn: 9,
        begRun: 16,
        runLength: 0,
      },
    ],
    [
      'R-Data',
      '10830000 00000000 00000000 00000000 00000013 00000007 00000000 00000009 00000000 00000000 00000000 00000000',
      {
        type: SnackType.RData,
        lun: hex('0000000000000000'),
        itt: 0x13,
        ttt: 7,
        expStatSn: 9,
        begRun: 0,
        runLength: 0,
      },
    ],
  ],
});
