// A pool that knows what it has lent out.
import { BufferPool, type RefBuffer } from '../../src/util/ref-buffer.js';

export class CountingPool extends BufferPool {
  readonly #seen = new Set<RefBuffer>();

  override take(length: number): RefBuffer {
    const owner = super.take(length);
    this.#seen.add(owner);
    return owner;
  }
  /** The buffers that somebody still holds. */
  get lent(): readonly RefBuffer[] {
    return [...this.#seen].filter((owner) => owner.references > 0);
  }
}
