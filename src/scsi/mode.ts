// Mode parameter lists, SPC-4 §7.5: header (6 and 10), block descriptor and the list of pages, both ways.
import { ProtocolError } from '../util/errors.js';
import { invalidFieldInParameterList, parameterListLengthError } from './check-condition.js';
import { OUT_OF_RANGE, readU64, writeU64 } from './u64.js';

export const ModePageCode = {
  ReadWriteErrorRecovery: 0x01,
  Caching: 0x08,
  Control: 0x0a,
  InformationalExceptions: 0x1c,
  /** All pages. */
  All: 0x3f,
} as const;

/** One page as it is on the wire. */
export interface ModePage {
  readonly code: number;
  /** 0 for the page_0 format. */
  readonly subpage: number;
  /** PS: the values can be saved. */
  readonly savable: boolean;
  /** The page with its header: a view of the parsed bytes. */
  readonly data: Buffer;
}

export interface ModeBlockDescriptor {
  /** Number of blocks; 0 or the field's largest value says nothing; OUT_OF_RANGE (u64.ts) above 2^53 − 1. */
  readonly blocks: number;
  readonly blockSize: number;
}

export interface ModeParameters {
  /** WP of the device-specific parameter, SBC-3 §6.4.1. */
  readonly writeProtected: boolean;
  /** DPOFUA: READ and WRITE take DPO and FUA. */
  readonly dpoFua: boolean;
  readonly mediumType: number;
  readonly blockDescriptor: ModeBlockDescriptor | null;
  readonly pages: readonly ModePage[];
}

const Bit = { WriteProtect: 0x80, DpoFua: 0x10, LongLba: 0x01 } as const;

interface Header {
  readonly length: number;
  readonly mediumType: number;
  readonly deviceSpecific: number;
  readonly longLba: boolean;
  readonly descriptorsLength: number;
}

/** `data` holds at least the 4 or 8 bytes of the header. */
function readHeader(data: Buffer, size: 6 | 10): Header {
  if (size === 6) {
    return {
      length: 4,
      mediumType: data.readUInt8(1),
      deviceSpecific: data.readUInt8(2),
      longLba: false,
      descriptorsLength: data.readUInt8(3),
    };
  }
  return {
    length: 8,
    mediumType: data.readUInt8(2),
    deviceSpecific: data.readUInt8(3),
    longLba: (data.readUInt8(4) & Bit.LongLba) !== 0,
    descriptorsLength: data.readUInt16BE(6),
  };
}

/** The first block descriptor of `b`, or null if it is not whole. */
function readBlockDescriptor(b: Buffer, longLba: boolean): ModeBlockDescriptor | null {
  if (longLba) return b.length < 16 ? null : { blocks: readU64(b, 0), blockSize: b.readUInt32BE(12) };
  return b.length < 8 ? null : { blocks: b.readUInt32BE(0), blockSize: b.readUIntBE(5, 3) };
}

/** Length in bytes of the page at b[at..], header and all, or 0 if its header is not whole. */
function pageLength(b: Buffer, at: number): number {
  if (at + 2 > b.length) return 0;
  if ((b.readUInt8(at) & 0x40) === 0) return 2 + b.readUInt8(at + 1);
  return at + 4 > b.length ? 0 : 4 + b.readUInt16BE(at + 2);
}

/** The whole pages of `b`, and how many bytes they take. */
function readPages(b: Buffer): { pages: ModePage[]; end: number } {
  const pages: ModePage[] = [];
  let at = 0;
  for (let length = pageLength(b, 0); length > 0 && at + length <= b.length; length = pageLength(b, at)) {
    const byte0 = b.readUInt8(at);
    pages.push({
      code: byte0 & 0x3f,
      subpage: (byte0 & 0x40) === 0 ? 0 : b.readUInt8(at + 1),
      savable: (byte0 & 0x80) !== 0,
      data: b.subarray(at, at + length),
    });
    at += length;
  }
  return { pages, end: at };
}

/** What `header` says of the list as a whole; `pages` follow from the caller, who knows how strict to be. */
function toParameters(header: Header, descriptors: Buffer, pages: readonly ModePage[]): ModeParameters {
  return {
    writeProtected: (header.deviceSpecific & Bit.WriteProtect) !== 0,
    dpoFua: (header.deviceSpecific & Bit.DpoFua) !== 0,
    mediumType: header.mediumType,
    blockDescriptor: readBlockDescriptor(descriptors, header.longLba),
    pages,
  };
}

/**
 * MODE SENSE data: what the MODE DATA LENGTH and the bytes at hand hold of it, a page cut off left out.
 * @throws ProtocolError if not even the header (4 or 8 bytes) is there
 */
