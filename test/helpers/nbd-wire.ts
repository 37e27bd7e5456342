// The client's side of the NBD protocol for tests: builds what a client sends, reads what a server answers.
import assert from 'node:assert/strict';
import { Magic, REQUEST_MAGIC, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC } from '../../src/nbd/wire/constants.js';

export function clientFlags(flags: number): Buffer {
  const b = Buffer.alloc(4);
  b.writeUInt32BE(flags);
  return b;
}

export function option(code: number, data: Buffer | string = '', length?: number): Buffer {
  const bytes = Buffer.from(data);
  const b = Buffer.alloc(16);
  b.writeUInt32BE(Magic.option[0], 0);
  b.writeUInt32BE(Magic.option[1], 4);
  b.writeUInt32BE(code, 8);
  b.writeUInt32BE(length ?? bytes.length, 12);
  return Buffer.concat([b, bytes]);
}

/** The data of INFO and GO. */
export function infoData(name: string | Buffer, types: readonly number[] = []): Buffer {
  const bytes = Buffer.from(name);
  const b = Buffer.alloc(4 + bytes.length + 2 + 2 * types.length);
  b.writeUInt32BE(bytes.length, 0);
  bytes.copy(b, 4);
  b.writeUInt16BE(types.length, 4 + bytes.length);
  for (const [i, type] of types.entries()) b.writeUInt16BE(type, 6 + bytes.length + 2 * i);
  return b;
}

/** The data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function metaContextData(name: string | Buffer, queries: readonly (string | Buffer)[] = []): Buffer {
  const strings = [Buffer.from(name), ...queries.map((query) => Buffer.from(query))].map((bytes) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  });
  const count = Buffer.alloc(4);
  count.writeUInt32BE(queries.length);
  return Buffer.concat([strings[0] ?? count, count, ...strings.slice(1)]);
}

export interface RequestFields {
  type: number;
  flags?: number;
  cookie?: bigint;
  offset?: number | bigint;
  length?: number;
  payload?: Buffer;
}

export function request({ type, flags = 0, cookie = 1n, offset = 0, length, payload }: RequestFields): Buffer {
  const b = Buffer.alloc(28);
  b.writeUInt32BE(REQUEST_MAGIC, 0);
  b.writeUInt16BE(flags, 4);
  b.writeUInt16BE(type, 6);
  b.writeBigUInt64BE(cookie, 8);
  b.writeBigUInt64BE(BigInt(offset), 16);
  b.writeUInt32BE(length ?? payload?.length ?? 0, 24);
  return payload ? Buffer.concat([b, payload]) : b;
}

export interface OptionReplyFields {
  option: number;
  type: number;
  data: Buffer;
}

/** All option replies in `bytes`, which must hold nothing else. */
export function readOptionReplies(bytes: Buffer): OptionReplyFields[] {
  const replies: OptionReplyFields[] = [];
  for (let at = 0; at < bytes.length; ) {
    assert.equal(bytes.readUInt32BE(at), Magic.optionReply[0]);
    assert.equal(bytes.readUInt32BE(at + 4), Magic.optionReply[1]);
    const length = bytes.readUInt32BE(at + 16);
    const data = bytes.subarray(at + 20, at + 20 + length);
    assert.equal(data.length, length, 'a reply is whole');
    replies.push({ option: bytes.readUInt32BE(at + 8), type: bytes.readUInt32BE(at + 12), data });
    at += 20 + length;
  }
  return replies;
}

/** What a client knows after the last chunk of a reply. */
export interface Answer {
  cookie: bigint;
  error: number;
  message: string;
  /** READ: the data by its place in the export. */
  data: { offset: number; bytes: Buffer; hole?: true }[];
  /** BLOCK_STATUS: the context's id, and of each extent its length and flags. */
  status?: { context: number; extents: [length: number, flags: number][] };
  /** Structured chunks, or 0 for a simple reply. */
  chunks: number;
}

/**
 * All replies in `bytes`, which must hold nothing else and end with whole replies, in the order in which they end.
 * `readLengths` gives the length of each pending READ by its cookie: without it a simple reply's data cannot be told apart.
 */
export function readAnswers(bytes: Buffer, readLengths: ReadonlyMap<bigint, number> = new Map()): Answer[] {
  const answers: Answer[] = [];
  const open = new Map<bigint, Answer>();
  for (let at = 0; at < bytes.length; ) {
    const magic = bytes.readUInt32BE(at);
    const cookie = bytes.readBigUInt64BE(at + 8);
    if (magic === SIMPLE_REPLY_MAGIC) {
      const error = bytes.readUInt32BE(at + 4);
      const length = error === 0 ? (readLengths.get(cookie) ?? 0) : 0;
      const data = length > 0 ? [{ offset: -1, bytes: bytes.subarray(at + 16, at + 16 + length) }] : [];
      assert.equal(data[0]?.bytes.length ?? 0, length, 'a reply is whole');
      answers.push({ cookie, error, message: '', data, chunks: 0 });
      at += 16 + length;
      continue;
    }
    assert.equal(magic, STRUCTURED_REPLY_MAGIC);
    const length = bytes.readUInt32BE(at + 16);
    const payload = bytes.subarray(at + 20, at + 20 + length);
    assert.equal(payload.length, length, 'a chunk is whole');
    const answer = open.get(cookie) ?? { cookie, error: 0, message: '', data: [], chunks: 0 };
    open.set(cookie, answer);
    answer.chunks++;
    readChunk(answer, bytes.readUInt16BE(at + 6), payload);
    if (bytes.readUInt16BE(at + 4) & 1) {
      open.delete(cookie);
      answers.push(answer);
    }
    at += 20 + length;
  }
  assert.equal(open.size, 0, 'every reply ends');
  return answers;
}

function readChunk(answer: Answer, type: number, payload: Buffer): void {
  if (type === 0) {
    assert.equal(payload.length, 0);
  } else if (type === 1) {
    assert.ok(payload.length > 8);
    answer.data.push({ offset: Number(payload.readBigUInt64BE(0)), bytes: payload.subarray(8) });
  } else if (type === 2) {
    assert.equal(payload.length, 12);
    const bytes = Buffer.alloc(payload.readUInt32BE(8));
    assert.ok(bytes.length > 0);
    answer.data.push({ offset: Number(payload.readBigUInt64BE(0)), bytes, hole: true });
  } else if (type === 5) {
    assert.ok(payload.length > 4 && payload.length % 8 === 4);
    assert.equal(answer.status, undefined, 'one chunk for each context');
    const extents: [number, number][] = [];
    for (let at = 4; at < payload.length; at += 8)
      extents.push([payload.readUInt32BE(at), payload.readUInt32BE(at + 4)]);
    assert.ok(extents.every(([length]) => length > 0));
    answer.status = { context: payload.readUInt32BE(0), extents };
  } else {
    assert.equal(type, 0x8001);
    answer.error = payload.readUInt32BE(0);
    assert.notEqual(answer.error, 0);
    assert.equal(payload.readUInt16BE(4), payload.length - 6);
    answer.message = payload.toString('utf8', 6);
  }
}

/** The data of a READ from `offset`, put together; fails unless it is exactly `length` bytes. */
export function assemble(answer: Answer, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  for (const part of answer.data) {
    const at = part.offset < 0 ? 0 : part.offset - offset;
    assert.ok(at >= 0 && at + part.bytes.length <= length);
    part.bytes.copy(bytes, at);
    filled += part.bytes.length;
  }
  assert.equal(filled, length);
  return bytes;
}
