// What the options of a client mean and what it has settled on so far. NBD proto.md "Option types". No bytes are collected here.
import { ProtocolError } from '../util/errors.js';
import { blockSizes, transmissionFlags } from './export-view.js';
import type { ExportRegistry, NbdExport } from './exports.js';
import type { NbdLimits } from './limits.js';
import { ALLOCATION, matches } from './meta-context.js';
import { Info, Option, OptionReply } from './wire/constants.js';
import { emitMetaContext, parseMetaContextRequest } from './wire/meta-context.js';
import { emitBlockSizeInfo, emitExportInfo, emitServerData, emitTextInfo, parseInfoRequest } from './wire/option.js';

/** What a client has settled on when the transmission phase begins. */
export interface Session {
  readonly entry: NbdExport;
  readonly structuredReplies: boolean;
  /** Whether it has selected the metadata context base:allocation, and so may send NBD_CMD_BLOCK_STATUS. */
  readonly allocation: boolean;
  /** As sent to the client. */
  readonly flags: number;
}

/** One reply to the option in hand. `data` as a string is an error message for a person. */
export type Reply = (type: OptionReply, data?: Buffer | string) => void;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class Negotiation {
  readonly #exports: ExportRegistry;
  readonly #limits: NbdLimits;
  readonly #reply: Reply;
  #structuredReplies = false;
  /** The export for which the client has selected base:allocation: for another one that means nothing. */
  #allocationOf: string | null = null;
  #session: Session | null = null;

  constructor(exports: ExportRegistry, limits: NbdLimits, reply: Reply) {
    this.#exports = exports;
    this.#limits = limits;
    this.#reply = reply;
  }
  /** Set once an export has been chosen. */
  get session(): Session | null {
    return this.#session;
  }

  /** NBD_OPT_EXPORT_NAME: the answer, which has no option reply's form. There is none for an error. @throws ProtocolError */
  exportName(data: Buffer, noZeroes: boolean): Buffer {
    const name = this.#text(data);
    const entry = name === null ? undefined : this.#exports.find(name);
    if (!entry) throw new ProtocolError('NBD proto.md NBD_OPT_EXPORT_NAME', 'no such export');
    this.#session = this.#open(entry);
    const reply = Buffer.alloc(noZeroes ? 10 : 134);
    reply.writeBigUInt64BE(BigInt(entry.device.sizeBytes), 0);
    reply.writeUInt16BE(this.#session.flags, 8);
    return reply;
  }
  /** Every other option but ABORT and STARTTLS, with its replies. */
  answer(option: number, data: Buffer): void {
    switch (option) {
      case Option.List:
      case Option.StructuredReply:
        if (data.length > 0) this.#reply(OptionReply.ErrInvalid, 'this option has no data');
        else this.#bare(option);
        break;
      case Option.Info:
      case Option.Go:
        this.#info(option, data);
        break;
      case Option.ListMetaContext:
      case Option.SetMetaContext:
        this.#metaContext(option, data);
        break;
      default:
        this.#reply(OptionReply.ErrUnsup);
    }
  }
  /** An option too long to be answered: that of SET_META_CONTEXT undoes the last one all the same. */
  refused(option: number): void {
    if (option === Option.SetMetaContext) this.#allocationOf = null;
  }

  #bare(option: number): void {
    if (option === Option.List) {
      for (const { name, description } of this.#exports.list()) {
        this.#reply(OptionReply.Server, emitServerData(name, description));
      }
    } else {
      this.#structuredReplies = true;
    }
    this.#reply(OptionReply.Ack);
  }

  #info(option: number, data: Buffer): void {
    const request = parseInfoRequest(data);
    const name = request && this.#text(request.name);
    if (request === null || name === null) {
      this.#reply(OptionReply.ErrInvalid, 'a malformed name or list of information requests');
      return;
    }
    const entry = this.#find(name);
    if (!entry) return;
    const session = this.#open(entry);
    this.#reply(OptionReply.Info, emitExportInfo(entry.device.sizeBytes, session.flags));
    for (const type of new Set(request.types)) this.#oneInfo(entry, type);
    this.#reply(OptionReply.Ack);
    if (option === Option.Go) this.#session = session;
  }
  #oneInfo(entry: NbdExport, type: number): void {
    if (type === Info.Name) this.#reply(OptionReply.Info, emitTextInfo(type, entry.name));
    if (type === Info.Description && entry.description !== '') {
      this.#reply(OptionReply.Info, emitTextInfo(type, entry.description));
    }
    if (type === Info.BlockSize) {
      const { requestLength, smallestBlock } = this.#limits;
      const { minimum, preferred, maximum } = blockSizes(entry.device, requestLength);
      this.#reply(OptionReply.Info, emitBlockSizeInfo(smallestBlock ?? minimum, preferred, maximum));
    }
  }

  /** LIST_META_CONTEXT and SET_META_CONTEXT. A SET replaces the one before, even if it fails. */
  #metaContext(option: number, data: Buffer): void {
    const isSet = option === Option.SetMetaContext;
    if (isSet) this.#allocationOf = null;
    if (!this.#structuredReplies) {
      this.#reply(OptionReply.ErrInvalid, 'metadata contexts need structured replies');
      return;
    }
    const request = parseMetaContextRequest(data);
    const name = request && this.#text(request.name);
    const queries = request?.queries.map((query) => this.#text(query));
    if (name === null || !queries?.every((query) => query !== null)) {
      this.#reply(OptionReply.ErrInvalid, 'a malformed name or list of queries');
      return;
    }
    if (queries.length > this.#limits.queries) {
      this.#reply(OptionReply.ErrTooBig, `at most ${this.#limits.queries} queries`);
      return;
    }
    const entry = this.#find(name);
    if (!entry) return;
    if (matches(queries, isSet)) {
      if (isSet) this.#allocationOf = entry.name;
      this.#reply(OptionReply.MetaContext, emitMetaContext(isSet ? ALLOCATION.id : 0, ALLOCATION.name));
    }
    this.#reply(OptionReply.Ack);
  }

  /** The export of that name; otherwise the client has been told that there is none. */
  #find(name: string): NbdExport | undefined {
    const entry = this.#exports.find(name);
    if (!entry) this.#reply(OptionReply.ErrUnknown, 'no such export');
    return entry;
  }
  #open(entry: NbdExport): Session {
    const structuredReplies = this.#structuredReplies;
    const flags = transmissionFlags(entry, structuredReplies);
    return { entry, structuredReplies, allocation: this.#allocationOf === entry.name, flags };
  }
  /** Strings are UTF-8 without NUL and at most 4096 bytes long, else null. */
  #text(bytes: Buffer): string | null {
    if (bytes.length > this.#limits.nameLength || bytes.includes(0)) return null;
    try {
      return utf8.decode(bytes);
    } catch {
      return null;
    }
  }
}
