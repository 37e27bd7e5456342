// What all sessions together have fetched for initiators that have not read it yet: no number of slow readers may exhaust the
// process, and none of them may keep a quick one from being served.

/** A session, as far as it holds such data. */
export interface OutputHolder {
  /** Bytes being fetched from devices, and bytes queued that the kernel has not taken. */
  readonly outputHeld: number;
}

/** Beyond the limit a session that holds nothing still gets a piece of this size, and no other before that has left. Bytes. */
export const SMALL_PIECE = 65_536;

export class OutputMemory {
  readonly limit: number;
  readonly #holders = new Set<OutputHolder>();

  constructor(limit: number) {
    this.limit = limit;
  }
  add(holder: OutputHolder): void {
    this.#holders.add(holder);
  }
  remove(holder: OutputHolder): void {
    this.#holders.delete(holder);
  }
  /** Counted when asked: what is queued shrinks without anybody being told. */
  get held(): number {
    let held = 0;
    for (const holder of this.#holders) held += holder.outputHeld;
    return held;
  }
  hasRoom(bytes: number): boolean {
    return this.held + bytes <= this.limit;
  }
}
