// The write data that all sessions together may hold, so that no number of initiators can exhaust the process.

/** A budget in bytes. Unsolicited data was promised by the window and is always taken; R2Ts wait for room. */
export class WriteMemory {
  readonly limit: number;
  #held = 0;
  readonly #waiting = new Set<() => void>();

  constructor(limit: number) {
    this.limit = limit;
  }
  get held(): number {
    return this.#held;
  }
  /** Whether new commands should be put off: the window stays closed, and writes that come all the same are refused. */
  get exhausted(): boolean {
    return this.#held >= this.limit;
  }
  /** Takes room if there is some. A holder of nothing always gets its first piece, or a big one would wait for ever. */
  reserve(bytes: number): boolean {
    if (this.#held > 0 && this.#held + bytes > this.limit) return false;
    this.#held += bytes;
    return true;
  }
  take(bytes: number): void {
    this.#held += bytes;
  }
  release(bytes: number): void {
    this.#held -= bytes;
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
  /** Calls `wake` once when room was given back. The same function waits once. */
  wait(wake: () => void): void {
    this.#waiting.add(wake);
  }
  forget(wake: () => void): void {
    this.#waiting.delete(wake);
  }
}
