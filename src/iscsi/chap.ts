// CHAP, RFC 7143 §12.1.3: both ends, one-way and mutual.
import type { TextPair } from './wire/text.js';

/** CHAP_A numbers. */
export const ChapAlgorithm = { MD5: 5, SHA1: 6, SHA256: 7, SHA3_256: 8 } as const;
export interface ChapIdentity {
  readonly user: string;
  readonly secret: string;
}
/** Challenges that this process has sent and that no answer has come for. One for all logins of a role, so that none is reflected. */
export declare class ChapChallenges {
  issue(): Buffer;
  has(challenge: Buffer): boolean;
  drop(challenge: Buffer): void;
}
export interface ChapInitiatorOptions extends ChapIdentity {
  /** In order of preference. */
  readonly algorithms: readonly number[];
  /** What the target must prove. */
  readonly mutual?: ChapIdentity;
  readonly challenges: ChapChallenges;
}
export declare class ChapInitiator {
  constructor(options: ChapInitiatorOptions);
  /** CHAP_A: the first message after AuthMethod=CHAP was agreed. */
  start(): TextPair[];
  /** The target's pairs in, ours out; none when the target has proved itself. Throws AppError ERR_FATAL_LOGIN or ProtocolError. */
  receive(pairs: readonly (readonly [string, string])[]): TextPair[];
  /** Our answer is out and, with mutual, the target's was right. Only then may the stage be left. */
  readonly done: boolean;
  /** Our CHAP_R is out: the T bit may be set in that request. */
  readonly answered: boolean;
  /** The algorithm that the target chose. */
  readonly algorithm: number | undefined;
  /** Forgets the challenge. Idempotent; call at the end of the login whatever its result. */
  close(): void;
}
export type ChapVerdict =
  | { readonly kind: 'continue'; readonly pairs: TextPair[] }
  /** Authenticated. `pairs` go with the response that leaves the stage: the mutual answer or none. */
  | { readonly kind: 'accept'; readonly user: string; readonly pairs: TextPair[] }
  /** Login status class 2 with `detail`; `reason` for the log, without secrets. */
  | { readonly kind: 'refuse'; readonly detail: number; readonly reason: string };
export interface ChapTargetOptions {
  /** Acceptable algorithms; the first of the initiator's list that is among them is taken. Default all four. */
  readonly algorithms?: readonly number[];
  /** The credentials for a user name, or undefined. The answer must not depend on anything secret but them. */
  readonly find: (user: string) => { readonly secret: string; readonly mutual?: ChapIdentity } | undefined;
  readonly challenges: ChapChallenges;
}
export declare class ChapTarget {
  constructor(options: ChapTargetOptions);
  /** The initiator's pairs in; what to answer. */
  receive(pairs: readonly (readonly [string, string])[]): ChapVerdict;
  /** Forgets the challenge. Idempotent; call at the end of the login whatever its result. */
  close(): void;
}
