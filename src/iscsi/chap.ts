// CHAP, RFC 7143 §12.1.3 and RFC 1994: both ends, one-way and mutual. What goes wrong here never shows a secret.
import { createHash, getHashes, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import { AppError, ProtocolError } from '../util/errors.js';
import { readNumber } from './keys.js';
import { LoginStatus } from './login-status.js';
import { findKey, type TextPair, type TextPairs } from './wire/text.js';

const CLAUSE = 'RFC 7143 §12.1.3';

/** CHAP_A numbers. */
export const ChapAlgorithm = { MD5: 5, SHA1: 6, SHA256: 7, SHA3_256: 8 } as const;

/** Every algorithm: its number, the name that configuration files use, and the one that node:crypto uses. */
export const CHAP_ALGORITHMS = [
  { number: ChapAlgorithm.MD5, name: 'MD5', hash: 'md5' },
  { number: ChapAlgorithm.SHA1, name: 'SHA1', hash: 'sha1' },
  { number: ChapAlgorithm.SHA256, name: 'SHA256', hash: 'sha256' },
  { number: ChapAlgorithm.SHA3_256, name: 'SHA3-256', hash: 'sha3-256' },
] as const;

/** Largest challenge or response, decoded, in bytes. */
const BINARY_LARGEST = 1024;
/** Size of our own challenges in bytes. */
const CHALLENGE_LENGTH = 32;

export interface ChapIdentity {
  readonly user: string;
  readonly secret: string;
}

/** The algorithms of `list` that this Node can compute, in its order. */
export function usableAlgorithms(list: readonly number[]): number[] {
  const hashes = new Set(getHashes());
  return list.filter((number) => CHAP_ALGORITHMS.some((known) => known.number === number && hashes.has(known.hash)));
}

/** The response to `challenge`: the hash over identifier (one byte), secret and challenge (RFC 1994 §4.1). */
export function chapResponse(algorithm: number, id: number, secret: string, challenge: Buffer): Buffer {
  const known = CHAP_ALGORITHMS.find(({ number }) => number === algorithm);
  if (known === undefined) throw new Error(`CHAP algorithm ${algorithm} is not known`);
  return createHash(known.hash)
    .update(Buffer.from([id]))
    .update(secret, 'utf8')
    .update(challenge)
    .digest();
}

/** A binary value (§6.1): `0x` and hex digits or `0b` and base64, 1 to 1024 bytes. Throws ProtocolError. */
export function parseBinary(text: string): Buffer {
  const prefix = text.slice(0, 2).toLowerCase();
  const digits = text.slice(2);
  const hex = prefix === '0x' && digits.length % 2 === 0 && /^[0-9a-fA-F]+$/.test(digits);
  const base64 = prefix === '0b' && digits.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(digits);
  const value = hex ? Buffer.from(digits, 'hex') : base64 ? Buffer.from(digits, 'base64') : undefined;
  if (value === undefined || value.length === 0 || value.length > BINARY_LARGEST) {
    throw new ProtocolError('RFC 7143 §6.1', 'a CHAP value is not binary data of 1 to 1024 bytes');
  }
  return value;
}

/** `0x` and hex digits: the form that every peer reads. */
export function formatBinary(value: Buffer): string {
  return `0x${value.toString('hex')}`;
}

/** A CHAP_I value. */
function parseId(text: string): number {
  const id = readNumber(text);
  if (id === undefined || id > 255) throw new ProtocolError(CLAUSE, 'CHAP_I is not a byte');
  return id;
}

function sameBytes(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/**
 * Challenges of ours that are waiting for an answer, of all logins together: a peer that sends one of them back wants us
 * to answer it ourselves (§9.2.1). Share one object between all logins of a process.
 */
export class ChapChallenges {
  readonly #waiting = new Set<string>();
  readonly #most: number;

  /** `most` bounds the memory if a login forgets to drop its challenge; the oldest go first. */
  constructor(most = 4096) {
    this.#most = most;
  }
  issue(): Buffer {
    const challenge = randomBytes(CHALLENGE_LENGTH);
    const [oldest] = this.#waiting;
    if (oldest !== undefined && this.#waiting.size >= this.#most) this.#waiting.delete(oldest);
    this.#waiting.add(challenge.toString('base64'));
    return challenge;
  }
  has(challenge: Buffer): boolean {
    return this.#waiting.has(challenge.toString('base64'));
  }
  drop(challenge: Buffer): void {
    this.#waiting.delete(challenge.toString('base64'));
  }
}

export interface ChapInitiatorOptions extends ChapIdentity {
  /** CHAP_A numbers in order of preference. */
  readonly algorithms: readonly number[];
  /** What the target must prove to us; with an empty user name, under whatever name. */
  readonly mutual?: ChapIdentity;
  readonly challenges: ChapChallenges;
}

/** The target has not answered our challenge, or not rightly, or hands it back. Another algorithm would not help. */
export class UnprovenTarget extends AppError {
  constructor(message = 'the target did not prove its identity (mutual CHAP)') {
    super('ERR_LOGIN_AUTH', message);
  }
}

/** The initiator's side: `start`, then `receive` until `done`. */
export class ChapInitiator {
  readonly #options: ChapInitiatorOptions;
  readonly #offered: readonly number[];
  #algorithm: number | undefined;
  #answered = false;
  #done = false;
  /** Our challenge to the target and its identifier. */
  #challenge: Buffer | undefined;
  #id = 0;

  /** Throws AppError ERR_USAGE for one secret in both directions (§9.2.1), and when no algorithm of the list is usable. */
  constructor(options: ChapInitiatorOptions) {
    this.#options = options;
    this.#offered = usableAlgorithms(options.algorithms);
    if (this.#offered.length === 0) throw new AppError('ERR_USAGE', 'no usable CHAP algorithm is configured');
    if (options.mutual?.secret === options.secret) {
      throw new AppError('ERR_USAGE', 'the CHAP secrets of initiator and target must not be the same');
    }
  }

  /** Our CHAP_R is out: the request that carries it may ask to leave the stage. */
  get answered(): boolean {
    return this.#answered;
  }
  /** Nothing is left to prove: our answer is out and the target's, if one was asked for, was right. */
  get done(): boolean {
    return this.#done;
  }
  /** The algorithm that the target chose, or undefined before its challenge. */
  get algorithm(): number | undefined {
    return this.#algorithm;
  }

  /** The first message after AuthMethod=CHAP was agreed. */
  start(): TextPair[] {
    return [['CHAP_A', this.#offered.join(',')]];
  }

  /**
   * The target's pairs in, ours out; none when nothing is left to say. Throws ProtocolError for a message that is none,
   * AppError ERR_LOGIN_AUTH when the target takes no algorithm, UnprovenTarget when it cannot prove itself or reflects.
   */
  receive(pairs: TextPairs): TextPair[] {
    if (this.#done) return [];
    if (this.#answered) {
      this.#checkTarget(pairs);
      return [];
    }
    return this.#answer(pairs);
  }

  /** Forgets the challenge. Idempotent; to be called at the end of the login whatever its result. */
  close(): void {
    if (this.#challenge !== undefined) this.#options.challenges.drop(this.#challenge);
  }

  #answer(pairs: TextPairs): TextPair[] {
    const { user, secret, mutual, challenges } = this.#options;
    const algorithm = this.#chosen(findKey(pairs, 'CHAP_A'));
    const [id, value] = [findKey(pairs, 'CHAP_I'), findKey(pairs, 'CHAP_C')];
    if (id === undefined || value === undefined) throw new ProtocolError(CLAUSE, 'the target sent no CHAP challenge');
    const challenge = parseBinary(value);
    if (challenges.has(challenge)) throw new UnprovenTarget('the target reflects our CHAP challenge (RFC 7143 §9.2.1)');
    const reply: TextPair[] = [
      ['CHAP_N', user],
      ['CHAP_R', formatBinary(chapResponse(algorithm, parseId(id), secret, challenge))],
    ];
    this.#algorithm = algorithm;
    this.#answered = true;
    this.#done = mutual === undefined;
    if (mutual !== undefined) {
      this.#id = randomInt(256);
      this.#challenge = challenges.issue();
      reply.push(['CHAP_I', String(this.#id)], ['CHAP_C', formatBinary(this.#challenge)]);
    }
    return reply;
  }

  #chosen(text: string | undefined): number {
    if (text === 'Reject') throw new AppError('ERR_LOGIN_AUTH', 'the target takes none of the CHAP algorithms offered');
    const algorithm = text === undefined ? undefined : readNumber(text);
    if (algorithm === undefined || !this.#offered.includes(algorithm)) {
      throw new ProtocolError(CLAUSE, 'the target chose a CHAP algorithm that was not offered');
    }
    return algorithm;
  }

  #checkTarget(pairs: TextPairs): void {
    const { secret, mutual } = this.#options;
    const [name, value] = [findKey(pairs, 'CHAP_N'), findKey(pairs, 'CHAP_R')];
    if (mutual === undefined || this.#challenge === undefined) throw new Error('no proof of the target is expected');
    if (name === undefined || value === undefined) throw new UnprovenTarget();
    const algorithm = this.#algorithm as number;
    const response = parseBinary(value);
    // A target that answers with the initiator's secret has at best the same secret twice, at worst a reflected answer.
    const ours = sameBytes(response, chapResponse(algorithm, this.#id, secret, this.#challenge));
    const right = sameBytes(response, chapResponse(algorithm, this.#id, mutual.secret, this.#challenge));
    // A record may hold the target's secret without its name: then the secret alone is the proof.
    const named = mutual.user === '' || name === mutual.user;
    if (ours || !right || !named) throw new UnprovenTarget();
    this.#done = true;
  }
}

/** What a target does with a message of the initiator. */
export type ChapVerdict =
  /** Send `pairs` and wait for the next one. */
  | { readonly kind: 'continue'; readonly pairs: TextPair[] }
  /** Authenticated as `user`. `pairs` go with the response: the target's own proof, or none. */
  | { readonly kind: 'accept'; readonly user: string; readonly pairs: TextPair[] }
  /** Login status class 2 with this detail, then close. `reason` is for the log and names no secret. */
  | { readonly kind: 'refuse'; readonly detail: number; readonly reason: string };

export interface ChapTargetOptions {
  /** Algorithms that are good enough; the first of the initiator's list that is among them is taken. Default: all. */
  readonly algorithms?: readonly number[];
  /** The credentials for a user name, and with `mutual` what we prove in turn; undefined for an unknown one. */
  readonly find: (user: string) => { readonly secret: string; readonly mutual?: ChapIdentity } | undefined;
  readonly challenges: ChapChallenges;
}

function refuse(status: number, reason: string): ChapVerdict {
  return { kind: 'refuse', detail: status & 0xff, reason };
}

/** The target's side: one `receive` per Login Request of the exchange. */
export class ChapTarget {
  readonly #options: ChapTargetOptions;
  #state: 'start' | 'challenged' | 'over' = 'start';
  #algorithm = 0;
  #id = 0;
  #challenge: Buffer | undefined;
  /** Stands in for the secret of an unknown user, which so costs the same work as a known one with a wrong secret. */
  #decoy = '';

  constructor(options: ChapTargetOptions) {
    this.#options = options;
  }

  /** The initiator's pairs in; what to do now. Never throws for what they say. */
  receive(pairs: TextPairs): ChapVerdict {
    try {
      if (this.#state === 'start') return this.#begin(findKey(pairs, 'CHAP_A'));
      if (this.#state === 'challenged') return this.#judge(pairs);
      return refuse(LoginStatus.InitiatorError, 'a CHAP message after the exchange');
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#state = 'over';
      return refuse(LoginStatus.InitiatorError, error.message);
    }
  }

  /** Forgets the challenge. Idempotent; to be called at the end of the login whatever its result. */
  close(): void {
    this.#state = 'over';
    if (this.#challenge !== undefined) this.#options.challenges.drop(this.#challenge);
  }

  #begin(list: string | undefined): ChapVerdict {
    this.#state = 'over';
    if (list === undefined) return refuse(LoginStatus.MissingParameter, 'CHAP_A is missing');
    const taken = usableAlgorithms(this.#options.algorithms ?? CHAP_ALGORITHMS.map(({ number }) => number));
    const algorithm = list
      .split(',')
      .map(readNumber)
      .find((number) => number !== undefined && taken.includes(number));
    if (algorithm === undefined) return refuse(LoginStatus.AuthenticationFailure, 'no common CHAP algorithm');
    this.#state = 'challenged';
    this.#algorithm = algorithm;
    this.#id = randomInt(256);
    this.#challenge = this.#options.challenges.issue();
    this.#decoy = randomBytes(6).toString('hex');
    return {
      kind: 'continue',
      pairs: [
        ['CHAP_A', String(algorithm)],
        ['CHAP_I', String(this.#id)],
        ['CHAP_C', formatBinary(this.#challenge)],
      ],
    };
  }

  #judge(pairs: TextPairs): ChapVerdict {
    this.#state = 'over';
    const [user, value] = [findKey(pairs, 'CHAP_N'), findKey(pairs, 'CHAP_R')];
    const [id, theirs] = [findKey(pairs, 'CHAP_I'), findKey(pairs, 'CHAP_C')];
    if (user === undefined || value === undefined || (id === undefined) !== (theirs === undefined)) {
      return refuse(LoginStatus.MissingParameter, 'CHAP_N, CHAP_R, CHAP_I or CHAP_C is missing');
    }
    const response = parseBinary(value);
    const counter = theirs === undefined ? undefined : parseBinary(theirs);
    if (counter !== undefined && this.#options.challenges.has(counter)) {
      return refuse(LoginStatus.AuthenticationFailure, 'the initiator reflects a CHAP challenge of ours');
    }
    const account = this.#options.find(user);
    const secret = account?.secret ?? this.#decoy;
    const right = sameBytes(response, chapResponse(this.#algorithm, this.#id, secret, this.#challenge as Buffer));
    if (account === undefined) return refuse(LoginStatus.AuthenticationFailure, 'unknown CHAP user');
    if (!right) return refuse(LoginStatus.AuthenticationFailure, 'wrong CHAP response');
    if (counter === undefined) return { kind: 'accept', user, pairs: [] };
    return this.#prove(user, secret, account.mutual, parseId(id as string), counter);
  }

  /** The answer to the initiator's own challenge. */
  #prove(user: string, secret: string, own: ChapIdentity | undefined, id: number, challenge: Buffer): ChapVerdict {
    if (own === undefined) return refuse(LoginStatus.AuthenticationFailure, 'mutual CHAP is not configured');
    if (own.secret === secret) return refuse(LoginStatus.AuthenticationFailure, 'one CHAP secret for both directions');
    const response = chapResponse(this.#algorithm, id, own.secret, challenge);
    return {
      kind: 'accept',
      user,
      pairs: [
        ['CHAP_N', own.user],
        ['CHAP_R', formatBinary(response)],
      ],
    };
  }
}
