// Vital product data, SPC-4 §7.8: the header that all pages share, and the pages 00h (supported pages), 80h (unit
// serial number) and 86h (extended INQUIRY data). Page 83h is in designator.ts, B0h–B2h are in vpd-block.ts.
import { ProtocolError } from '../util/errors.js';
import { readAscii } from './ascii.js';

export const VpdPage = {
  SupportedPages: 0x00,
  UnitSerialNumber: 0x80,
  DeviceIdentification: 0x83,
  ExtendedInquiry: 0x86,
  BlockLimits: 0xb0,
  BlockDeviceCharacteristics: 0xb1,
  LogicalBlockProvisioning: 0xb2,
} as const;

/**
 * What follows the 4-byte header of a page: as much as PAGE LENGTH says and `data` holds.
 * @throws ProtocolError below 4 bytes, or if it is another page (units that do not know EVPD send standard data)
 */
export function vpdBody(data: Buffer, page: number): Buffer {
  if (data.length < 4) throw new ProtocolError('SPC-4 §7.8', `a VPD page of ${data.length} bytes`);
  if (data.readUInt8(1) !== page) {
    const [asked, got] = [page, data.readUInt8(1)].map((n) => n.toString(16).padStart(2, '0'));
    throw new ProtocolError('SPC-4 §7.8', `VPD page ${got}h in answer to ${asked}h`);
  }
  return data.subarray(4, 4 + data.readUInt16BE(2));
}

/** Bytes that the whole page takes by its header; more than were given means: ask again with this length. */
export function vpdCompleteLength(data: Buffer): number {
  return data.length < 4 ? 4 : 4 + data.readUInt16BE(2);
}

/** A page of a connected block device around `body`; the caller cuts it to the allocation length. */
export function buildVpd(page: number, body: Buffer): Buffer {
  const b = Buffer.allocUnsafe(4 + body.length);
  b[0] = 0;
  b[1] = page;
  b.writeUInt16BE(body.length, 2);
  body.copy(b, 4);
  return b;
}

/** Page 00h: the page codes in the order received. */
export function parseSupportedPages(data: Buffer): number[] {
  return [...vpdBody(data, VpdPage.SupportedPages)];
}

/** Page 00h; SPC-4 wants the codes in ascending order. */
export function buildSupportedPages(pages: readonly number[]): Buffer {
  return buildVpd(VpdPage.SupportedPages, Buffer.from(pages));
}

/** Page 80h: the serial number, printable ASCII without padding (LIO adds a NUL, others blanks). */
export function parseUnitSerial(data: Buffer): string {
  const body = vpdBody(data, VpdPage.UnitSerialNumber);
  return readAscii(body, 0, body.length);
}

/** Page 80h. */
export function buildUnitSerial(serial: string): Buffer {
  return buildVpd(VpdPage.UnitSerialNumber, Buffer.from(serial, 'latin1'));
}

/** Page 86h, SPC-4 §7.8.7: the fields that concern queueing and caches. */
export interface ExtendedInquiry {
  readonly headOfQueue: boolean;
  readonly ordered: boolean;
  readonly simple: boolean;
  /** NV_SUP: the unit has a non-volatile cache. */
  readonly nonVolatileCache: boolean;
  /** V_SUP: the unit has a volatile cache. */
  readonly volatileCache: boolean;
  /** LUICLR: a unit attention for this nexus clears on it alone. */
  readonly nexusClear: boolean;
}

/** Page 86h; bytes that a short page lacks read as 0. */
export function parseExtendedInquiry(data: Buffer): ExtendedInquiry {
  const body = vpdBody(data, VpdPage.ExtendedInquiry);
  const [, queueing = 0, caches = 0, clearing = 0] = body;
  return {
    headOfQueue: (queueing & 4) !== 0,
    ordered: (queueing & 2) !== 0,
    simple: (queueing & 1) !== 0,
    nonVolatileCache: (caches & 2) !== 0,
    volatileCache: (caches & 1) !== 0,
    nexusClear: (clearing & 1) !== 0,
  };
}

/** Page 86h, 64 bytes. */
export function buildExtendedInquiry(page: ExtendedInquiry): Buffer {
  const body = Buffer.alloc(60);
  body[1] = (page.headOfQueue ? 4 : 0) | (page.ordered ? 2 : 0) | (page.simple ? 1 : 0);
  body[2] = (page.nonVolatileCache ? 2 : 0) | (page.volatileCache ? 1 : 0);
  body[3] = page.nexusClear ? 1 : 0;
  return buildVpd(VpdPage.ExtendedInquiry, body);
}
