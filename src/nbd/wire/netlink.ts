// Generic netlink messages, netlink(7) and linux/genetlink.h: what the kernel is asked and what it answers. Numbers are in the
// byte order of the machine; the socket is opened on little-endian ones only.
import { ProtocolError } from '../../util/errors.js';

const CLAUSE = 'netlink(7)';
/** nlmsghdr, then genlmsghdr. */
const HEADER = 16;
const GENERIC_HEADER = 4;
const ATTRIBUTE_HEADER = 4;
/** The upper two bits of an attribute's type are flags (linux/netlink.h NLA_TYPE_MASK). */
const ATTRIBUTE_TYPE_MASK = 0x3fff;

const MessageType = { Noop: 1, Error: 2, Done: 3, Overrun: 4 } as const;
const REQUEST_AND_ACK = 0x1 | 0x4;

export interface GenericRequest {
  /** Message type: the family's number. */
  readonly family: number;
  readonly command: number;
  /** Chosen by the sender, 32 bits; comes back with every answer. */
  readonly sequence: number;
  /** As made by `attribute32` and so on. */
  readonly attributes: readonly Buffer[];
}

/** A request that the kernel acknowledges. */
export function emitRequest({ family, command, sequence, attributes }: GenericRequest): Buffer {
  const header = Buffer.alloc(HEADER + GENERIC_HEADER);
  const message = Buffer.concat([header, ...attributes]);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(family, 4);
  message.writeUInt16LE(REQUEST_AND_ACK, 6);
  message.writeUInt32LE(sequence, 8);
  message.writeUInt8(command, HEADER);
  // Version 1, of nbd and of the controller alike.
  message.writeUInt8(1, HEADER + 1);
  return message;
}

export function attribute32(type: number, value: number): Buffer {
  const data = Buffer.alloc(4);
  data.writeUInt32LE(value >>> 0);
  return attribute(type, data);
}

export function attribute64(type: number, value: number): Buffer {
  const data = Buffer.alloc(8);
  data.writeBigUInt64LE(BigInt(value));
  return attribute(type, data);
}

/** With its final zero, as NLA_NUL_STRING needs it and NLA_STRING allows. */
export function attributeText(type: number, text: string): Buffer {
  return attribute(type, Buffer.from(`${text}\0`));
}

export function attributeNest(type: number, attributes: readonly Buffer[]): Buffer {
  return attribute(type, Buffer.concat(attributes));
}

function attribute(type: number, data: Buffer): Buffer {
  const length = ATTRIBUTE_HEADER + data.length;
  const b = Buffer.alloc(aligned(length));
  b.writeUInt16LE(length, 0);
  b.writeUInt16LE(type, 2);
  data.copy(b, ATTRIBUTE_HEADER);
  return b;
}

export type GenericAnswer =
  /** The request has been carried out (`errno` 0) or refused; the last answer to it. */
  | { readonly kind: 'end'; readonly sequence: number; readonly errno: number }
  | {
      readonly kind: 'message';
      readonly sequence: number;
      readonly family: number;
      readonly command: number;
      /** By type; the last one of a type counts. Views of the datagram. */
      readonly attributes: ReadonlyMap<number, Buffer>;
    };

/** The answers in one datagram. @throws ProtocolError for lengths that contradict each other */
export function parseAnswers(datagram: Buffer): GenericAnswer[] {
  const answers: GenericAnswer[] = [];
  for (let rest = datagram; rest.length > 0; ) {
    if (rest.length < HEADER) throw short('message');
    const length = rest.readUInt32LE(0);
    if (length < HEADER || length > rest.length) throw short('message');
    const answer = parseAnswer(rest.subarray(0, length));
    if (answer !== null) answers.push(answer);
    rest = rest.subarray(Math.min(aligned(length), rest.length));
  }
  return answers;
}

function parseAnswer(message: Buffer): GenericAnswer | null {
  const family = message.readUInt16LE(4);
  const sequence = message.readUInt32LE(8);
  const body = message.subarray(HEADER);
  if (family === MessageType.Noop) return null;
  if (family === MessageType.Overrun) throw new ProtocolError(CLAUSE, 'the kernel has lost answers');
  if (family === MessageType.Done) return { kind: 'end', sequence, errno: 0 };
  if (body.length < GENERIC_HEADER) throw short('message');
  // struct nlmsgerr: a negative error number, or 0 for an acknowledgement.
  if (family === MessageType.Error) return { kind: 'end', sequence, errno: Math.abs(body.readInt32LE(0)) };
  const attributes = parseAttributes(body.subarray(GENERIC_HEADER));
  return { kind: 'message', sequence, family, command: body.readUInt8(0), attributes };
}

function parseAttributes(bytes: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let rest = bytes; rest.length > 0; ) {
    if (rest.length < ATTRIBUTE_HEADER) throw short('attribute');
    const length = rest.readUInt16LE(0);
    if (length < ATTRIBUTE_HEADER || length > rest.length) throw short('attribute');
    attributes.set(rest.readUInt16LE(2) & ATTRIBUTE_TYPE_MASK, rest.subarray(ATTRIBUTE_HEADER, length));
    rest = rest.subarray(Math.min(aligned(length), rest.length));
  }
  return attributes;
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}

function short(what: string): ProtocolError {
  return new ProtocolError(CLAUSE, `a ${what} of a wrong length`);
}
