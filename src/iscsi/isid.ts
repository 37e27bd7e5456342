// Initiator Session ID, RFC 7143 §11.12.5: six bytes that name an initiator port.
import { randomBytes } from 'node:crypto';

/** Size of an ISID in bytes. */
export const ISID_LENGTH = 6;

/** How an ISID says whom it comes from: the top two bits. */
export const IsidType = { Oui: 0, EnterpriseNumber: 1, Random: 2, Reserved: 3 } as const;

export interface Isid {
  /** An IsidType. */
  readonly type: number;
  /** 6 low bits of the first byte: part of the OUI, else reserved. */
  readonly a: number;
  /** 24 bits: enterprise number or random number (for an OUI: its low 16 bits, then the qualifier's high 8). */
  readonly bc: number;
  /** 16 bits, the qualifier. */
  readonly qualifier: number;
}

/** A new random part, 24 bits. */
export function randomIsidPart(): number {
  return randomBytes(3).readUIntBE(0, 3);
}

/** An ISID of type 10b from a 24-bit random part and a 16-bit qualifier. */
export function makeIsid(random: number, qualifier: number): Buffer {
  const isid = Buffer.alloc(ISID_LENGTH);
  isid[0] = IsidType.Random << 6;
  isid.writeUIntBE(random & 0xff_ffff, 1, 3);
  isid.writeUInt16BE(qualifier & 0xffff, 4);
  return isid;
}

/** The parts of six bytes. */
export function parseIsid(isid: Buffer): Isid {
  const first = isid.readUInt8(0);
  return { type: first >>> 6, a: first & 0x3f, bc: isid.readUIntBE(1, 3), qualifier: isid.readUInt16BE(4) };
}
