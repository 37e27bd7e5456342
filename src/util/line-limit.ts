// A bound on log lines that others can cause: clients that are refused must not fill a disk or a journal.

/** Lets so many lines through in each period, and then says how many it has kept back. */
export class LineLimit {
  readonly #lines: number;
  readonly #periodMs: number;
  #until = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor({ lines, periodMs }: { readonly lines: number; readonly periodMs: number }) {
    this.#lines = lines;
    this.#periodMs = periodMs;
  }

  /** What to print for `line` at `now` (monotonic milliseconds): it, with a word before about those kept back, or nothing. */
  pass(line: string, now: number): string[] {
    const late = now >= this.#until;
    const kept = late ? this.#count - this.#lines : 0;
    if (late) {
      this.#until = now + this.#periodMs;
      this.#count = 0;
    }
    this.#count++;
    if (this.#count > this.#lines) return [];
    return kept > 0 ? [`${kept} more lines like these were left out`, line] : [line];
  }
}
