// Text data segments: key=value pairs and their continuation over several PDUs, RFC 7143 §6.1 and §6.2.
import { ProtocolError } from '../../util/errors.js';

export type TextPair = [key: string, value: string];
/** Pairs as a callee takes them. */
export type TextPairs = readonly (readonly [key: string, value: string])[];

export interface TextLimits {
  /** All bytes of one text, over all its PDUs. */
  readonly bytes: number;
  readonly pairs: number;
  /** One value, in bytes. */
  readonly valueBytes: number;
}

/** Login and negotiation: a CHAP value is at most 1024 bytes, 2050 characters in hex. */
export const LOGIN_TEXT: TextLimits = { bytes: 65_536, pairs: 256, valueBytes: 8192 };
/** An answer to SendTargets: 4096 targets with several addresses each. */
export const SEND_TARGETS_TEXT: TextLimits = { bytes: 2 ** 23, pairs: 65_536, valueBytes: 8192 };

/** A key is a standard-label: a capital letter first, then more of these characters, 63 bytes at most. Peers are not strict about capitals. */
const KEY = /^[A-Za-z0-9][A-Za-z0-9.\-+@_/#]{0,62}$/;
const NUL = 0;
const EQUALS = 0x3d;

/**
 * The pairs of a whole text. Empty items are skipped: some peers pad with NULs. Throws ProtocolError on a missing `=`
 * or final NUL, a key that is none, and whatever is over `limits`.
 */
export function parseText(data: Buffer, limits: TextLimits = LOGIN_TEXT): TextPair[] {
  if (data.length > limits.bytes) throw tooMuch(`${data.length} bytes of text, ${limits.bytes} allowed`);
  const pairs: TextPair[] = [];
  for (let at = 0; at < data.length; ) {
    const end = data.indexOf(NUL, at);
    if (end === -1) throw new ProtocolError('RFC 7143 §6.1', 'text does not end with a NUL');
    if (end > at) {
      if (pairs.length === limits.pairs) throw tooMuch(`more than ${limits.pairs} text keys`);
      pairs.push(parsePair(data.subarray(at, end), limits));
    }
    at = end + 1;
  }
  return pairs;
}

function parsePair(item: Buffer, limits: TextLimits): TextPair {
  const equals = item.indexOf(EQUALS);
  if (equals === -1) throw new ProtocolError('RFC 7143 §6.1', 'a text item without "="');
  const key = item.toString('latin1', 0, equals);
  if (!KEY.test(key)) throw new ProtocolError('RFC 7143 §6.1', 'a text key that is no key');
  const length = item.length - equals - 1;
  if (length > limits.valueBytes) throw tooMuch(`a value of ${length} bytes for ${key}`);
  return [key, item.toString('utf8', equals + 1)];
}

function tooMuch(message: string): ProtocolError {
  return new ProtocolError('RFC 7143 §6.1', message);
}

/** The data segment, or the whole text of several. Keys and values are ours: one that cannot be sent is a bug. */
export function emitText(pairs: TextPairs): Buffer {
  let text = '';
  for (const [key, value] of pairs) {
    if (!KEY.test(key) || value.includes('\0')) throw new Error(`${key} cannot be sent as text`);
    text += `${key}=${value}\0`;
  }
  return Buffer.from(text);
}

/** Cuts a text into data segments of at most `limit` bytes, views of `text`: one, maybe empty, or more. All but the last go with the C bit. */
export function splitText(text: Buffer, limit: number): Buffer[] {
  const segments: Buffer[] = [text.subarray(0, limit)];
  for (let at = limit; at < text.length; at += limit) segments.push(text.subarray(at, at + limit));
  return segments;
}

/** The first value of `key`, or undefined. */
export function findKey(pairs: TextPairs, key: string): string | undefined {
  return pairs.find(([name]) => name === key)?.[1];
}

/** Puts together a text that comes in several PDUs, with the C bit in all but the last (§6.2). */
export class TextAssembler {
  readonly #limits: TextLimits;
  /** What has come of an unfinished text: `#length` bytes of a buffer that doubles, so that tiny segments cost little. */
  #held = Buffer.alloc(0);
  #length = 0;

  constructor(limits: TextLimits = LOGIN_TEXT) {
    this.#limits = limits;
  }

  /** Whether a text has begun and is not complete. */
  get pending(): boolean {
    return this.#length > 0;
  }

  /**
   * One data segment; `more` is its C bit. Null while more is to come, then the pairs, and the next text begins.
   * Throws ProtocolError when the text is over the limits or wrong, and on an empty segment that says there is more.
   */
  push(data: Buffer, more: boolean): TextPair[] | null {
    if (!more && this.#length === 0) return parseText(data, this.#limits);
    // Nothing would bound a row of them, and no sender has a reason.
    if (data.length === 0 && more) throw new ProtocolError('RFC 7143 §6.2', 'an empty text segment with the C bit');
    this.#append(data);
    if (more) return null;
    const text = this.#held.subarray(0, this.#length);
    this.#held = Buffer.alloc(0);
    this.#length = 0;
    return parseText(text, this.#limits);
  }

  #append(data: Buffer): void {
    const length = this.#length + data.length;
    if (length > this.#limits.bytes) throw tooMuch(`more than ${this.#limits.bytes} bytes of text`);
    if (length > this.#held.length) {
      const grown = Buffer.alloc(Math.min(this.#limits.bytes, Math.max(length, this.#held.length * 2)));
      this.#held.copy(grown, 0, 0, this.#length);
      this.#held = grown;
    }
    data.copy(this.#held, this.#length);
    this.#length = length;
  }
}
