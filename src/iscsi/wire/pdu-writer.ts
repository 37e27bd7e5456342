// Puts PDUs on a transmit sink: lengths, padding and digests, RFC 7143 §11.1, §11.2 and §13.1.
import { crc32c } from '../../util/crc32c.js';
import type { RefBuffer } from '../../util/ref-buffer.js';
import { COPY_LARGEST, type TransmitSink } from '../../util/stream.js';
import { BHS_LENGTH, DIGEST_LENGTH, pad4, putLengths } from './bhs.js';

const MAX_AHS = 255 * 4;
const MAX_DATA = 2 ** 24 - 1;

/**
 * One PDU at a time: `begin`, then the header into `slab`, then `end`. The hot path allocates nothing here. Data up to
 * COPY_LARGEST stands behind its header in one piece of memory; larger goes by reference.
 */
export class PduWriter {
  readonly #sink: TransmitSink;
  #headerDigest = false;
  #dataDigest = false;
  #slab: Buffer;
  #at = -1;
  #ahsLength = 0;
  #dataLength = 0;
  #dataAt = 0;

  constructor(sink: TransmitSink) {
    this.#sink = sink;
    this.#slab = sink.slab;
  }

  /** Switches the digests from the next PDU on. */
  setDigests(header: boolean, data: boolean): void {
    this.#headerDigest = header;
    this.#dataDigest = data;
  }

  /**
   * Claims room for a PDU and returns where in `slab` its 48-byte header belongs; `end` must follow before anything else.
   * `dataLength` is bytes without padding, `ahs` whole segments as `buildAhs` makes them.
   */
  begin(dataLength: number, ahs: Buffer | null = null): number {
    const ahsLength = ahs === null ? 0 : ahs.length;
    if (this.#at !== -1) throw new Error('the PDU before has no end');
    if (dataLength > MAX_DATA) throw new Error(`a data segment cannot hold ${dataLength} bytes`);
    if (ahsLength > MAX_AHS || ahsLength % 4 !== 0) throw new Error(`${ahsLength} bytes are no row of AHS`);
    const headerLength = BHS_LENGTH + ahsLength + (this.#headerDigest ? DIGEST_LENGTH : 0);
    const behind = dataLength > COPY_LARGEST ? 0 : pad4(dataLength) + this.#digestLength(dataLength);
    const at = this.#sink.reserve(headerLength + behind);
    this.#slab = this.#sink.slab;
    this.#at = at;
    this.#ahsLength = ahsLength;
    this.#dataLength = dataLength;
    this.#dataAt = at + headerLength;
    if (ahs !== null) ahs.copy(this.#slab, at + BHS_LENGTH);
    return at;
  }

  /** The memory of the PDU begun: read it after `begin`, which may change it. */
  get slab(): Buffer {
    return this.#slab;
  }

  /** Where in `slab` the data of the PDU begun stands, if it is at most COPY_LARGEST bytes: to be made in place. */
  get dataAt(): number {
    return this.#dataAt;
  }

  /**
   * Finishes the PDU. `data`, exactly as long as `begin` was told, is copied up to COPY_LARGEST; larger goes by
   * reference and `owner` is retained until it has left (with a null owner its bytes must never change).
   * Null data says that the caller has filled the slab at `dataAt`.
   */
  end(data: Buffer | null, owner: RefBuffer | null): void {
    const length = this.#dataLength;
    if (data !== null && data.length !== length) throw new Error(`${data.length} bytes of data, announced ${length}`);
    if (data === null && length > COPY_LARGEST) throw new Error('that much data cannot be made in place');
    const at = this.#at;
    this.#at = -1;
    putLengths(this.#slab, at, this.#ahsLength, length);
    if (this.#headerDigest) {
      const end = at + BHS_LENGTH + this.#ahsLength;
      this.#slab.writeUInt32LE(crc32c(this.#slab, at, end), end);
    }
    if (length === 0) return;
    if (data !== null && length > COPY_LARGEST) this.#appendLarge(data, owner);
    else this.#finishSmall(data);
  }

  /** `begin`, `emit` and `end` in one, for PDUs that are not hot. `data` may be reused after the call. */
  send(emit: (b: Buffer, at: number) => void, data: Buffer | null = null, ahs: Buffer | null = null): void {
    const at = this.begin(data === null ? 0 : data.length, ahs);
    emit(this.#slab, at);
    this.end(data !== null && data.length > COPY_LARGEST ? Buffer.from(data) : data, null);
  }

  #digestLength(dataLength: number): number {
    return this.#dataDigest && dataLength > 0 ? DIGEST_LENGTH : 0;
  }

  /** Padding and digest behind data that stands in the slab. */
  #finishSmall(data: Buffer | null): void {
    const slab = this.#slab;
    if (data !== null) data.copy(slab, this.#dataAt);
    const end = this.#dataAt + pad4(this.#dataLength);
    for (let i = this.#dataAt + this.#dataLength; i < end; i++) slab[i] = 0;
    if (this.#dataDigest) slab.writeUInt32LE(crc32c(slab, this.#dataAt, end), end);
  }

  #appendLarge(data: Buffer, owner: RefBuffer | null): void {
    this.#sink.append(data, owner);
    const padding = pad4(data.length) - data.length;
    const tailLength = padding + (this.#dataDigest ? DIGEST_LENGTH : 0);
    if (tailLength === 0) return;
    const at = this.#sink.reserve(tailLength);
    const slab = this.#sink.slab;
    for (let i = at; i < at + padding; i++) slab[i] = 0;
    if (this.#dataDigest) slab.writeUInt32LE(crc32c(slab, at, at + padding, crc32c(data)), at + padding);
  }
}
