// Text Request, RFC 7143 §11.10. Vectors from captures of open-iscsi, LIO and tgt.
import { Opcode } from '../../../src/iscsi/wire/bhs.js';
import { emitTextRequest, parseTextRequest } from '../../../src/iscsi/wire/text-request.js';
import { codecTests, hex, text } from './codec.js';

codecTests('TextRequest', {
  opcode: Opcode.TextRequest,
  parse: parseTextRequest,
  emit: emitTextRequest,
  vectors: [
    [
      'SendTargets=All',
      '04800000 00000010 00000000 00000000 00000001 ffffffff 00000001 dfac0dee 00000000 00000000 00000000 00000000',
      {
        immediate: false,
        final: true,
        continues: false,
        lun: hex('0000000000000000'),
        itt: 1,
        ttt: 0xffffffff,
        cmdSn: 1,
        expStatSn: 3752594926,
      },
      text('SendTargets=All'),
    ],
  ],
});
