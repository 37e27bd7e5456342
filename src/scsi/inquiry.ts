// Standard INQUIRY data, SPC-4 §6.6.2, both ways.
import { ProtocolError } from '../util/errors.js';
import { readAscii, writeAscii } from './ascii.js';

/** Peripheral device types, SPC-4 table 138: the ones that this program meets. */
export const DeviceType = { Block: 0x00, StorageArrayController: 0x0c, WellKnown: 0x1e, Unknown: 0x1f } as const;

/** PERIPHERAL QUALIFIER: connected, could be but is not, cannot be. */
export const Qualifier = { Connected: 0, NotConnected: 1, NotPossible: 3 } as const;

export interface Inquiry {
  readonly qualifier: number;
  /** One of DeviceType, or another number; only Block is a disk. */
  readonly deviceType: number;
  readonly removable: boolean;
  /** VERSION: 05h SPC-3, 06h SPC-4; 0 claims none. */
  readonly version: number;
  readonly normAca: boolean;
  readonly hiSup: boolean;
  /** One of Tpgs. */
  readonly tpgs: number;
  readonly thirdPartyCopy: boolean;
  readonly protect: boolean;
  readonly multiPort: boolean;
  readonly commandQueuing: boolean;
  /** T10 VENDOR IDENTIFICATION, up to 8 characters. */
  readonly vendor: string;
  /** PRODUCT IDENTIFICATION, up to 16 characters. */
  readonly product: string;
  /** PRODUCT REVISION LEVEL, up to 4 characters. */
  readonly revision: string;
  /** VERSION DESCRIPTORS, up to 8, without the zeros; e.g. 0960h iSCSI, 0460h SPC-4, 04C0h SBC-3. */
  readonly versionDescriptors: readonly number[];
}

/** TPGS, SPC-4 table 143: whether target port groups are reported, and whether an initiator may set their states. */
export const Tpgs = { None: 0, Implicit: 1, Explicit: 2, Both: 3 } as const;

const FIELDS_END = 36;
const DESCRIPTORS_AT = 58;
const LENGTH = 96;

/** Standard INQUIRY data. Fields that a short answer or ADDITIONAL LENGTH cuts off are empty; under 5 bytes is an error. */
export function parseInquiry(data: Buffer): Inquiry {
  if (data.length < 5) throw new ProtocolError('SPC-4 §6.6.2', `INQUIRY data of ${data.length} bytes`);
  const whole = data.subarray(0, 5 + data.readUInt8(4));
  const at = (index: number): number => whole[index] ?? 0;
  const versionDescriptors: number[] = [];
  for (let i = DESCRIPTORS_AT; i + 2 <= Math.min(whole.length, DESCRIPTORS_AT + 16); i += 2) {
    const descriptor = whole.readUInt16BE(i);
    if (descriptor !== 0) versionDescriptors.push(descriptor);
  }
  return {
    qualifier: at(0) >> 5,
    deviceType: at(0) & 0x1f,
    removable: (at(1) & 0x80) !== 0,
    version: at(2),
    normAca: (at(3) & 0x20) !== 0,
    hiSup: (at(3) & 0x10) !== 0,
    tpgs: (at(5) >> 4) & 3,
    thirdPartyCopy: (at(5) & 0x08) !== 0,
    protect: (at(5) & 0x01) !== 0,
    multiPort: (at(6) & 0x10) !== 0,
    commandQueuing: (at(7) & 0x02) !== 0,
    vendor: readAscii(whole, 8, 16),
    product: readAscii(whole, 16, 32),
    revision: readAscii(whole, 32, FIELDS_END),
    versionDescriptors,
  };
}

/** 96 bytes of standard INQUIRY data, response format 2; the caller cuts them to the allocation length. */
export function buildInquiry(inquiry: Inquiry): Buffer {
  const b = Buffer.alloc(LENGTH);
  b[0] = ((inquiry.qualifier & 7) << 5) | (inquiry.deviceType & 0x1f);
  b[1] = inquiry.removable ? 0x80 : 0;
  b[2] = inquiry.version;
  b[3] = (inquiry.normAca ? 0x20 : 0) | (inquiry.hiSup ? 0x10 : 0) | 0x02;
  b[4] = LENGTH - 5;
  b[5] = ((inquiry.tpgs & 3) << 4) | (inquiry.thirdPartyCopy ? 0x08 : 0) | (inquiry.protect ? 0x01 : 0);
  b[6] = inquiry.multiPort ? 0x10 : 0;
  b[7] = inquiry.commandQueuing ? 0x02 : 0;
  writeAscii(b, 8, 16, inquiry.vendor);
  writeAscii(b, 16, 32, inquiry.product);
  writeAscii(b, 32, FIELDS_END, inquiry.revision);
  for (const [index, descriptor] of inquiry.versionDescriptors.slice(0, 8).entries()) {
    b.writeUInt16BE(descriptor, DESCRIPTORS_AT + 2 * index);
  }
  return b;
}
