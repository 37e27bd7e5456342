// VPD page 83h, device identification, SPC-4 §7.8.5: the names of a logical unit, its port and its target.
import { readAscii, writeAscii } from './ascii.js';
import { buildVpd, VpdPage, vpdBody } from './vpd.js';

/** What the designator names. */
export const Association = { LogicalUnit: 0, TargetPort: 1, TargetDevice: 2 } as const;

export const DesignatorType = {
  VendorSpecific: 0,
  T10Vendor: 1,
  Eui64: 2,
  Naa: 3,
  RelativeTargetPort: 4,
  TargetPortGroup: 5,
  LogicalUnitGroup: 6,
  Md5: 7,
  ScsiNameString: 8,
  Uuid: 10,
} as const;

export const CodeSet = { Binary: 1, Ascii: 2, Utf8: 3 } as const;

export interface Designator {
  readonly codeSet: number;
  readonly association: number;
  readonly type: number;
  /** The designator's own bytes; in a parsed page a copy. */
  readonly value: Buffer;
  /** PROTOCOL IDENTIFIER where PIV is set: 5 is iSCSI. */
  readonly protocol?: number;
}

/** Page 83h: the whole descriptors that the page length and the bytes at hand hold. */
export function parseDesignators(data: Buffer): Designator[] {
  const body = vpdBody(data, VpdPage.DeviceIdentification);
  const list: Designator[] = [];
  let at = 0;
  while (at + 4 <= body.length) {
    const end = at + 4 + body.readUInt8(at + 3);
    if (end > body.length) break;
    const [byte0, byte1] = [body.readUInt8(at), body.readUInt8(at + 1)];
    const designator: Designator = {
      codeSet: byte0 & 0x0f,
      association: (byte1 >> 4) & 3,
      type: byte1 & 0x0f,
      value: Buffer.from(body.subarray(at + 4, end)),
    };
    list.push((byte1 & 0x80) === 0 ? designator : { ...designator, protocol: byte0 >> 4 });
    at = end;
  }
  return list;
}

/** Page 83h. A designator takes up to 255 bytes. */
export function buildDesignators(list: readonly Designator[]): Buffer {
  const parts = list.map(({ codeSet, association, type, value, protocol }) => {
    const piv = protocol === undefined ? 0 : 0x80;
    const header = [((protocol ?? 0) << 4) | codeSet, piv | (association << 4) | type, 0, value.length];
    if (value.length > 255) throw new RangeError('a designator of more than 255 bytes');
    return Buffer.concat([Buffer.from(header), value]);
  });
  return buildVpd(VpdPage.DeviceIdentification, Buffer.concat(parts));
}

/** An NAA designator of the unit from 16 or 32 hex digits. */
export function naaDesignator(hex: string): Designator {
  const value = Buffer.from(hex, 'hex');
  if (value.length * 2 !== hex.length || (value.length !== 8 && value.length !== 16)) {
    throw new RangeError(`not an NAA identifier: ${hex}`);
  }
  return { codeSet: CodeSet.Binary, association: Association.LogicalUnit, type: DesignatorType.Naa, value };
}

/**
 * The NAA identifier (32 hex digits) that LIO derives from a unit serial number: 6001405h and its first 25 hex digits,
 * padded with zeros. Doing the same lets a disk keep its name when its configuration moves between LIO and this target.
 */
export function naaFromSerial(serial: string): string {
  const digits = serial.toLowerCase().replace(/[^0-9a-f]/g, '');
  return `6001405${digits.slice(0, 25).padEnd(25, '0')}`;
}

/** A T10 vendor ID designator of the unit: 8 characters of vendor, then the vendor's own identifier. */
export function t10Designator(vendor: string, identifier: string): Designator {
  const id = Buffer.from(identifier, 'latin1').subarray(0, 247);
  const value = Buffer.alloc(8 + id.length);
  writeAscii(value, 0, 8, vendor);
  id.copy(value, 8);
  return { codeSet: CodeSet.Ascii, association: Association.LogicalUnit, type: DesignatorType.T10Vendor, value };
}

const ISCSI = 5;

function portNumber(type: number, n: number): Designator {
  const value = Buffer.alloc(4);
  value.writeUInt16BE(n, 2);
  return { codeSet: CodeSet.Binary, association: Association.TargetPort, type, value, protocol: ISCSI };
}

