// The client's side of the handshake: fixed newstyle, NBD_OPT_GO. A socket that is handed to the kernel gets nothing more
// (Linux has simple replies only); our own client wishes for more. NBD proto.md "Newstyle negotiation".
import { AppError, ProtocolError } from '../../util/errors.js';
import { ALLOCATION } from '../meta-context.js';
import { HandshakeFlag, Info, Magic, nameOf, Option, OptionReply, TransmissionFlag } from '../wire/constants.js';
import { emitMetaContextRequest } from '../wire/meta-context.js';
import { emitInfoRequest, emitOption, OPTION_REPLY_HEADER_LENGTH } from '../wire/option.js';

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
  /** Replies to READs come as structured chunks. */
  readonly structuredReplies: boolean;
  /** The id of base:allocation; null where the server has no such context. */
  readonly allocation: number | null;
  /** "Size constraints", in bytes; null where the server has told none. */
  readonly blockSizes: BlockSizes | null;
}
type Size = Pick<ExportTerms, 'sizeBytes' | 'flags'>;
export interface BlockSizes {
  readonly minimum: number;
  readonly preferred: number;
  readonly maximum: number;
}

export interface Wishes {
  /** Structured replies, base:allocation and block sizes, each where the server has it. Default: nothing. */
  readonly everything?: boolean;
  /** Nothing is said of the export before TLS is up. A server without it is refused. Default false. */
  readonly tls?: boolean;
}

/** What to send, possibly nothing, and how many bytes to read after it: exactly those, for the next byte is another's. */
export interface HandshakeStep {
  readonly send: Buffer;
  /** With 0: put TLS over the socket, then go on with an empty buffer. */
  readonly need: number;
}
type Steps<T> = Generator<HandshakeStep, T, Buffer>;

const NOTHING = Buffer.alloc(0);

/**
 * Opens the export `name`. Each step's bytes are the value of `next`; after the last one the socket is in transmission.
 * @throws ProtocolError; AppError ERR_NOT_FOUND where the server refuses the export, ERR_NOT_SUPPORTED where it has no TLS
 */
export function* openExport(name: string, wishes: Wishes = {}): Steps<ExportTerms> {
  checkGreeting(yield { send: NOTHING, need: GREETING_LENGTH });
  const first = new Later(clientFlags());
  if (wishes.tls === true) yield* startTls(first);
  const structuredReplies = wishes.everything === true && (yield* structured(first));
  const allocation = structuredReplies ? yield* allocationContext(first, name) : null;
  const types = wishes.everything === true ? [Info.BlockSize] : [];
  let terms: Size | null = null;
  let blockSizes: BlockSizes | null = null;
  const end = yield* ask(first, Option.Go, emitInfoRequest(Option.Go, name, types), (type, data) => {
    if (type !== OptionReply.Info) return;
    terms = parseExportInfo(data) ?? terms;
    blockSizes = parseBlockSizes(data) ?? blockSizes;
  });
  if (end.type !== OptionReply.Ack) throw refused(name, end.type, end.data);
  return { ...checkTerms(terms, name), structuredReplies, allocation, blockSizes };
}

