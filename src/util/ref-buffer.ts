// Memory with a reference count, so that a received payload can be handed on without a copy.

/**
 * A pooled buffer and the number of its holders. The maker holds one reference; whoever keeps a view of `buffer`
 * past the call in which it was received retains, and releases exactly once. At zero it goes back to its pool.
 */
export class RefBuffer {
  readonly buffer: Buffer;
  #count = 1;
  readonly #free: ((owner: RefBuffer) => void) | undefined;

  constructor(buffer: Buffer, free?: (owner: RefBuffer) => void) {
    this.buffer = buffer;
    this.#free = free;
  }
  get references(): number {
    return this.#count;
  }
  /** Used by pools only: a fresh holder for memory that came back. */
  reset(): void {
    if (this.#count !== 0) throw new Error('a buffer in use cannot be reset');
    this.#count = 1;
  }
  retain(): void {
    if (this.#count === 0) throw new Error('a released buffer cannot be retained');
    this.#count++;
  }
  release(): void {
    if (this.#count === 0) throw new Error('a buffer was released twice');
    if (--this.#count === 0) this.#free?.(this);
  }
}

/** Pools of power-of-two buffers from 4 KiB to `largest` bytes; bigger requests get memory of their own. */
export class BufferPool {
  readonly #classes = new Map<number, RefBuffer[]>();
  readonly #largest: number;
  readonly #keepBytes: number;
  #keptBytes = 0;

  constructor({ largest = 2 ** 25, keepBytes = 2 ** 24 } = {}) {
    this.#largest = largest;
    this.#keepBytes = keepBytes;
  }
  /** A buffer of at least `length` bytes, contents undefined, held once by the caller. */
  take(length: number): RefBuffer {
    const size = 2 ** Math.max(12, Math.ceil(Math.log2(Math.max(1, length))));
    const kept = this.#classes.get(size)?.pop();
    if (kept) {
      this.#keptBytes -= size;
      kept.reset();
      return kept;
    }
    if (size > this.#largest) return new RefBuffer(Buffer.allocUnsafeSlow(length));
    return new RefBuffer(Buffer.allocUnsafeSlow(size), (owner) => this.#give(owner));
  }
  #give(owner: RefBuffer): void {
    const size = owner.buffer.length;
    if (this.#keptBytes + size > this.#keepBytes) return;
    const kept = this.#classes.get(size);
    if (kept) kept.push(owner);
    else this.#classes.set(size, [owner]);
    this.#keptBytes += size;
  }
}
