// Operational negotiation, RFC 7143 §6.2 and §13, for both ends.
import type { DigestName, OperationalParams } from './params.js';
import type { TextPair } from './wire/text.js';

export type { OperationalParams } from './params.js';

/** What we want: like OperationalParams, but a digest may be a list in order of preference. Missing ones: the RFC's default. */
export interface NegotiationWishes
  extends Partial<Omit<OperationalParams, 'headerDigest' | 'dataDigest' | 'maxXmitDataSegmentLength'>> {
  readonly headerDigest?: DigestName | readonly DigestName[];
  readonly dataDigest?: DigestName | readonly DigestName[];
}
export interface NegotiatorOptions {
  readonly role: 'initiator' | 'target';
  readonly discovery: boolean;
  readonly wishes: NegotiationWishes;
}
export declare class Negotiator {
  constructor(options: NegotiatorOptions);
  /**
   * The keys to open with, each once. Initiator: all that matter for the session type. Target: before it agrees to leave
   * the operational stage, the keys that the initiator did not name and whose default we cannot live with; usually none.
   */
  offer(): TextPair[];
  /**
   * Takes the peer's pairs (names, AuthMethod, CHAP_* and declarations that are no parameters are passed over) and gives
   * our answers. Throws ProtocolError when a key comes twice or a value is none.
   */
  receive(pairs: readonly (readonly [string, string])[]): TextPair[];
  /** Keys that we offered and that have no answer yet. */
  readonly pending: readonly string[];
  /** What holds now. Throws ProtocolError when a digest that we insist on was not agreed. */
  result(): OperationalParams;
}
