// Text Requests in full feature phase: SendTargets (RFC 7143 §4.3, §6.4, Appendix C).

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
      if (key !== 'SendTargets') answers.push([key, 'NotUnderstood']);
      else answers.push(...this.#sendTargets(value));
    }
    return answers;
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
