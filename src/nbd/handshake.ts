// The handshake of one client: greeting, client flags, option haggling. NBD proto.md "Fixed newstyle negotiation".
import { ProtocolError } from '../util/errors.js';
import type { TransmitSink } from '../util/stream.js';
import { blockSizes, transmissionFlags } from './export-view.js';
import type { ExportRegistry, NbdExport } from './exports.js';
import type { NbdLimits } from './limits.js';
import { HandshakeFlag, Info, Magic, nameOf, Option, OptionReply } from './wire/constants.js';
import {
  emitBlockSizeInfo,
  emitExportInfo,
  emitOptionReply,
  emitServerData,
  emitTextInfo,
  OPTION_HEADER_LENGTH,
  type OptionHeader,
  parseInfoRequest,
  parseOptionHeader,
} from './wire/option.js';

/** What a client has settled on when the transmission phase begins. */
export interface Session {
  readonly entry: NbdExport;
  readonly structuredReplies: boolean;
  /** As sent to the client. */
  readonly flags: number;
}

type Waiting = 'client-flags' | 'option' | 'option-data' | 'skipped-data';

const CLAUSE = 'NBD proto.md "Newstyle negotiation"';
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads options until the client has chosen an export or gone away. Faults of the client are ProtocolErrors. */
export class Handshake {
  readonly #exports: ExportRegistry;
  readonly #sink: TransmitSink;
  readonly #limits: NbdLimits;
  #waiting: Waiting = 'client-flags';
  /** Bytes of the unit being read (client flags, option header, option data), and how many are there. */
  #unit = Buffer.alloc(4);
  #filled = 0;
  #option: OptionHeader = { option: 0, length: 0 };
  #skip = 0;
  #options = 0;
  #fixed = false;
  #noZeroes = false;
  #structuredReplies = false;
  #session: Session | null = null;
  #aborted = false;

