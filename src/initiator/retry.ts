// When a command that has not succeeded is sent again, and when it is given up.

/**
 * Why a command may succeed when it is sent again. `now`: it was aborted. `attention`: a unit attention came in its place.
 * `later`: the unit is busy. `timed-out`: no answer, and it has been aborted. `refused`: the target rejected the PDU.
 */
export type Retry = 'no' | 'now' | 'later' | 'attention' | 'timed-out' | 'refused';

/** Unit attentions in a row that one command may meet, less one: units queue several, a hundred are a unit gone mad. */
const MOST_ATTENTIONS = 99;
const MOST_ABORTED = 8;
const MOST_TIMED_OUT = 2;
const MOST_REFUSED = 2;

/** Tries at once before pauses begin, and the pauses in milliseconds. */
const AT_ONCE = 3;
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 100;
const LONGEST_BUSY_MS = 800;

/** What one command has met since it last succeeded. Made when it first fails. */
export class Trouble {
  #attentions = 0;
  #aborted = 0;
  #timedOut = 0;
  #refused = 0;
  /** When the unit was first too busy for it. */
  #busySince: number | null = null;

  /**
   * Milliseconds until the next try, 0 for at once, or null to give up. A busy unit is waited for during `patienceMs`;
   * `salt`, any number, spreads the tries of many commands.
   */
  nextTry(retry: Retry, now: number, patienceMs: number, salt: number): number | null {
    switch (retry) {
      case 'no':
        return null;
      case 'attention':
        return this.#attentions < MOST_ATTENTIONS ? pauseMs(this.#attentions++) : null;
      case 'now':
        return this.#aborted < MOST_ABORTED ? pauseMs(this.#aborted++) : null;
      case 'timed-out':
        return this.#timedOut++ < MOST_TIMED_OUT ? 0 : null;
      case 'refused':
        return this.#refused < MOST_REFUSED ? FIRST_PAUSE_MS * 10 ** ++this.#refused : null;
      case 'later':
        return this.#busy(now, patienceMs, salt);
    }
  }
  /** As long again as it has taken so far: that doubles. The last try comes when the patience ends. */
  #busy(now: number, patienceMs: number, salt: number): number | null {
    this.#busySince ??= now;
    const waited = now - this.#busySince;
    if (waited >= patienceMs) return null;
    const pause = Math.min(LONGEST_BUSY_MS, Math.max(FIRST_PAUSE_MS, waited));
    return Math.max(1, Math.min(Math.round(pause * jitter(salt + waited)), patienceMs - waited));
  }
}

/** How long to wait after that many failures in a row that are no fault of the command: the first few at once. */
export function pauseMs(tries: number): number {
  return tries < AT_ONCE ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (tries - AT_ONCE));
}

/** 0.75 to 1.25, evenly spread over numbers that follow each other: Knuth's multiplicative hash. */
function jitter(salt: number): number {
  return 0.75 + (Math.imul(salt | 0, 0x9e37_79b1) >>> 0) / 2 ** 33;
}
