// Option haggling: the header of an option, the data of INFO and GO, and the replies. NBD proto.md "Newstyle negotiation".
import { ProtocolError } from '../../util/errors.js';
import { Info, Magic } from './constants.js';

/** Bytes of an option's header: magic, option, length. */
export const OPTION_HEADER_LENGTH = 16;
/** Bytes of an option reply's header: magic, option, type, length. */
export const OPTION_REPLY_HEADER_LENGTH = 20;

export interface OptionHeader {
  readonly option: number;
  /** Bytes of data that follow. */
  readonly length: number;
}

/** `b` holds a whole header. A wrong magic is a ProtocolError: nothing after it can be understood. */
export function parseOptionHeader(b: Buffer): OptionHeader {
  if (b.readUInt32BE(0) !== Magic.option[0] || b.readUInt32BE(4) !== Magic.option[1]) {
    throw new ProtocolError('NBD proto.md "Newstyle negotiation"', 'an option without its magic number');
  }
  return { option: b.readUInt32BE(8), length: b.readUInt32BE(12) };
}

export interface InfoRequest {
  /** Not yet checked to be UTF-8. */
  readonly name: Buffer;
  /** The information types asked for, unknown ones included. */
  readonly types: readonly number[];
}

/** The data of NBD_OPT_INFO and NBD_OPT_GO, or null if its lengths contradict each other. */
export function parseInfoRequest(data: Buffer): InfoRequest | null {
  if (data.length < 6) return null;
  const nameLength = data.readUInt32BE(0);
  if (nameLength > data.length - 6) return null;
  const count = data.readUInt16BE(4 + nameLength);
  if (data.length !== 6 + nameLength + 2 * count) return null;
  const types = Array.from({ length: count }, (_, i) => data.readUInt16BE(6 + nameLength + 2 * i));
  return { name: data.subarray(4, 4 + nameLength), types };
}

/** One option, header and data. */
export function emitOption(option: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const b = Buffer.alloc(OPTION_HEADER_LENGTH + data.length);
  b.writeUInt32BE(Magic.option[0], 0);
  b.writeUInt32BE(Magic.option[1], 4);
  b.writeUInt32BE(option, 8);
  b.writeUInt32BE(data.length, 12);
  data.copy(b, OPTION_HEADER_LENGTH);
  return b;
}

/** NBD_OPT_INFO or NBD_OPT_GO for `name` with a wish for information of these `types`, header and data. */
export function emitInfoRequest(option: number, name: string, types: readonly number[] = []): Buffer {
  const nameBytes = Buffer.from(name);
  const data = Buffer.alloc(4 + nameBytes.length + 2 + 2 * types.length);
  data.writeUInt32BE(nameBytes.length, 0);
  nameBytes.copy(data, 4);
  data.writeUInt16BE(types.length, 4 + nameBytes.length);
  for (const [i, type] of types.entries()) data.writeUInt16BE(type, 6 + nameBytes.length + 2 * i);
  return emitOption(option, data);
}

/** One reply to an option, header and data. */
export function emitOptionReply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const b = Buffer.alloc(OPTION_REPLY_HEADER_LENGTH + data.length);
  b.writeUInt32BE(Magic.optionReply[0], 0);
  b.writeUInt32BE(Magic.optionReply[1], 4);
  b.writeUInt32BE(option, 8);
  b.writeUInt32BE(type, 12);
  b.writeUInt32BE(data.length, 16);
  data.copy(b, OPTION_REPLY_HEADER_LENGTH);
  return b;
}

/** The data of NBD_REP_SERVER: one export of a list. */
export function emitServerData(name: string, description: string): Buffer {
  const nameBytes = Buffer.from(name);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(nameBytes.length);
  return Buffer.concat([length, nameBytes, Buffer.from(description)]);
}

/** The data of NBD_INFO_EXPORT. `size` in bytes. */
export function emitExportInfo(size: number, flags: number): Buffer {
  const b = Buffer.alloc(12);
  b.writeUInt16BE(Info.Export, 0);
  b.writeBigUInt64BE(BigInt(size), 2);
  b.writeUInt16BE(flags, 10);
  return b;
}

/** The data of NBD_INFO_NAME and NBD_INFO_DESCRIPTION. */
export function emitTextInfo(type: number, text: string): Buffer {
  const bytes = Buffer.from(text);
  const b = Buffer.alloc(2 + bytes.length);
  b.writeUInt16BE(type, 0);
  bytes.copy(b, 2);
  return b;
}

/** The data of NBD_INFO_BLOCK_SIZE, in bytes ("Size constraints"). */
export function emitBlockSizeInfo(minimum: number, preferred: number, maximum: number): Buffer {
  const b = Buffer.alloc(14);
  b.writeUInt16BE(Info.BlockSize, 0);
  b.writeUInt32BE(minimum, 2);
  b.writeUInt32BE(preferred, 6);
  b.writeUInt32BE(maximum, 10);
  return b;
}