/** The relative identifier of the iSCSI target port, 1 … 65,535. */
export function relativePortDesignator(n: number): Designator {
  return portNumber(DesignatorType.RelativeTargetPort, n);
}

/** The asymmetric-access target port group of the iSCSI target port. */
export function targetPortGroupDesignator(n: number): Designator {
  return portNumber(DesignatorType.TargetPortGroup, n);
}

/** A SCSI name string: an iSCSI target name (device) or `NAME,t,0xTPGT` (port), padded with NULs to 4 bytes. */
export function nameStringDesignator(name: string, association: number): Designator {
  const length = Buffer.byteLength(name) + 1;
  const value = Buffer.alloc(length + (-length & 3));
  value.write(name);
  return { codeSet: CodeSet.Utf8, association, type: DesignatorType.ScsiNameString, value, protocol: ISCSI };
}

/** Whether the IEEE company identifier, 24 bits that start `bit` bits into byte `at`, is there and not 0. */
function hasCompany(value: Buffer, at: number, bit: number): boolean {
  return value.length >= at + 4 && (value.readUInt32BE(at) << bit) >>> 8 !== 0;
}

/**
 * Whether no two units of the world share this designator if their makers keep the rules: an NAA or EUI-64 name under
 * a company identifier, or a UUID. Equal ones are two paths to one unit. Locally assigned names are not (istgt's and
 * tgt's NAA 3h), nor tgt's NAA 6h, whose company identifier is 0: another tgt has the same ones.
 */
export function isWorldwideUnique({ association, type, value }: Designator): boolean {
  if (association !== Association.LogicalUnit) return false;
  if (type === DesignatorType.Uuid) return value.length === 18;
  if (type === DesignatorType.Eui64) return hasCompany(value, value.length === 16 ? 8 : 0, 0);
  if (type !== DesignatorType.Naa || value.length === 0) return false;
  switch (value.readUInt8(0) >> 4) {
    case 2: // IEEE extended: 12 bits of the vendor's before the company
      return value.length === 8 && hasCompany(value, 2, 0);
    case 5: // IEEE registered
      return value.length === 8 && hasCompany(value, 0, 4);
    case 6: // IEEE registered extended
      return value.length === 16 && hasCompany(value, 0, 4);
    default:
      return false;
  }
}

/** How well a designator tells units apart: the worldwide ones first, T10 last; 0 means not at all. */
function rank(designator: Designator): number {
  const { association, type, value } = designator;
  if (association !== Association.LogicalUnit || value.length === 0) return 0;
  const base = isWorldwideUnique(designator) ? 10 : 0;
  switch (type) {
    case DesignatorType.Naa:
      return base + (value.readUInt8(0) >> 4 === 6 ? 6 : 5);
    case DesignatorType.Eui64:
      return base + 4;
    case DesignatorType.Uuid:
      return base + 3;
    case DesignatorType.ScsiNameString:
      return base + 2;
    case DesignatorType.T10Vendor:
      return base + 1;
    default:
      return 0;
  }
}

/** The designator by which to know the logical unit again, or undefined if the page names only ports. */
export function preferredDesignator(list: readonly Designator[]): Designator | undefined {
  let best: Designator | undefined;
  for (const designator of list) {
    if (rank(designator) > (best === undefined ? 0 : rank(best))) best = designator;
  }
  return best;
}

/** One word for people and records: `naa.6001405…`, `eui.…`, `uuid.…`, `t10.…` with `_` for blanks, or a name string. */
export function designatorToText({ type, value }: Designator): string {
  const text = (): string => readAscii(value, 0, value.length).replaceAll(/ +/g, '_');
  switch (type) {
    case DesignatorType.Naa:
      return `naa.${value.toString('hex')}`;
    case DesignatorType.Eui64:
      return `eui.${value.toString('hex')}`;
    case DesignatorType.Uuid:
      return `uuid.${value.toString('hex', 2)}`;
    case DesignatorType.T10Vendor:
      return `t10.${text()}`;
    case DesignatorType.ScsiNameString:
      return text();
    default:
      return `id.${value.toString('hex')}`;
  }
}
