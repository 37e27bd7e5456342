// The request header of the transmission phase, NBD proto.md "Request message": read by field, nothing allocated.

import { REQUEST_MAGIC } from './constants.js';

/** Bytes of a request header. */
export const REQUEST_LENGTH = 28;

const at = { magic: 0, flags: 4, type: 6, cookie: 8, offset: 16, length: 24 } as const;

export function requestMagic(b: Buffer, base: number): number {
  return b.readUInt32BE(base + at.magic);
}
export function requestFlags(b: Buffer, base: number): number {
  return b.readUInt16BE(base + at.flags);
}
export function requestType(b: Buffer, base: number): number {
  return b.readUInt16BE(base + at.type);
}
/** The cookie is 8 opaque bytes; its halves are numbers so that keeping it allocates nothing. */
export function requestCookieHigh(b: Buffer, base: number): number {
  return b.readUInt32BE(base + at.cookie);
}
export function requestCookieLow(b: Buffer, base: number): number {
  return b.readUInt32BE(base + at.cookie + 4);
}
/** Exact up to 2^53. Above, it is rounded and still far beyond every disk, so a range check refuses it all the same. */
export function requestOffset(b: Buffer, base: number): number {
  return b.readUInt32BE(base + at.offset) * 2 ** 32 + b.readUInt32BE(base + at.offset + 4);
}
export function requestLength(b: Buffer, base: number): number {
  return b.readUInt32BE(base + at.length);
}

/** Writes a header at `b[base]`. `offset` and `length` in bytes. */
export function emitRequest(
  b: Buffer,
  base: number,
  flags: number,
  type: number,
  cookieHigh: number,
  cookieLow: number,
  offset: number,
  length: number,
): void {
  b.writeUInt32BE(REQUEST_MAGIC, base + at.magic);
  b.writeUInt16BE(flags, base + at.flags);
  b.writeUInt16BE(type, base + at.type);
  b.writeUInt32BE(cookieHigh, base + at.cookie);
  b.writeUInt32BE(cookieLow, base + at.cookie + 4);
  b.writeUInt32BE(Math.floor(offset / 2 ** 32), base + at.offset);
  b.writeUInt32BE(offset % 2 ** 32, base + at.offset + 4);
  b.writeUInt32BE(length, base + at.length);
}