  constructor(exports: ExportRegistry, sink: TransmitSink, limits: NbdLimits) {
    this.#exports = exports;
    this.#sink = sink;
    this.#limits = limits;
    const greeting = Buffer.alloc(18);
    greeting.writeUInt32BE(Magic.nbd[0], 0);
    greeting.writeUInt32BE(Magic.nbd[1], 4);
    greeting.writeUInt32BE(Magic.option[0], 8);
    greeting.writeUInt32BE(Magic.option[1], 12);
    greeting.writeUInt16BE(HandshakeFlag.FixedNewstyle | HandshakeFlag.NoZeroes, 16);
    sink.append(greeting, null);
  }
  /** Set once an export has been chosen. */
  get session(): Session | null {
    return this.#session;
  }
  /** The client has said NBD_OPT_ABORT. */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** Reads from `chunk`; returns how many bytes belonged to the handshake. */
  onBytes(chunk: Buffer): number {
    let at = 0;
    while (this.#session === null && !this.#aborted) {
      at += this.#waiting === 'skipped-data' ? this.#skipData(chunk.length - at) : this.#collect(chunk, at);
      if (!this.#complete()) break;
      this.#onUnit();
    }
    return at;
  }

  #skipData(available: number): number {
    const length = Math.min(available, this.#skip);
    this.#skip -= length;
    return length;
  }
  #collect(chunk: Buffer, at: number): number {
    const length = chunk.copy(this.#unit, this.#filled, at);
    this.#filled += length;
    return length;
  }
  #complete(): boolean {
    return this.#waiting === 'skipped-data' ? this.#skip === 0 : this.#filled === this.#unit.length;
  }
  #await(waiting: Waiting, length: number): void {
    this.#waiting = waiting;
    this.#filled = 0;
    this.#unit = Buffer.alloc(length);
  }

  #onUnit(): void {
    switch (this.#waiting) {
      case 'client-flags':
        this.#onClientFlags(this.#unit.readUInt32BE(0));
        this.#await('option', OPTION_HEADER_LENGTH);
        break;
      case 'option':
        this.#onOptionHeader(parseOptionHeader(this.#unit));
        break;
      case 'option-data':
        this.#onOption(this.#option.option, this.#unit);
        this.#await('option', OPTION_HEADER_LENGTH);
        break;
      case 'skipped-data':
        this.#reply(OptionReply.ErrTooBig, `at most ${this.#limits.optionLength} bytes of option data`);
        this.#await('option', OPTION_HEADER_LENGTH);
        break;
    }
  }

  #onClientFlags(flags: number): void {
    const known = HandshakeFlag.FixedNewstyle | HandshakeFlag.NoZeroes;
    if ((flags & ~known) !== 0) {
      throw new ProtocolError('NBD proto.md "Client flags"', `unknown client flags 0x${flags.toString(16)}`);
    }
    this.#fixed = (flags & HandshakeFlag.FixedNewstyle) !== 0;
    this.#noZeroes = (flags & HandshakeFlag.NoZeroes) !== 0;
  }

  /** A client that lists asks about each export in turn. */
  #checkOptions(): void {
    const most = this.#limits.options + this.#limits.optionsOfExport * this.#exports.list().length;
    if (this.#options > most) throw new ProtocolError(CLAUSE, `more than ${most} options in one handshake`);
  }
  #onOptionHeader(header: OptionHeader): void {
    const { option, length } = header;
    if (++this.#options > this.#limits.options) this.#checkOptions();
    // A client that did not say fixed newstyle cannot read a reply, so nothing but EXPORT_NAME has a meaning.
    if (!this.#fixed && option !== Option.ExportName) {
      throw new ProtocolError(
        'NBD proto.md "Fixed newstyle negotiation"',
        `option ${nameOf(Option, option)} without it`,
      );
    }
    this.#option = header;
    if (length <= this.#limits.optionLength) {
      this.#await('option-data', length);
      return;
    }
    // EXPORT_NAME has no error reply.
    if (length > this.#limits.optionDrain || option === Option.ExportName) {
      throw new ProtocolError(CLAUSE, `option ${nameOf(Option, option)} with ${length} bytes`);
    }
    this.#waiting = 'skipped-data';
    this.#skip = length;
  }

  #onOption(option: number, data: Buffer): void {
    switch (option) {
      case Option.ExportName:
        this.#onExportName(data);
        break;
      case Option.Abort:
        this.#reply(OptionReply.Ack);
        this.#aborted = true;
        break;
      case Option.List:
      case Option.StructuredReply:
      case Option.StartTls:
        if (data.length > 0) this.#reply(OptionReply.ErrInvalid, 'this option has no data');
        else this.#onBareOption(option);
        break;
      case Option.Info:
      case Option.Go:
        this.#onInfo(option, data);
        break;
      default:
        this.#reply(OptionReply.ErrUnsup);
    }
  }
  #onBareOption(option: number): void {
    if (option === Option.StartTls) {
      this.#reply(OptionReply.ErrPolicy, 'TLS is not offered');
      return;
    }
    if (option === Option.List) {
      for (const { name, description } of this.#exports.list()) {
        this.#reply(OptionReply.Server, emitServerData(name, description));
      }
    } else {
      this.#structuredReplies = true;
    }
    this.#reply(OptionReply.Ack);
  }

  #onExportName(data: Buffer): void {
    const name = this.#exportName(data);
    const entry = name === null ? undefined : this.#exports.find(name);
    if (!entry) throw new ProtocolError('NBD proto.md NBD_OPT_EXPORT_NAME', 'no such export');
    const session = this.#open(entry);
    const reply = Buffer.alloc(this.#noZeroes ? 10 : 134);
    reply.writeBigUInt64BE(BigInt(entry.device.sizeBytes), 0);
    reply.writeUInt16BE(session.flags, 8);
    this.#sink.append(reply, null);
    this.#session = session;
  }

  #onInfo(option: number, data: Buffer): void {
    const request = parseInfoRequest(data);
    const name = request && this.#exportName(request.name);
    if (request === null || name === null) {
      this.#reply(OptionReply.ErrInvalid, 'a malformed name or list of information requests');
      return;
    }
    const entry = this.#exports.find(name);
    if (!entry) {
      this.#reply(OptionReply.ErrUnknown, 'no such export');
      return;
    }
    const session = this.#open(entry);
    this.#reply(OptionReply.Info, emitExportInfo(entry.device.sizeBytes, session.flags));
    for (const type of new Set(request.types)) this.#info(entry, type);
    this.#reply(OptionReply.Ack);
    if (option === Option.Go) this.#session = session;
  }

  #info(entry: NbdExport, type: number): void {
    if (type === Info.Name) this.#reply(OptionReply.Info, emitTextInfo(type, entry.name));
    if (type === Info.Description && entry.description !== '') {
      this.#reply(OptionReply.Info, emitTextInfo(type, entry.description));
    }
    if (type === Info.BlockSize) {
      const { minimum, preferred, maximum } = blockSizes(entry.device, this.#limits.requestLength);
      this.#reply(OptionReply.Info, emitBlockSizeInfo(minimum, preferred, maximum));
    }
  }

  #open(entry: NbdExport): Session {
    const structuredReplies = this.#structuredReplies;
    return { entry, structuredReplies, flags: transmissionFlags(entry, structuredReplies) };
  }
  /** Strings are UTF-8 without NUL and at most 4096 bytes long, else null. */
  #exportName(bytes: Buffer): string | null {
    if (bytes.length > this.#limits.nameLength || bytes.includes(0)) return null;
    try {
      return utf8.decode(bytes);
    } catch {
      return null;
    }
  }
  /** `data` as a string is an error message for a person. */
  #reply(type: OptionReply, data: Buffer | string = ''): void {
    this.#sink.append(emitOptionReply(this.#option.option, type, Buffer.from(data)), null);
  }
}
