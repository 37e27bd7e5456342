// One text negotiation in full feature phase, with its continuation PDUs (RFC 7143 §6.2, §11.10–11.11).
import { BHS_LENGTH, NO_TAG } from '../iscsi/wire/bhs.js';
import { emitText, SEND_TARGETS_TEXT, TextAssembler, type TextPair } from '../iscsi/wire/text.js';
import { emitTextRequest } from '../iscsi/wire/text-request.js';
import { parseTextResponse } from '../iscsi/wire/text-response.js';
import { ProtocolError } from '../util/errors.js';
import type { Link } from './link.js';
import { NO_LUN } from './tasks.js';

/** An answer of 8 MiB in the smallest segments has fewer parts than this. */
const MOST_ROUNDS = 20_000;

/** Sends when the command window lets it: Text Requests are no immediate commands. */
export class TextExchange {
  readonly itt: number;
  readonly #link: Link;
  readonly #assembler = new TextAssembler(SEND_TARGETS_TEXT);
  readonly #pairs: TextPair[] = [];
  readonly #lun = Buffer.from(NO_LUN);
  #data: Buffer | null;
  #ttt = NO_TAG;
  #due = true;
  #rounds = 0;
  #bytes = 0;

  constructor(link: Link, itt: number, pairs: readonly TextPair[]) {
    this.#link = link;
    this.itt = itt;
    this.#data = emitText(pairs);
  }
  /** Sends the request that is due, if the window is open. */
  send(): void {
    const { window, writer, counters, expStatSn } = this.#link;
    if (!this.#due || window.room === 0) return;
    this.#due = false;
    const cmdSn = window.take();
    const itt = this.itt;
    const data = this.#data;
    this.#data = null;
    writer.send(
      (b, at) =>
        emitTextRequest(
          { immediate: false, final: true, continues: false, lun: this.#lun, itt, ttt: this.#ttt, cmdSn, expStatSn },
          b,
          at,
        ),
      data,
    );
    counters.text_pdus++;
    counters.txdata_octets += BHS_LENGTH + (data?.length ?? 0);
  }
  /** A Text Response with our tag: all pairs once the target is done, else null and another request is due. */
  onResponse(b: Buffer, at: number, data: Buffer): TextPair[] | null {
    const pdu = parseTextResponse(b, at);
    if (pdu.final && pdu.continues) throw new ProtocolError('RFC 7143 §11.11.2', 'Text Response with both F and C');
    this.#bytes += data.length;
    if (++this.#rounds > MOST_ROUNDS || this.#bytes > SEND_TARGETS_TEXT.bytes)
      throw new ProtocolError('RFC 7143 §6.2', 'a text answer without an end');
    const pairs = this.#assembler.push(data, pdu.continues);
    if (pairs !== null) this.#pairs.push(...pairs);
    if (pdu.final) return this.#pairs;
    if (pdu.ttt === NO_TAG)
      throw new ProtocolError('RFC 7143 §11.11.4', 'Text Response goes on without a transfer tag');
    this.#ttt = pdu.ttt;
    pdu.lun.copy(this.#lun);
    this.#due = true;
    return null;
  }
}
