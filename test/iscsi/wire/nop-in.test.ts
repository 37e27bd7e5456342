// NOP-In, RFC 7143 §11.19. Vectors from captures of open-iscsi, LIO and tgt.
import { Opcode } from '../../../src/iscsi/wire/bhs.js';
import { emitNopIn, parseNopIn } from '../../../src/iscsi/wire/nop-in.js';
import { codecTests, hex } from './codec.js';

codecTests('NopIn', {
  opcode: Opcode.NopIn,
  parse: parseNopIn,
  emit: emitNopIn,
  vectors: [
    [
      "LIO's answer to a ping",
      '20800000 00000000 ffffffff ffffffff 0b000000 ffffffff 9885443f 00000108 00000147 00000000 00000000 00000000',
      {
        lun: hex('ffffffffffffffff'),
        itt: 0xb000000,
        ttt: 0xffffffff,
        statSn: 2558870591,
        expCmdSn: 264,
        maxCmdSn: 327,
      },
    ],
    [
      'a ping of LIO',
      '20800000 00000000 00000000 00000000 ffffffff 00000103 98854440 00000108 00000147 00000000 00000000 00000000',
      { lun: hex('0000000000000000'), itt: 0xffffffff, ttt: 0x103, statSn: 2558870592, expCmdSn: 264, maxCmdSn: 327 },
    ],
    [
      "tgt's answer to a ping",
      '20800000 00000000 00000000 00000000 2a000000 ffffffff 000000ac 000000a8 00000128 00000000 00000000 00000000',
      { lun: hex('0000000000000000'), itt: 0x2a000000, ttt: 0xffffffff, statSn: 172, expCmdSn: 168, maxCmdSn: 296 },
    ],
  ],
});