/** Bytes that go out with the next ones. */
class Later {
  #bytes: Buffer;
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }
  before(bytes: Buffer): Buffer {
    const all = Buffer.concat([this.#bytes, bytes]);
    this.#bytes = NOTHING;
    return all;
  }
}

/** Sends one option and hears all replies to it: the last one, an acknowledgement or an error, is returned. */
function* ask(
  first: Later,
  option: number,
  request: Buffer,
  onReply: (type: number, data: Buffer) => void = () => {},
): Steps<{ readonly type: number; readonly data: Buffer }> {
  let send = first.before(request);
  for (let count = 0; count < MOST_REPLIES; count++) {
    const { type, length } = parseReplyHeader(yield { send, need: OPTION_REPLY_HEADER_LENGTH }, option);
    send = NOTHING;
    const data = length === 0 ? NOTHING : yield { send, need: length };
    if (type === OptionReply.Ack || type >= ERROR_BIT) return { type, data };
    onReply(type, data);
  }
  throw new ProtocolError(CLAUSE, 'no end of option replies');
}

function* startTls(first: Later): Steps<void> {
  const end = yield* ask(first, Option.StartTls, emitOption(Option.StartTls));
  if (end.type !== OptionReply.Ack) {
    throw new AppError('ERR_NOT_SUPPORTED', `the server has no TLS (${nameOf(OptionReply, end.type)})`);
  }
  yield { send: NOTHING, need: 0 };
}

function* structured(first: Later): Steps<boolean> {
  const end = yield* ask(first, Option.StructuredReply, emitOption(Option.StructuredReply));
  if (end.type === OptionReply.ErrTlsReqd) {
    throw new AppError('ERR_NOT_SUPPORTED', 'the server demands TLS', { hint: 'write nbds:// instead of nbd://' });
  }
  return end.type === OptionReply.Ack;
}

/** The id of base:allocation, or null. */
function* allocationContext(first: Later, name: string): Steps<number | null> {
  let id: number | null = null;
  const request = emitMetaContextRequest(Option.SetMetaContext, name, [ALLOCATION.name]);
  const end = yield* ask(first, Option.SetMetaContext, request, (type, data) => {
    if (type !== OptionReply.MetaContext) return;
    if (data.length < 4) throw new ProtocolError(CLAUSE, 'NBD_REP_META_CONTEXT without an id');
    if (data.toString('utf8', 4) === ALLOCATION.name) id = data.readUInt32BE(0);
  });
  return end.type === OptionReply.Ack ? id : null;
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

function parseReplyHeader(b: Buffer, asked: number): { readonly type: number; readonly length: number } {
  if (b.readUInt32BE(0) !== Magic.optionReply[0] || b.readUInt32BE(4) !== Magic.optionReply[1]) {
    throw new ProtocolError(CLAUSE, 'an option reply without its magic number');
  }
  const option = b.readUInt32BE(8);
  const length = b.readUInt32BE(16);
  if (option !== asked) {
    throw new ProtocolError(CLAUSE, `a reply to ${nameOf(Option, option)} instead of ${nameOf(Option, asked)}`);
  }
  if (length > LARGEST_REPLY) throw new ProtocolError(CLAUSE, `an option reply of ${length} bytes`);
  return { type: b.readUInt32BE(12), length };
}

/** Null for information of another kind. */
function parseExportInfo(data: Buffer): Size | null {
  if (data.length < 2) throw new ProtocolError(CLAUSE, 'NBD_REP_INFO without a type');
  if (data.readUInt16BE(0) !== Info.Export) return null;
  if (data.length !== 12) throw new ProtocolError(CLAUSE, `NBD_INFO_EXPORT of ${data.length} bytes`);
  const size = data.readBigUInt64BE(2);
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw new ProtocolError(CLAUSE, `an export of ${size} bytes`);
  return { sizeBytes: Number(size), flags: data.readUInt16BE(10) };
}

/** Null for information of another kind. Proto.md "Size constraints": what a server that contradicts itself means is not guessed. */
function parseBlockSizes(data: Buffer): BlockSizes | null {
  if (data.readUInt16BE(0) !== Info.BlockSize) return null;
  if (data.length !== 14) throw new ProtocolError(CLAUSE, `NBD_INFO_BLOCK_SIZE of ${data.length} bytes`);
  const [minimum, preferred, maximum] = [data.readUInt32BE(2), data.readUInt32BE(6), data.readUInt32BE(10)];
  if (!isPowerOf2(minimum) || !isPowerOf2(preferred) || preferred < minimum || maximum < minimum) {
    throw new ProtocolError(CLAUSE, `block sizes of ${minimum}, ${preferred}, ${maximum} bytes`);
  }
  return { minimum, preferred, maximum };
}
function isPowerOf2(n: number): boolean {
  return n > 0 && (n & (n - 1)) === 0;
}

function checkTerms(terms: Size | null, name: string): Size {
  if (terms === null) throw new ProtocolError(CLAUSE, `nothing was said of the export ${name}`);
  if ((terms.flags & TransmissionFlag.HasFlags) === 0) throw new ProtocolError(CLAUSE, 'NBD_FLAG_HAS_FLAGS is missing');
  return terms;
}

function refused(name: string, type: number, data: Buffer): AppError {
  const text = data.length === 0 ? '' : `: ${JSON.stringify(data.toString('utf8', 0, 200))}`;
  return new AppError('ERR_NOT_FOUND', `the export ${name} is refused (${nameOf(OptionReply, type)})${text}`);
}
