// Operational negotiation, RFC 7143 §6.2 and §13, for both ends.
import { AppError, ProtocolError } from '../util/errors.js';
import { ANSWERS, KEYS, type KeyInfo, keyNamed, readBoolean, readNumber } from './keys.js';
import { DEFAULT_PARAMS, type DigestName, type OperationalParams } from './params.js';
import type { TextPair, TextPairs } from './wire/text.js';

export type { OperationalParams } from './params.js';

/** What we want. A digest may be a list in order of preference. What is missing is the RFC's default. */
export interface NegotiationWishes extends Partial<Omit<OperationalParams, 'headerDigest' | 'dataDigest'>> {
  readonly headerDigest?: DigestName | readonly DigestName[];
  readonly dataDigest?: DigestName | readonly DigestName[];
  /** Send no longer data segments than this, whatever the peer takes. Bytes, from 512; never told to the peer. */
  readonly maxXmitDataSegmentLength?: number;
}

export interface NegotiatorOptions {
  readonly role: 'initiator' | 'target';
  readonly discovery: boolean;
  readonly wishes: NegotiationWishes;
}

/** A wish or an agreed value: list, number or boolean, as the key's kind has it. */
type Value = readonly string[] | number | boolean;

/** The wish for a key; the default where there is none. */
function wishOf(key: KeyInfo, wishes: NegotiationWishes): Value {
  const wish = key.param === undefined ? undefined : (wishes as Partial<OperationalParams>)[key.param];
  const text = wish === undefined ? key.default : textOf(typeof wish === 'string' ? [wish] : wish);
  const value = readValue(key, text);
  const known = !Array.isArray(value) || value.every((item) => key.values?.includes(item));
  if (value !== undefined && known) return value;
  throw new AppError('ERR_USAGE', `${key.name}=${text} is not a value that iSCSI allows`);
}

function textOf(value: Value): string {
  if (typeof value === 'boolean') return value ? 'Yes' : 'No';
  return typeof value === 'number' ? String(value) : value.join(',');
}

/** The value that `text` stands for, or undefined when the key cannot have it. */
function readValue(key: KeyInfo, text: string): Value | undefined {
  switch (key.kind) {
    case 'list':
      return text === '' ? undefined : text.split(',');
    case 'and':
    case 'or':
      return readBoolean(text);
    default: {
      const number = readNumber(text);
      const [least, most] = key.range ?? [0, 0];
      return number === undefined || number < least || number > most ? undefined : number;
    }
  }
}

/** The result function of a key that is neither a list nor a declaration: the same at both ends. */
function combine(key: KeyInfo, a: Value, b: Value): Value {
  switch (key.kind) {
    case 'and':
      return a === true && b === true;
    case 'or':
      return a === true || b === true;
    case 'max':
      return Math.max(a as number, b as number);
    default:
      return Math.min(a as number, b as number);
  }
}

/** One end of the negotiation of one connection. Answers follow §6.2; what both ends compute is the same. */
export class Negotiator {
  readonly #role: 'initiator' | 'target';
  readonly #discovery: boolean;
  readonly #wishes = new Map<string, Value>();
  /** What we offered and the peer has not answered. */
  readonly #pending = new Set<string>();
  /** What has been offered or declared by either side: nothing may come twice (§6.3). */
  readonly #seen = new Set<string>();
  readonly #agreed = new Map<string, Value>();
  #declared = false;
  /** What the peer takes, and what we send at most. */
  #maxXmit = DEFAULT_PARAMS.maxXmitDataSegmentLength;
  readonly #mostXmit: number;

  /** Throws AppError ERR_USAGE when a wish is outside the range of its key. */
  constructor(options: NegotiatorOptions) {
    this.#role = options.role;
    this.#discovery = options.discovery;
    this.#mostXmit = options.wishes.maxXmitDataSegmentLength ?? Number.POSITIVE_INFINITY;
    for (const key of KEYS) {
      if (key.kind !== 'other' && key.kind !== 'obsolete') this.#wishes.set(key.name, wishOf(key, options.wishes));
    }
    if (options.role === 'initiator') this.#fitLengths();
  }

