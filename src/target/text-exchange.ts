// Text Requests in full feature phase: SendTargets (RFC 7143 §4.3, §6.4, Appendix C).

import { ANSWERS, keyNamed, readNumber } from '../iscsi/keys.js';
import { formatPortal } from '../iscsi/portal.js';
import { NO_TAG } from '../iscsi/wire/bhs.js';
import { emitText, splitText, TextAssembler, type TextPair } from '../iscsi/wire/text.js';
import { parseTextRequest, type TextRequest } from '../iscsi/wire/text-request.js';
import { emitTextResponse } from '../iscsi/wire/text-response.js';
import { ProtocolError } from '../util/errors.js';
import type { ConnectionAddresses } from './events.js';
import type { TargetSession } from './session.js';
import type { TargetListing } from './target-node.js';

/** One exchange at a time: the question, which may come in parts, then the answer, which may leave in parts. */
export class TextExchange {
  readonly #session: TargetSession;
  readonly #addresses: ConnectionAddresses;
  #question = new TextAssembler();
  #answer: Buffer[] = [];
  #ttt = NO_TAG;

  constructor(session: TargetSession, addresses: ConnectionAddresses) {
    this.#session = session;
    this.#addresses = addresses;
  }

  onRequest(b: Buffer, at: number, data: Buffer): void {
    const request = parseTextRequest(b, at);
    if (request.ttt === NO_TAG) {
      this.#question = new TextAssembler();
      this.#answer = [];
    } else if (request.ttt !== this.#ttt) {
      throw new ProtocolError('RFC 7143 §11.10.4', 'a Text Request goes on with what this target has not begun');
    }
    if (this.#answer.length > 0) {
      this.#send(request);
      return;
    }
    const pairs = this.#question.push(data, request.continues);
    // The question goes on: an empty answer asks for the rest.
    if (pairs === null) {
      this.#respond(request, Buffer.alloc(0), false, false);
      return;
    }
    this.#answer = splitText(emitText(this.#answers(pairs)), this.#session.params.maxXmitDataSegmentLength);
    this.#send(request);
  }

  #send(request: TextRequest): void {
    const part = this.#answer.shift() ?? Buffer.alloc(0);
    const more = this.#answer.length > 0;
    this.#respond(request, part, !more && request.final, more);
  }

  #respond(request: TextRequest, data: Buffer, final: boolean, continues: boolean): void {
    const session = this.#session;
    this.#ttt = final ? NO_TAG : session.nextTtt();
    const pdu = {
      final,
      continues,
      lun: Buffer.alloc(8),
      itt: request.itt,
      ttt: this.#ttt,
      statSn: session.statSn.take(),
      expCmdSn: session.window.expCmdSn,
      maxCmdSn: session.maxCmdSn(),
    };
    session.writer.send((s, to) => emitTextResponse(pdu, s, to), data.length === 0 ? null : data);
  }

  #answers(pairs: readonly TextPair[]): TextPair[] {
    const answers: TextPair[] = [];
    for (const [key, value] of pairs) {
      if (key === 'SendTargets') answers.push(...this.#sendTargets(value));
      else if (!ANSWERS.has(value)) answers.push(...this.#negotiate(key, value));
    }
    return answers;
  }

  /** §6.4, §13: in full feature phase only what an initiator states of itself can change. */
  #negotiate(name: string, value: string): TextPair[] {
    const key = keyNamed(name);
    if (key === undefined) return [[name, 'NotUnderstood']];
    if (key.stages !== 'ALL') return [[name, 'Reject']];
    if (key.kind !== 'declare') return [];
    const [least, most] = key.range ?? [0, 0];
    const length = readNumber(value) ?? 0;
    if (length < least || length > most) return [[name, 'Reject']];
    this.#session.declareMaxXmit(length);
    return [];
  }

  /** "All" belongs to discovery sessions; in a normal session only its own target is told (Appendix C). */
  #sendTargets(value: string): TextPair[] {
    const { context, initiatorName, targetName } = this.#session;
    if (targetName !== null && value !== '' && value !== targetName) return [['SendTargets', 'Reject']];
    const only = targetName ?? (value === 'All' || value === '' ? null : value);
    const listings = context.node.listFor(initiatorName, this.#addresses.local.address, only);
    return listings.flatMap(listingPairs);
  }
}

function listingPairs(listing: TargetListing): TextPair[] {
  const pairs: TextPair[] = [['TargetName', listing.name]];
  for (const { portal, tag } of listing.addresses) {
    pairs.push(['TargetAddress', formatPortal({ ...portal, tpgt: tag })]);
  }
  return pairs;
}
