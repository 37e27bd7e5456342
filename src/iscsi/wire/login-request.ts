// Login Request, RFC 7143 §11.12. Always immediate.
import { IMMEDIATE, itt, Opcode, startHeader } from './bhs.js';
import { getU16, getU32, putU16, putU32 } from './bytes.js';

const at = {
  flags: 1,
  versionMax: 2,
  versionMin: 3,
  isid: 8,
  tsih: 14,
  itt: 16,
  cid: 20,
  cmdSn: 24,
  expStatSn: 28,
} as const;

/** Stages of CSG and NSG, §11.12.3. 2 is not defined: a peer that sends it breaks the protocol. */
export const LoginStage = { Security: 0, Operational: 1, FullFeature: 3 } as const;

/** Bits of byte 1 that Login Request and Response share. */
export const LoginFlag = { Transit: 0x80, Continue: 0x40 } as const;

export interface LoginRequest {
  /** T: ready to go to `nsg`. */
  readonly transit: boolean;
  /** C: the text goes on in the next PDU. Never together with T. */
  readonly continues: boolean;
  /** Current and next stage, a LoginStage. */
  readonly csg: number;
  readonly nsg: number;
  readonly versionMax: number;
  readonly versionMin: number;
  /** 6 bytes, a view of the header. */
  readonly isid: Buffer;
  readonly tsih: number;
  readonly itt: number;
  readonly cid: number;
  readonly cmdSn: number;
  readonly expStatSn: number;
}

/** T, C, CSG and NSG as byte 1 of a Login Request or Response. */
export function loginFlags(pdu: Pick<LoginRequest, 'transit' | 'continues' | 'csg' | 'nsg'>): number {
  return (
    (pdu.transit ? LoginFlag.Transit : 0) |
    (pdu.continues ? LoginFlag.Continue : 0) |
    ((pdu.csg & 3) << 2) |
    (pdu.nsg & 3)
  );
}

export function parseLoginRequest(b: Buffer, offset = 0): LoginRequest {
  const flags = b[offset + at.flags] as number;
  return {
    transit: (flags & LoginFlag.Transit) !== 0,
    continues: (flags & LoginFlag.Continue) !== 0,
    csg: (flags >>> 2) & 3,
    nsg: flags & 3,
    versionMax: b[offset + at.versionMax] as number,
    versionMin: b[offset + at.versionMin] as number,
    isid: b.subarray(offset + at.isid, offset + at.isid + 6),
    tsih: getU16(b, offset + at.tsih),
    itt: itt(b, offset),
    cid: getU16(b, offset + at.cid),
    cmdSn: getU32(b, offset + at.cmdSn),
    expStatSn: getU32(b, offset + at.expStatSn),
  };
}

export function emitLoginRequest(pdu: LoginRequest, b: Buffer, offset = 0): void {
  startHeader(b, offset, Opcode.LoginRequest | IMMEDIATE, loginFlags(pdu));
  b[offset + at.versionMax] = pdu.versionMax;
  b[offset + at.versionMin] = pdu.versionMin;
  pdu.isid.copy(b, offset + at.isid, 0, 6);
  putU16(b, offset + at.tsih, pdu.tsih);
  putU32(b, offset + at.itt, pdu.itt);
  putU16(b, offset + at.cid, pdu.cid);
  putU32(b, offset + at.cmdSn, pdu.cmdSn);
  putU32(b, offset + at.expStatSn, pdu.expStatSn);
}
