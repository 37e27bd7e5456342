// Cuts the byte stream of one connection into PDUs: lengths, padding and digests, RFC 7143 §11.1, §11.2 and §13.1.
import { crc32c } from '../../util/crc32c.js';
import { ProtocolError } from '../../util/errors.js';
import type { BufferPool, RefBuffer } from '../../util/ref-buffer.js';
import type { StreamConsumer } from '../../util/stream.js';
import { ahsLength, BHS_LENGTH, DIGEST_LENGTH, dataSegmentLength, pad4 } from './bhs.js';

/** A header or data digest that does not match (§7.8). */
export class DigestError extends ProtocolError {
  constructor(part: 'header' | 'data') {
    super('RFC 7143 §7.8', `${part} digest error`);
  }
}

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

/** When this many bytes of a data segment are missing, they are read straight into its buffer. */
const DIRECT_READ = 65_536;
const MAX_AHS = 255 * 4;
const EMPTY = Buffer.alloc(0);

/** The digest at `b[at..at+4)`, least significant byte first. */
function digestAt(b: Buffer, at: number): number {
  return b.readUInt32LE(at);
}

/**
 * A PDU that lies whole in one chunk is handed on in place. Otherwise its header is collected in `#held`, its data in a
 * pooled buffer, and what follows the data (padding and digest) in `#tail`. Lengths are checked before any memory is taken.
 */
export class PduFramer implements Pick<StreamConsumer, 'onBytes' | 'readTarget' | 'onTargetFilled'> {
  readonly #receiver: PduReceiver;
  readonly #pool: BufferPool;
  readonly #maxAhs: number;
  #maxDataSegment: number;
  #headerDigest = false;
  #dataDigest = false;

  /** Header, AHS and header digest of a PDU that is not whole yet. */
  readonly #held: Buffer;
  #heldLength = 0;
  /** The data of that PDU, once its header is complete. */
  #segment: RefBuffer | null = null;
  #segmentLength = 0;
  #segmentFilled = 0;
  readonly #tail = Buffer.alloc(8);
  #tailLength = 0;
  #tailFilled = 0;

  constructor(receiver: PduReceiver, options: PduFramerOptions) {
    this.#receiver = receiver;
    this.#pool = options.pool;
    this.#maxAhs = Math.min(options.maxAhs, MAX_AHS);
    this.#maxDataSegment = options.maxDataSegment;
    this.#held = Buffer.alloc(BHS_LENGTH + this.#maxAhs + DIGEST_LENGTH);
  }

  /** Switches the digests from the next PDU on. To be called within onPdu, or before the first byte. */
  setDigests(header: boolean, data: boolean): void {
    this.#headerDigest = header;
    this.#dataDigest = data;
  }

  /** The limit from the next header on, in bytes. */
  setMaxDataSegment(length: number): void {
    this.#maxDataSegment = length;
  }

  /** Takes any piece of the stream and hands on every PDU that it completes. Throws ProtocolError. */
  onBytes(chunk: Buffer, owner: RefBuffer): void {
    let at = 0;
    while (at < chunk.length) {
      at = this.#segment === null ? this.#takeHeader(chunk, at, owner) : this.#takeSegment(chunk, at);
    }
  }

