// The data of NBD_OPT_LIST_META_CONTEXT, NBD_OPT_SET_META_CONTEXT and NBD_REP_META_CONTEXT. NBD proto.md "Option types".

import { emitOption } from './option.js';

export interface MetaContextRequest {
  /** Views, not yet checked to be UTF-8. */
  readonly name: Buffer;
  readonly queries: readonly Buffer[];
}

/** Null if the lengths contradict each other or the data's own. */
export function parseMetaContextRequest(data: Buffer): MetaContextRequest | null {
  const name = stringAt(data, 0);
  if (name === null || data.length < 4 + name.length + 4) return null;
  let at = 4 + name.length;
  const count = data.readUInt32BE(at);
  at += 4;
  // Each query takes four bytes at least: a count alone makes nothing grow.
  if (count > (data.length - at) / 4) return null;
  const queries: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const query = stringAt(data, at);
    if (query === null) return null;
    queries.push(query);
    at += 4 + query.length;
  }
  return at === data.length ? { name, queries } : null;
}

/** A length and so many bytes, or null if they are not all there. */
function stringAt(data: Buffer, at: number): Buffer | null {
  if (data.length < at + 4) return null;
  const length = data.readUInt32BE(at);
  return length > data.length - at - 4 ? null : data.subarray(at + 4, at + 4 + length);
}

/** The data of NBD_REP_META_CONTEXT. */
export function emitMetaContext(id: number, name: string): Buffer {
  const b = lengthAndText(name);
  b.writeUInt32BE(id);
  return b;
}

/** NBD_OPT_LIST_META_CONTEXT or NBD_OPT_SET_META_CONTEXT, header and data. */
export function emitMetaContextRequest(option: number, name: string, queries: readonly string[]): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(queries.length);
  return emitOption(option, Buffer.concat([lengthAndText(name), count, ...queries.map(lengthAndText)]));
}
function lengthAndText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const b = Buffer.alloc(4 + bytes.length);
  b.writeUInt32BE(bytes.length);
  bytes.copy(b, 4);
  return b;
}
