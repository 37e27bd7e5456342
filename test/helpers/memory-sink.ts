// A TransmitSink without a socket: everything that a core sends, in order, until the test takes it.
import type { RefBuffer } from '../../src/util/ref-buffer.js';
import { HIGH_WATER, SLAB_LARGEST, type TransmitSink } from '../../src/util/stream.js';

const SLAB = 4 * SLAB_LARGEST;

export class MemorySink implements TransmitSink {
  #slab = Buffer.alloc(SLAB);
  #used = 0;
  readonly #pieces: { bytes: Buffer; owner: RefBuffer | null }[] = [];
  #backlog = 0;
  #high = false;

  get slab(): Buffer {
    return this.#slab;
  }
  get backlog(): number {
    return this.#backlog;
  }
  reserve(length: number): number {
    if (length > SLAB_LARGEST) throw new Error(`a slab gives at most ${SLAB_LARGEST} bytes`);
    if (this.#used + length > SLAB) {
      this.#slab = Buffer.alloc(SLAB);
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += length;
    this.#add(this.#slab.subarray(at, at + length), null);
    return at;
  }
  append(piece: Buffer, owner: RefBuffer | null): void {
    owner?.retain();
    this.#add(piece, owner);
  }
  wantDrain(): void {
    this.#high = true;
  }
  /** Takes all that was sent, as the peer would see it now. Returns it and whether `onDrain` is due. */
  take(): Buffer {
    const bytes = Buffer.concat(this.#pieces.map((piece) => piece.bytes));
    for (const { owner } of this.#pieces) owner?.release();
    this.#pieces.length = 0;
    this.#backlog = 0;
    return bytes;
  }
  /** Whether the backlog was above HIGH_WATER since the last call: the driver owes the core an `onDrain` then. */
  wasHigh(): boolean {
    const high = this.#high;
    this.#high = false;
    return high;
  }
  #add(bytes: Buffer, owner: RefBuffer | null): void {
    this.#pieces.push({ bytes, owner });
    this.#backlog += bytes.length;
    if (this.#backlog > HIGH_WATER) this.#high = true;
  }
}
