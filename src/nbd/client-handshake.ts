// The client's side of the handshake, for a socket that is handed to the kernel: fixed newstyle, NBD_OPT_GO, simple replies
// (Linux has no structured ones). NBD proto.md "Newstyle negotiation".
import { AppError, ProtocolError } from '../util/errors.js';
import { HandshakeFlag, Info, Magic, nameOf, Option, OptionReply, TransmissionFlag } from './wire/constants.js';
import { emitInfoRequest, OPTION_REPLY_HEADER_LENGTH } from './wire/option.js';

const CLAUSE = 'NBD proto.md "Newstyle negotiation"';
/** NBDMAGIC, IHAVEOPT, handshake flags. */
const GREETING_LENGTH = 18;
/** Of one option reply, bytes: none that matters here comes near. */
const LARGEST_REPLY = 64 * 1024;
/** A server that never comes to an end of its information. */
const MOST_REPLIES = 64;
const ERROR_BIT = 0x8000_0000;

/** What the server has told of the export. */
export interface ExportTerms {
  readonly sizeBytes: number;
  /** "Transmission flags". */
  readonly flags: number;
}

/** What to send, possibly nothing, and how many bytes to read after it: exactly those, for the next byte is the kernel's. */
export interface HandshakeStep {
  readonly send: Buffer;
  readonly need: number;
}

/**
 * Opens the export `name`. Each step's bytes are the value of `next`; after the last one the socket is in transmission.
 * @throws ProtocolError; AppError ERR_NOT_FOUND where the server refuses the export
 */
export function* openExport(name: string): Generator<HandshakeStep, ExportTerms, Buffer> {
  checkGreeting(yield { send: Buffer.alloc(0), need: GREETING_LENGTH });
  let send = Buffer.concat([clientFlags(), emitInfoRequest(Option.Go, name)]);
  let terms: ExportTerms | null = null;
  for (let count = 0; count < MOST_REPLIES; count++) {
    const { type, length } = parseReplyHeader(yield { send, need: OPTION_REPLY_HEADER_LENGTH });
    send = Buffer.alloc(0);
    const data = length === 0 ? send : yield { send, need: length };
    if (type === OptionReply.Info) terms = parseExportInfo(data) ?? terms;
    else if (type === OptionReply.Ack) return checkTerms(terms, name);
    else if (type >= ERROR_BIT) throw refused(name, type, data);
  }
  throw new ProtocolError(CLAUSE, 'no end of option replies');
}

function checkGreeting(b: Buffer): void {
  const magics = [b.readUInt32BE(0), b.readUInt32BE(4), b.readUInt32BE(8), b.readUInt32BE(12)];
  if ([...Magic.nbd, ...Magic.option].some((magic, i) => magics[i] !== magic)) {
    throw new ProtocolError(CLAUSE, 'the server is no newstyle NBD server');
  }
  const wanted = HandshakeFlag.FixedNewstyle | HandshakeFlag.NoZeroes;
  if ((b.readUInt16BE(16) & wanted) !== wanted) throw new ProtocolError(CLAUSE, 'the server has no fixed newstyle');
}

function clientFlags(): Buffer {
  const b = Buffer.alloc(4);
  b.writeUInt32BE(HandshakeFlag.FixedNewstyle | HandshakeFlag.NoZeroes);
  return b;
}

function parseReplyHeader(b: Buffer): { readonly type: number; readonly length: number } {
  if (b.readUInt32BE(0) !== Magic.optionReply[0] || b.readUInt32BE(4) !== Magic.optionReply[1]) {
    throw new ProtocolError(CLAUSE, 'an option reply without its magic number');
  }
  const option = b.readUInt32BE(8);
  const length = b.readUInt32BE(16);
  if (option !== Option.Go) throw new ProtocolError(CLAUSE, `a reply to ${nameOf(Option, option)} instead of Go`);
  if (length > LARGEST_REPLY) throw new ProtocolError(CLAUSE, `an option reply of ${length} bytes`);
  return { type: b.readUInt32BE(12), length };
}

/** Null for information of another kind. */
function parseExportInfo(data: Buffer): ExportTerms | null {
  if (data.length < 2) throw new ProtocolError(CLAUSE, 'NBD_REP_INFO without a type');
  if (data.readUInt16BE(0) !== Info.Export) return null;
  if (data.length !== 12) throw new ProtocolError(CLAUSE, `NBD_INFO_EXPORT of ${data.length} bytes`);
  const size = data.readBigUInt64BE(2);
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw new ProtocolError(CLAUSE, `an export of ${size} bytes`);
  return { sizeBytes: Number(size), flags: data.readUInt16BE(10) };
}

function checkTerms(terms: ExportTerms | null, name: string): ExportTerms {
  if (terms === null) throw new ProtocolError(CLAUSE, `nothing was said of the export ${name}`);
  if ((terms.flags & TransmissionFlag.HasFlags) === 0) throw new ProtocolError(CLAUSE, 'NBD_FLAG_HAS_FLAGS is missing');
  return terms;
}

function refused(name: string, type: number, data: Buffer): AppError {
  const text = data.length === 0 ? '' : `: ${JSON.stringify(data.toString('utf8', 0, 200))}`;
  return new AppError('ERR_NOT_FOUND', `the export ${name} is refused (${nameOf(OptionReply, type)})${text}`);
}