  /**
   * FirstBurstLength above MaxBurstLength must not be offered (§13.14). And no length that would end a PDU between two
   * words in the middle of a transfer: tgt 1.0.85 pads such a Data-In inside its own buffer, and so sends zeros for the
   * first bytes of the next one.
   */
  #fitLengths(): void {
    for (const name of ['MaxRecvDataSegmentLength', 'MaxBurstLength', 'FirstBurstLength']) {
      const length = this.#wishes.get(name) as number;
      this.#wishes.set(name, length - (length % 4));
    }
    const [first, most] = [this.#wishes.get('FirstBurstLength'), this.#wishes.get('MaxBurstLength')];
    this.#wishes.set('FirstBurstLength', Math.min(first as number, most as number));
  }

  /**
   * The keys to open with, each once. Initiator: all that matter for the type of session. Target: before it agrees to
   * leave the operational stage, those that the initiator did not name and whose default is not ours; usually none.
   * With `only`, none but these.
   */
  offer(only?: ReadonlySet<string>): TextPair[] {
    const pairs: TextPair[] = [];
    for (const key of KEYS) {
      if (key.param === undefined || key.kind === 'declare' || this.#seen.has(key.name)) continue;
      if (only?.has(key.name) === false) continue;
      if ((this.#discovery && !key.discovery) || !this.#mustOffer(key)) continue;
      this.#seen.add(key.name);
      this.#pending.add(key.name);
      pairs.push([key.name, textOf(this.#wish(key))]);
    }
    if (this.#role === 'initiator') pairs.push(...this.#declaration());
    return pairs;
  }

  /**
   * Takes the peer's pairs and gives our answers; keys that are no parameters are passed over. A target's first answers
   * come with its own declaration. Throws ProtocolError when a key comes twice, or an answer or declaration is no value.
   */
  receive(pairs: TextPairs): TextPair[] {
    const answers: [KeyInfo | null, string, string][] = [];
    for (const [name, value] of pairs) {
      const key = keyNamed(name);
      if (key?.kind === 'other') continue;
      if (key !== undefined && this.#pending.delete(name)) {
        this.#settle(key, value);
        continue;
      }
      if (this.#seen.has(name)) throw new ProtocolError('RFC 7143 §6.3', `${name} is negotiated twice`);
      this.#seen.add(name);
      if (key?.kind === 'declare') this.#declare(key, value);
      else if (!ANSWERS.has(value)) answers.push([key ?? null, name, this.#answer(key, value)]);
    }
    const replies = answers.map(
      ([key, name, value]): TextPair => [name, key === null ? value : this.#bounded(key, value)],
    );
    return this.#role === 'target' ? [...replies, ...this.#declaration()] : replies;
  }

  /** Keys that we offered and that have no answer yet. */
  get pending(): readonly string[] {
    return [...this.#pending];
  }

  /**
   * What holds now. A key that the peer left out or refused has the value that suits both our wish and its default.
   * Throws ProtocolError when a digest that we insist on was not agreed.
   */
  result(): OperationalParams {
    const maxBurstLength = this.#number('MaxBurstLength');
    return {
      headerDigest: this.#digest('HeaderDigest'),
      dataDigest: this.#digest('DataDigest'),
      maxConnections: this.#number('MaxConnections'),
      initialR2T: this.#boolean('InitialR2T'),
      immediateData: this.#boolean('ImmediateData'),
      maxRecvDataSegmentLength: this.#number('MaxRecvDataSegmentLength'),
      maxXmitDataSegmentLength: Math.min(this.#maxXmit, this.#mostXmit),
      maxBurstLength,
      firstBurstLength: Math.min(this.#number('FirstBurstLength'), maxBurstLength),
      defaultTime2Wait: this.#number('DefaultTime2Wait'),
      defaultTime2Retain: this.#number('DefaultTime2Retain'),
      maxOutstandingR2T: this.#number('MaxOutstandingR2T'),
      dataPDUInOrder: this.#boolean('DataPDUInOrder'),
      dataSequenceInOrder: this.#boolean('DataSequenceInOrder'),
      errorRecoveryLevel: this.#number('ErrorRecoveryLevel'),
    };
  }

  #wish(key: KeyInfo): Value {
    return this.#wishes.get(key.name) as Value;
  }

  /** Our own MaxRecvDataSegmentLength, the first time. */
  #declaration(): TextPair[] {
    if (this.#declared) return [];
    this.#declared = true;
    return [['MaxRecvDataSegmentLength', String(this.#wishes.get('MaxRecvDataSegmentLength'))]];
  }

  /** An initiator offers everything; a target only what the default would settle against its wish. */
  #mustOffer(key: KeyInfo): boolean {
    if (this.#role === 'initiator') return true;
    const wish = this.#wish(key);
    if (key.kind === 'list') return !(wish as readonly string[]).includes(key.default);
    const standard = readValue(key, key.default) as Value;
    return combine(key, wish, standard) !== standard;
  }

  /** The peer's answer to our offer. Reject, NotUnderstood and Irrelevant leave the default to `#value`. */
  #settle(key: KeyInfo, answer: string): void {
    if (ANSWERS.has(answer)) return;
    const wish = this.#wish(key);
    const value = readValue(key, answer);
    const legal = key.kind === 'list' ? (wish as readonly string[]).includes(answer) : value !== undefined;
    if (!legal || value === undefined) {
      throw new ProtocolError('RFC 7143 §6.2', `the answer to ${key.name} is not one of its values`);
    }
    // A peer may answer with its own value instead of the result: computed again, both are the same.
    this.#agreed.set(key.name, key.kind === 'list' ? value : combine(key, wish, value));
  }

  /** What the peer states of itself. */
  #declare(key: KeyInfo, text: string): void {
    const value = readValue(key, text);
    if (typeof value !== 'number') throw new ProtocolError(key.clause, `${key.name} is out of range`);
    this.#maxXmit = value;
  }

  /** Our answer to the peer's offer, which is settled by it. */
  #answer(key: KeyInfo | undefined, offer: string): string {
    if (key === undefined) return 'NotUnderstood';
    if (key.kind === 'obsolete') return key.default;
    if (this.#discovery && !key.discovery) return 'Irrelevant';
    const offered = readValue(key, offer);
    if (offered === undefined) return 'Reject';
    const wish = this.#wish(key);
    if (key.kind !== 'list') {
      const value = combine(key, wish, offered);
      this.#agreed.set(key.name, value);
      return textOf(value);
    }
    const chosen = (offered as readonly string[]).find((value) => (wish as readonly string[]).includes(value));
    if (chosen === undefined) return 'Reject';
    this.#agreed.set(key.name, [chosen]);
    return chosen;
  }

  /** FirstBurstLength must not exceed MaxBurstLength (§13.14), which may stand behind it in the same text. */
  #bounded(key: KeyInfo, answer: string): string {
    const length = key.name === 'FirstBurstLength' ? readNumber(answer) : undefined;
    return length === undefined ? answer : String(Math.min(length, this.#number('MaxBurstLength')));
  }

  /** The agreed value; failing that, the one that suits our wish and the default which the peer may hold to. */
  #value(name: string): Value {
    const agreed = this.#agreed.get(name);
    if (agreed !== undefined) return agreed;
    const key = keyNamed(name) as KeyInfo;
    const wish = this.#wish(key);
    if (key.kind === 'declare') return wish;
    const standard = readValue(key, key.default) as Value;
    if (key.kind === 'list' || !this.#seen.has(name)) return standard;
    return combine(key, wish, standard);
  }

  #number(name: string): number {
    return this.#value(name) as number;
  }

  #boolean(name: string): boolean {
    return this.#value(name) as boolean;
  }

  #digest(name: string): DigestName {
    const chosen = (this.#value(name) as readonly string[])[0] === 'CRC32C' ? 'CRC32C' : 'None';
    if (!(this.#wishes.get(name) as readonly string[]).includes(chosen)) {
      throw new ProtocolError('RFC 7143 §13.1', `${name}=${chosen} is not what was asked for`);
    }
    return chosen;
  }
}
