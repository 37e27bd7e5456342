// Login Response, RFC 7143 §11.13. The names of its status codes are in ../login-status.ts.
import { itt, Opcode, startHeader } from './bhs.js';
import { getU16, getU32, putU16, putU32 } from './bytes.js';
import { LoginFlag, loginFlags } from './login-request.js';

const at = {
  flags: 1,
  versionMax: 2,
  versionActive: 3,
  isid: 8,
  tsih: 14,
  itt: 16,
  statSn: 24,
  expCmdSn: 28,
  maxCmdSn: 32,
  statusClass: 36,
  statusDetail: 37,
} as const;

export interface LoginResponse {
  /** T: the target goes to `nsg` too. */
  readonly transit: boolean;
  /** C: the text goes on in the next PDU. */
  readonly continues: boolean;
  readonly csg: number;
  readonly nsg: number;
  readonly versionMax: number;
  readonly versionActive: number;
  /** 6 bytes, a view of the header. */
  readonly isid: Buffer;
  readonly tsih: number;
  readonly itt: number;
  readonly statSn: number;
  readonly expCmdSn: number;
  readonly maxCmdSn: number;
  /** 0 success, 1 redirection, 2 initiator error, 3 target error. The sequence numbers count with 0 only. */
  readonly statusClass: number;
  readonly statusDetail: number;
}

export function parseLoginResponse(b: Buffer, offset = 0): LoginResponse {
  const flags = b[offset + at.flags] as number;
  return {
    transit: (flags & LoginFlag.Transit) !== 0,
    continues: (flags & LoginFlag.Continue) !== 0,
    csg: (flags >>> 2) & 3,
    nsg: flags & 3,
    versionMax: b[offset + at.versionMax] as number,
    versionActive: b[offset + at.versionActive] as number,
    isid: b.subarray(offset + at.isid, offset + at.isid + 6),
    tsih: getU16(b, offset + at.tsih),
    itt: itt(b, offset),
    statSn: getU32(b, offset + at.statSn),
    expCmdSn: getU32(b, offset + at.expCmdSn),
    maxCmdSn: getU32(b, offset + at.maxCmdSn),
    statusClass: b[offset + at.statusClass] as number,
    statusDetail: b[offset + at.statusDetail] as number,
  };
}

export function emitLoginResponse(pdu: LoginResponse, b: Buffer, offset = 0): void {
  startHeader(b, offset, Opcode.LoginResponse, loginFlags(pdu));
  b[offset + at.versionMax] = pdu.versionMax;
  b[offset + at.versionActive] = pdu.versionActive;
  pdu.isid.copy(b, offset + at.isid, 0, 6);
  putU16(b, offset + at.tsih, pdu.tsih);
  putU32(b, offset + at.itt, pdu.itt);
  putU32(b, offset + at.statSn, pdu.statSn);
  putU32(b, offset + at.expCmdSn, pdu.expCmdSn);
  putU32(b, offset + at.maxCmdSn, pdu.maxCmdSn);
  b[offset + at.statusClass] = pdu.statusClass;
  b[offset + at.statusDetail] = pdu.statusDetail;
}