  /** The missing rest of a data segment if that is long, or null. Never reaches into the next PDU. */
  readTarget(): Buffer | null {
    if (this.#segment === null || this.#segmentLength - this.#segmentFilled < DIRECT_READ) return null;
    return this.#segment.buffer.subarray(this.#segmentFilled, this.#segmentLength);
  }

  onTargetFilled(length: number): void {
    const filled = this.#segmentFilled + length;
    if (this.#segment === null || filled > this.#segmentLength) throw new Error('no such read target');
    this.#segmentFilled = filled;
    this.#finishSegment();
  }

  /** Takes header bytes, and with a complete header the data if it is here too; returns where the rest begins. */
  #takeHeader(chunk: Buffer, at: number, owner: RefBuffer): number {
    if (this.#heldLength === 0 && chunk.length - at >= BHS_LENGTH) {
      const length = this.#headerLength(chunk, at);
      if (chunk.length - at >= length) return this.#takeData(chunk, at, length, chunk, at + length, owner);
    }
    const held = this.#held;
    const wanted = this.#heldLength < BHS_LENGTH ? BHS_LENGTH : this.#headerLength(held, 0);
    const taken = chunk.copy(held, this.#heldLength, at, at + wanted - this.#heldLength);
    this.#heldLength += taken;
    if (this.#heldLength < BHS_LENGTH) return at + taken;
    const length = this.#headerLength(held, 0);
    if (this.#heldLength < length) return at + taken;
    return this.#takeData(held, 0, length, chunk, at + taken, owner);
  }

  /** Bytes of header, AHS and header digest of the PDU whose BHS is at `b[at..)`. */
  #headerLength(b: Buffer, at: number): number {
    const ahs = ahsLength(b, at);
    if (ahs > this.#maxAhs) {
      throw new ProtocolError('RFC 7143 §11.2.1.5', `${ahs} bytes of additional headers, ${this.#maxAhs} allowed`);
    }
    return BHS_LENGTH + ahs + (this.#headerDigest ? DIGEST_LENGTH : 0);
  }

  /** A complete header at `b[at..at+length)`, with the stream going on at `chunk[dataAt..)`. */
  #takeData(b: Buffer, at: number, length: number, chunk: Buffer, dataAt: number, owner: RefBuffer): number {
    if (this.#headerDigest) {
      const end = at + length - DIGEST_LENGTH;
      // Without a good header there is no telling where the next PDU begins, so the connection ends (§7.8).
      if (crc32c(b, at, end) !== digestAt(b, end)) throw new DigestError('header');
    }
    const dataLength = dataSegmentLength(b, at);
    if (dataLength > this.#maxDataSegment) {
      throw new ProtocolError(
        'RFC 7143 §13.12',
        `a data segment of ${dataLength} bytes, ${this.#maxDataSegment} allowed`,
      );
    }
    if (dataLength === 0) {
      this.#heldLength = 0;
      this.#receiver.onPdu(b, at, this.#ahs(b, at), EMPTY, null);
      return dataAt;
    }
    const tailLength = pad4(dataLength) - dataLength + (this.#dataDigest ? DIGEST_LENGTH : 0);
    const dataEnd = dataAt + dataLength;
    if (chunk.length >= dataEnd + tailLength) {
      this.#heldLength = 0;
      const digestRight =
        !this.#dataDigest ||
        crc32c(chunk, dataAt, dataEnd + tailLength - DIGEST_LENGTH) ===
          digestAt(chunk, dataEnd + tailLength - DIGEST_LENGTH);
      if (digestRight) this.#receiver.onPdu(b, at, this.#ahs(b, at), chunk.subarray(dataAt, dataEnd), owner);
      else this.#receiver.onDataDigestError(b, at);
      return dataEnd + tailLength;
    }
    if (b !== this.#held) this.#heldLength = b.copy(this.#held, 0, at, at + length);
    this.#segment = this.#pool.take(dataLength);
    this.#segmentLength = dataLength;
    this.#segmentFilled = 0;
    this.#tailLength = tailLength;
    this.#tailFilled = 0;
    return dataAt;
  }

  /** Takes what the chunk has of the data and its tail; returns where the rest begins. */
  #takeSegment(chunk: Buffer, at: number): number {
    const segment = this.#segment as RefBuffer;
    let next = at;
    if (this.#segmentFilled < this.#segmentLength) {
      const end = next + this.#segmentLength - this.#segmentFilled;
      const taken = chunk.copy(segment.buffer, this.#segmentFilled, next, Math.min(end, chunk.length));
      this.#segmentFilled += taken;
      next += taken;
    }
    if (this.#segmentFilled === this.#segmentLength) {
      const taken = chunk.copy(this.#tail, this.#tailFilled, next, next + this.#tailLength - this.#tailFilled);
      this.#tailFilled += taken;
      next += taken;
    }
    this.#finishSegment();
    return next;
  }

  /** Hands on the PDU that was collected, if it is complete. */
  #finishSegment(): void {
    const segment = this.#segment;
    if (segment === null || this.#segmentFilled < this.#segmentLength || this.#tailFilled < this.#tailLength) return;
    this.#segment = null;
    this.#heldLength = 0;
    const data = segment.buffer.subarray(0, this.#segmentLength);
    try {
      if (this.#tailRight(data)) this.#receiver.onPdu(this.#held, 0, this.#ahs(this.#held, 0), data, segment);
      else this.#receiver.onDataDigestError(this.#held, 0);
    } finally {
      segment.release();
    }
  }

  /** Whether the collected data digest is right, or none is in use. */
  #tailRight(data: Buffer): boolean {
    if (!this.#dataDigest) return true;
    const padding = this.#tailLength - DIGEST_LENGTH;
    return crc32c(this.#tail, 0, padding, crc32c(data)) === digestAt(this.#tail, padding);
  }

  #ahs(b: Buffer, at: number): Buffer {
    const length = ahsLength(b, at);
    return length === 0 ? EMPTY : b.subarray(at + BHS_LENGTH, at + BHS_LENGTH + length);
  }
}
