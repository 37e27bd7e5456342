// Cuts the byte stream of one connection into PDUs: lengths, padding and digests, RFC 7143 §11.1, §11.2 and §13.1.
import type { BufferPool, RefBuffer } from '../../util/ref-buffer.js';
import type { StreamConsumer } from '../../util/stream.js';

/** Who gets the PDUs. Whatever it throws leaves the framer's method and ends the connection. */
export interface PduReceiver {
  /**
   * One whole PDU whose digests are right. The header is `b[at..at+48)`; `ahs` all Additional Header Segments; `data`
   * the data segment without padding. Empty segments are empty buffers. Every view is valid until the call returns;
   * `data` for longer if `owner` is retained (with no owner, `data` is empty).
   */
  onPdu(b: Buffer, at: number, ahs: Buffer, data: Buffer, owner: RefBuffer | null): void;
  /** The header is good but the data digest is not (§7.8): the segment is dropped, the stream goes on. */
  onDataDigestError(b: Buffer, at: number): void;
}
export interface PduFramerOptions {
  /** Largest data segment to accept, in bytes: what we declared, 8192 until then. */
  readonly maxDataSegment: number;
  /** Largest sum of Additional Header Segments to accept, in bytes: 0 to 1020. */
  readonly maxAhs: number;
  readonly pool: BufferPool;
}
export declare class PduFramer implements Pick<StreamConsumer, 'onBytes' | 'readTarget' | 'onTargetFilled'> {
  constructor(receiver: PduReceiver, options: PduFramerOptions);
  /** Switches the digests from the next PDU on; may be called within onPdu. */
  setDigests(header: boolean, data: boolean): void;
  /** The limit from the next header on, in bytes. */
  setMaxDataSegment(length: number): void;
  onBytes(chunk: Buffer, owner: RefBuffer): void;
  readTarget(): Buffer | null;
  onTargetFilled(length: number): void;
}
