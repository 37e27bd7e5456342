// NOP-Out, RFC 7143 §11.18. Vectors from captures of open-iscsi, LIO and tgt.
import { Opcode } from '../../../src/iscsi/wire/bhs.js';
import { emitNopOut, parseNopOut } from '../../../src/iscsi/wire/nop-out.js';
import { codecTests, hex } from './codec.js';

codecTests('NopOut', {
  opcode: Opcode.NopOut,
  parse: parseNopOut,
  emit: emitNopOut,
  vectors: [
    [
      'a ping of open-iscsi',
      '40800000 00000000 00000000 00000000 0b000000 ffffffff 00000108 9885443f 00000000 00000000 00000000 00000000',
      {
        immediate: true,
        lun: hex('0000000000000000'),
        itt: 0xb000000,
        ttt: 0xffffffff,
        cmdSn: 264,
        expStatSn: 2558870591,
      },
    ],
    [
      'its answer to a ping of LIO',
      '40800000 00000000 00000000 00000000 ffffffff 00000103 00000108 98854440 00000000 00000000 00000000 00000000',
      { immediate: true, lun: hex('0000000000000000'), itt: 0xffffffff, ttt: 0x103, cmdSn: 264, expStatSn: 2558870592 },
    ],
  ],
});
