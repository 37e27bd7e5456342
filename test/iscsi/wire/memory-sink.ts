// A transmit sink that keeps what was sent, so that a test can read it as one run of bytes.
import assert from 'node:assert/strict';
import type { RefBuffer } from '../../../src/util/ref-buffer.js';
import { SLAB_LARGEST, type TransmitSink } from '../../../src/util/stream.js';

export class MemorySink implements TransmitSink {
  slab = Buffer.alloc(0);
  backlog = 0;
  readonly #pieces: { bytes: Buffer; owner: RefBuffer | null }[] = [];

  reserve(length: number): number {
    assert.ok(length > 0 && length <= SLAB_LARGEST, `${length} bytes are no reservation`);
    // Dirty memory at an odd place, as in a slab that has been in use.
    this.slab = Buffer.alloc(length + 5, 0xa5);
    this.#pieces.push({ bytes: this.slab.subarray(5), owner: null });
    return 5;
  }
  append(piece: Buffer, owner: RefBuffer | null): void {
    owner?.retain();
    this.#pieces.push({ bytes: piece, owner });
  }
  /** How many pieces have gone by reference or in the slab. */
  get pieces(): number {
    return this.#pieces.length;
  }
  /** Everything sent so far, in order; owners are released. */
  take(): Buffer {
    const all = Buffer.concat(this.#pieces.map(({ bytes }) => bytes));
    for (const { owner } of this.#pieces) owner?.release();
    this.#pieces.length = 0;
    return all;
  }
}
