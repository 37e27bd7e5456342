// Text Response, RFC 7143 §11.11. Vectors from captures of open-iscsi, LIO and tgt.
import { Opcode } from '../../../src/iscsi/wire/bhs.js';
import { emitTextResponse, parseTextResponse } from '../../../src/iscsi/wire/text-response.js';
import { codecTests, hex, text } from './codec.js';

codecTests('TextResponse', {
  opcode: Opcode.TextResponse,
  parse: parseTextResponse,
  emit: emitTextResponse,
  vectors: [
    [
      'five targets',
      '24800000 000001b6 00000000 00000000 00000001 ffffffff dfac0dee 00000002 00000002 00000000 00000000 00000000',
      {
        final: true,
        continues: false,
        lun: hex('0000000000000000'),
        itt: 1,
        ttt: 0xffffffff,
        statSn: 3752594926,
        expCmdSn: 2,
        maxCmdSn: 2,
      },
      text(
        'TargetName=iqn.2022-08.com.test:dlp.target01',
        'TargetAddress=127.0.0.1:3260,1',
        'TargetAddress=[::1]:3260,1',
        'TargetAddress=127.0.0.2:3260,1',
        'TargetName=iqn.2022-08.com.test:dlp.target02',
        'TargetAddress=127.0.0.1:3260,1',
        'TargetName=iqn.2022-08.com.test:dlp.target03',
        'TargetAddress=127.0.0.1:3260,1',
        'TargetName=iqn.2022-08.com.test:dlp.target04',
        'TargetAddress=127.0.0.1:3260,1',
        'TargetName=iqn.2022-08.com.test:dlp.target05',
        'TargetAddress=127.0.0.1:3260,1',
      ),
    ],
  ],
});
