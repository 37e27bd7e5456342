// Simple replies and structured reply chunks, NBD proto.md "Simple reply message" and "Structured reply chunk message".
// Emitters write into memory of the caller and allocate nothing.
import { ReplyFlag, ReplyType, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC } from './constants.js';

/** Bytes of a simple reply without data. */
export const SIMPLE_REPLY_LENGTH = 16;
/** Bytes of a structured chunk's header. */
export const CHUNK_HEADER_LENGTH = 20;
/** Bytes before the data of an NBD_REPLY_TYPE_OFFSET_DATA chunk: header and offset. */
export const DATA_CHUNK_LENGTH = CHUNK_HEADER_LENGTH + 8;
/** Bytes before the message of an NBD_REPLY_TYPE_ERROR chunk. */
export const ERROR_CHUNK_LENGTH = CHUNK_HEADER_LENGTH + 6;
/** Bytes of an NBD_REPLY_TYPE_OFFSET_HOLE chunk. */
export const HOLE_CHUNK_LENGTH = CHUNK_HEADER_LENGTH + 12;
/** Bytes before the descriptors of an NBD_REPLY_TYPE_BLOCK_STATUS chunk, and those of each. */
export const BLOCK_STATUS_CHUNK_LENGTH = CHUNK_HEADER_LENGTH + 4;
export const DESCRIPTOR_LENGTH = 8;

/** A simple reply's header; with error 0 the data of a READ follows. */
export function emitSimpleReply(b: Buffer, at: number, error: number, cookieHigh: number, cookieLow: number): void {
  b.writeUInt32BE(SIMPLE_REPLY_MAGIC, at);
  b.writeUInt32BE(error, at + 4);
  b.writeUInt32BE(cookieHigh, at + 8);
  b.writeUInt32BE(cookieLow, at + 12);
}

function emitChunkHeader(
  b: Buffer,
  at: number,
  flags: number,
  type: number,
  high: number,
  low: number,
  length: number,
): void {
  b.writeUInt32BE(STRUCTURED_REPLY_MAGIC, at);
  b.writeUInt16BE(flags, at + 4);
  b.writeUInt16BE(type, at + 6);
  b.writeUInt32BE(high, at + 8);
  b.writeUInt32BE(low, at + 12);
  b.writeUInt32BE(length, at + 16);
}

/** NBD_REPLY_TYPE_NONE: the end of a reply, CHUNK_HEADER_LENGTH bytes. */
export function emitNoneChunk(b: Buffer, at: number, high: number, low: number): void {
  emitChunkHeader(b, at, ReplyFlag.Done, ReplyType.None, high, low, 0);
}

/** NBD_REPLY_TYPE_OFFSET_DATA up to its data of `length` bytes. `offset` counts from the start of the export. */
export function emitDataChunk(
  b: Buffer,
  at: number,
  flags: number,
  high: number,
  low: number,
  offset: number,
  length: number,
): void {
  emitChunkHeader(b, at, flags, ReplyType.OffsetData, high, low, length + 8);
  emitOffset(b, at + CHUNK_HEADER_LENGTH, offset);
}
function emitOffset(b: Buffer, at: number, offset: number): void {
  b.writeUInt32BE(Math.floor(offset / 2 ** 32), at);
  b.writeUInt32BE(offset >>> 0, at + 4);
}

/** NBD_REPLY_TYPE_OFFSET_HOLE: `length` zeros, not sent. */
export function emitHoleChunk(
  b: Buffer,
  at: number,
  flags: number,
  high: number,
  low: number,
  offset: number,
  length: number,
): void {
  emitChunkHeader(b, at, flags, ReplyType.OffsetHole, high, low, 12);
  emitOffset(b, at + CHUNK_HEADER_LENGTH, offset);
  b.writeUInt32BE(length, at + CHUNK_HEADER_LENGTH + 8);
}

/** NBD_REPLY_TYPE_BLOCK_STATUS as a whole reply, up to its `count` descriptors. */
export function emitBlockStatusChunk(
  b: Buffer,
  at: number,
  high: number,
  low: number,
  contextId: number,
  count: number,
): void {
  emitChunkHeader(b, at, ReplyFlag.Done, ReplyType.BlockStatus, high, low, 4 + DESCRIPTOR_LENGTH * count);
  b.writeUInt32BE(contextId, at + CHUNK_HEADER_LENGTH);
}
/** One descriptor: an extent of `length` bytes, below 2^32, and its status flags. */
export function emitDescriptor(b: Buffer, at: number, length: number, flags: number): void {
  b.writeUInt32BE(length, at);
  b.writeUInt32BE(flags, at + 4);
}

/** NBD_REPLY_TYPE_ERROR as the end of a reply, up to its message of `messageLength` bytes. */
export function emitErrorChunk(
  b: Buffer,
  at: number,
  error: number,
  high: number,
  low: number,
  messageLength: number,
): void {
  emitChunkHeader(b, at, ReplyFlag.Done, ReplyType.Error, high, low, 6 + messageLength);
  b.writeUInt32BE(error, at + CHUNK_HEADER_LENGTH);
  b.writeUInt16BE(messageLength, at + CHUNK_HEADER_LENGTH + 4);
}
