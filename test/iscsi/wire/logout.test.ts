// Logout Request and Response, RFC 7143 §11.14 and §11.15. Vectors from captures of open-iscsi and LIO.
import { Opcode } from '../../../src/iscsi/wire/bhs.js';
import {
  emitLogoutRequest,
  emitLogoutResponse,
  parseLogoutRequest,
  parseLogoutResponse,
} from '../../../src/iscsi/wire/logout.js';
import { codecTests } from './codec.js';

codecTests('LogoutRequest', {
  opcode: Opcode.LogoutRequest,
  parse: parseLogoutRequest,
  emit: emitLogoutRequest,
  vectors: [
    [
      'to close a session',
      '46800000 00000000 00000000 00000000 0f000000 00000000 00000109 98854442 00000000 00000000 00000000 00000000',
      { immediate: true, reason: 0, itt: 0xf000000, cid: 0, cmdSn: 265, expStatSn: 2558870594 },
    ],
    [
      'of a digest session',
      '46800000 00000000 00000000 00000000 5b000000 00000000 0000005a a441af30 00000000 00000000 00000000 00000000',
      { immediate: true, reason: 0, itt: 0x5b000000, cid: 0, cmdSn: 90, expStatSn: 2755768112 },
    ],
  ],
});

codecTests('LogoutResponse', {
  opcode: Opcode.LogoutResponse,
  parse: parseLogoutResponse,
  emit: emitLogoutResponse,
  vectors: [
    [
      'to close a session',
      '26800000 00000000 00000000 00000000 0f000000 00000000 98854442 00000109 00000148 00000000 00000000 00000000',
      { response: 0, itt: 0xf000000, statSn: 2558870594, expCmdSn: 265, maxCmdSn: 328, time2Wait: 0, time2Retain: 0 },
    ],
    [
      'of a digest session',
      '26800000 00000000 00000000 00000000 5b000000 00000000 a441af30 0000005a 00000099 00000000 00000000 00000000',
      { response: 0, itt: 0x5b000000, statSn: 2755768112, expCmdSn: 90, maxCmdSn: 153, time2Wait: 0, time2Retain: 0 },
    ],
  ],
});