export function parseModeSense(data: Buffer, size: 6 | 10): ModeParameters {
  const headerLength = size === 6 ? 4 : 8;
  if (data.length < headerLength) throw new ProtocolError('SPC-4 §7.5.5', `MODE SENSE data of ${data.length} bytes`);
  const end = size === 6 ? 1 + data.readUInt8(0) : 2 + data.readUInt16BE(0);
  const header = readHeader(data, size);
  const list = data.subarray(headerLength, Math.max(headerLength, end));
  const descriptors = list.subarray(0, header.descriptorsLength);
  return toParameters(header, descriptors, readPages(list.subarray(header.descriptorsLength)).pages);
}

/**
 * The parameter list of a MODE SELECT; no bytes at all are an empty list.
 * @throws CheckCondition 05/1A/00 where the header, the block descriptor or a page is cut off, 05/26/00 where the
 * block descriptor length is none of 0, 8 and 16 as LONGLBA says
 */
export function parseModeSelect(list: Buffer, size: 6 | 10): ModeParameters {
  const clause = 'SPC-4 §6.9';
  if (list.length === 0) {
    return { writeProtected: false, dpoFua: false, mediumType: 0, blockDescriptor: null, pages: [] };
  }
  if (list.length < (size === 6 ? 4 : 8)) throw parameterListLengthError(clause);
  const header = readHeader(list, size);
  if (header.descriptorsLength !== 0 && header.descriptorsLength !== (header.longLba ? 16 : 8)) {
    throw invalidFieldInParameterList(clause, size === 6 ? 3 : 6);
  }
  const pagesAt = header.length + header.descriptorsLength;
  if (pagesAt > list.length) throw parameterListLengthError(clause);
  const { pages, end } = readPages(list.subarray(pagesAt));
  if (pagesAt + end !== list.length) throw parameterListLengthError(clause);
  return toParameters(header, list.subarray(header.length, pagesAt), pages);
}

/** The page with this code, or undefined. */
export function findModePage(parameters: ModeParameters, code: number, subpage = 0): ModePage | undefined {
  return parameters.pages.find((page) => page.code === code && page.subpage === subpage);
}

export interface ModeList {
  readonly size: 6 | 10;
  readonly writeProtected: boolean;
  readonly dpoFua: boolean;
  /** null: DBD, or a MODE SELECT that changes none. */
  readonly blockDescriptor: ModeBlockDescriptor | null;
  /** Whether the block descriptor is the long one; size 10 only. */
  readonly longLba?: boolean;
  /** Whole pages, as those of mode-pages.ts. */
  readonly pages: readonly Buffer[];
}

function buildBlockDescriptor({ blocks, blockSize }: ModeBlockDescriptor, longLba: boolean): Buffer {
  const b = Buffer.alloc(longLba ? 16 : 8);
  if (longLba) {
    if (blocks !== OUT_OF_RANGE) writeU64(b, 0, blocks);
    b.writeUInt32BE(blockSize, 12);
  } else {
    b.writeUInt32BE(Math.min(blocks, 0xffff_ffff), 0);
    b.writeUIntBE(blockSize, 5, 3);
  }
  return b;
}

function buildList(list: ModeList, withLength: boolean): Buffer {
  const longLba = list.size === 10 && list.longLba === true;
  const descriptor =
    list.blockDescriptor === null ? Buffer.alloc(0) : buildBlockDescriptor(list.blockDescriptor, longLba);
  const header = Buffer.alloc(list.size === 6 ? 4 : 8);
  const whole = Buffer.concat([header, descriptor, ...list.pages]);
  const deviceSpecific = (list.writeProtected ? Bit.WriteProtect : 0) | (list.dpoFua ? Bit.DpoFua : 0);
  if (list.size === 6) {
    whole[0] = withLength ? Math.min(255, whole.length - 1) : 0;
    whole[2] = deviceSpecific;
    whole[3] = descriptor.length;
  } else {
    whole.writeUInt16BE(withLength ? whole.length - 2 : 0, 0);
    whole[3] = deviceSpecific;
    whole[4] = longLba ? Bit.LongLba : 0;
    whole.writeUInt16BE(descriptor.length, 6);
  }
  return whole;
}

/** MODE SENSE data, whole: the caller cuts it to the allocation length. */
export function buildModeSense(list: ModeList): Buffer {
  return buildList(list, true);
}

/** The parameter list for a MODE SELECT: MODE DATA LENGTH is reserved there. The pages must have PS = 0. */
export function buildModeSelect(list: Pick<ModeList, 'size' | 'blockDescriptor' | 'pages'>): Buffer {
  return buildList({ ...list, writeProtected: false, dpoFua: false }, false);
}
