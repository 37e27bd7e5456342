// The handshake of one client as bytes: greeting, client flags, one option after another. NBD proto.md "Fixed newstyle
// negotiation". What an option means is in negotiation.ts.
import { ProtocolError } from '../util/errors.js';
import type { TransmitSink } from '../util/stream.js';
import type { ExportRegistry } from './exports.js';
import type { NbdLimits } from './limits.js';
import { Negotiation, type Session } from './negotiation.js';
import { HandshakeFlag, Magic, nameOf, Option, OptionReply } from './wire/constants.js';
import { emitOptionReply, OPTION_HEADER_LENGTH, type OptionHeader, parseOptionHeader } from './wire/option.js';

/**
 * TLS on this connection, proto.md "TLS versions": not offered; demanded before anything else (FORCEDTLS); asked for by
 * the client just now; or up.
 */
type TlsStage = 'off' | 'required' | 'starting' | 'on';

type Waiting = 'client-flags' | 'option' | 'option-data' | 'skipped-data';

const CLAUSE = 'NBD proto.md "Newstyle negotiation"';

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
  #aborted = false;
  #tls: TlsStage;
  readonly #negotiation: Negotiation;

  /** Greets the client, unless that was done before TLS. */
  constructor(exports: ExportRegistry, sink: TransmitSink, limits: NbdLimits, tls: TlsStage = 'off') {
    this.#exports = exports;
    this.#sink = sink;
    this.#limits = limits;
    this.#negotiation = new Negotiation(exports, limits, (type, data) => this.#reply(type, data));
    this.#tls = tls;
    if (tls === 'on') return;
    const greeting = Buffer.alloc(18);
    greeting.writeUInt32BE(Magic.nbd[0], 0);
    greeting.writeUInt32BE(Magic.nbd[1], 4);
    greeting.writeUInt32BE(Magic.option[0], 8);
    greeting.writeUInt32BE(Magic.option[1], 12);
    greeting.writeUInt16BE(HandshakeFlag.FixedNewstyle | HandshakeFlag.NoZeroes, 16);
    sink.append(greeting, null);
  }
  /**
   * What follows once TLS is up: a handshake that knows nothing of this one but the client's flags and how many options it
   * has sent. Whatever was said in plain text may have been put there by anybody (CVE-2021-3716).
   */
  overTls(): Handshake {
    const next = new Handshake(this.#exports, this.#sink, this.#limits, 'on');
    next.#fixed = this.#fixed;
    next.#noZeroes = this.#noZeroes;
    next.#options = this.#options;
    next.#await('option', OPTION_HEADER_LENGTH);
    return next;
  }
  /** The client has said NBD_OPT_STARTTLS and been told to go on: it is to be heard over TLS only. */
  get startsTls(): boolean {
    return this.#tls === 'starting';
  }
  /** Set once an export has been chosen. */
  get session(): Session | null {
    return this.#negotiation.session;
  }
  /** The client has said NBD_OPT_ABORT. */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** Reads from `chunk`; returns how many bytes belonged to the handshake. */
  onBytes(chunk: Buffer): number {
    let at = 0;
    while (this.session === null && !this.#aborted && !this.startsTls) {
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
        this.#onSkipped(this.#option.option);
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

  #onSkipped(option: number): void {
    if (this.#tls === 'required') {
      this.#demandTls(option);
      return;
    }
    this.#negotiation.refused(option);
    this.#reply(OptionReply.ErrTooBig, `at most ${this.#limits.optionLength} bytes of option data`);
  }
  #onOption(option: number, data: Buffer): void {
    if (this.#tls === 'required' && option !== Option.StartTls && option !== Option.Abort) {
      this.#demandTls(option);
      return;
    }
    switch (option) {
      case Option.ExportName:
        this.#sink.append(this.#negotiation.exportName(data, this.#noZeroes), null);
        break;
      case Option.Abort:
        this.#reply(OptionReply.Ack);
        this.#aborted = true;
        break;
      case Option.StartTls:
        if (data.length > 0) this.#reply(OptionReply.ErrInvalid, 'this option has no data');
        else this.#onStartTls();
        break;
      default:
        this.#negotiation.answer(option, data);
    }
  }
  #onStartTls(): void {
    if (this.#tls === 'required') {
      this.#tls = 'starting';
      this.#reply(OptionReply.Ack);
    } else if (this.#tls === 'on') this.#reply(OptionReply.ErrInvalid, 'TLS is up already');
    else this.#reply(OptionReply.ErrPolicy, 'TLS is not offered');
  }
  /** EXPORT_NAME has no error reply. */
  #demandTls(option: number): void {
    if (option === Option.ExportName) {
      throw new ProtocolError('NBD proto.md "FORCEDTLS mode"', 'an export was asked for without TLS');
    }
    this.#reply(OptionReply.ErrTlsReqd, 'this server speaks TLS only');
  }
  /** `data` as a string is an error message for a person. */
  #reply(type: OptionReply, data: Buffer | string = ''): void {
    this.#sink.append(emitOptionReply(this.#option.option, type, Buffer.from(data)), null);
  }
}
