// Text data segments: key=value pairs and their continuation over several PDUs, RFC 7143 §6.1 and §6.2.

export type TextPair = [key: string, value: string];
export interface TextLimits {
  /** All bytes of one text, over all its PDUs. */
  readonly bytes: number;
  readonly pairs: number;
  /** One value, in bytes. */
  readonly valueBytes: number;
}
/** Login and negotiation. */
export declare const LOGIN_TEXT: TextLimits;
/** An answer to SendTargets. */
export declare const SEND_TARGETS_TEXT: TextLimits;
/** Throws ProtocolError on anything but key=value NUL …; empty items are skipped. */
export declare function parseText(data: Buffer, limits?: TextLimits): TextPair[];
export declare function emitText(pairs: readonly (readonly [string, string])[]): Buffer;
/** Cuts a text into data segments of at most `limit` bytes; at least one, maybe empty. All but the last go with the C bit. */
export declare function splitText(text: Buffer, limit: number): Buffer[];
/** The value of `key`, or undefined. */
export declare function findKey(pairs: readonly (readonly [string, string])[], key: string): string | undefined;
/** Puts a text together that comes in several PDUs. */
export declare class TextAssembler {
  constructor(limits?: TextLimits);
  /** One data segment; `more` is the C bit. Null while more is to come, then the pairs; afterwards it starts anew. */
  push(data: Buffer, more: boolean): TextPair[] | null;
}
