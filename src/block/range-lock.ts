// Keeps a read-modify-write from losing bytes that another write changes in between.

/** One who wants a range of bytes. A pooled object may be reused once it has released. */
export interface RangeHolder {
  /** First byte, and the byte after the last. */
  rangeStart: number;
  rangeEnd: number;
  /** Exclusive holders share their bytes with nobody; the others share with each other. */
  readonly exclusive: boolean;
  /** The lock's own: where the holder stands in its list. */
  rangeSlot: number;
  /** The range is held from now on, until `release`. May be called within `acquire` or within another's `release`. */
  onRange(): void;
}

/**
 * A reader-writer lock over byte ranges, fair: nobody overtakes an earlier request that it conflicts with.
 * While nobody exclusive is about, which is the usual case, it costs a push and a pop.
 */
export class RangeLock {
  readonly #held: RangeHolder[] = [];
  readonly #waiting: RangeHolder[] = [];
  /** Exclusive holders, held and waiting. */
  #exclusive = 0;

  acquire(holder: RangeHolder): void {
    if (holder.exclusive) this.#exclusive++;
    if (this.#exclusive > 0 && (this.#blockedByHeld(holder) || this.#blockedByWaiting(holder, this.#waiting.length))) {
      this.#waiting.push(holder);
      return;
    }
    this.#grant(holder);
  }

  release(holder: RangeHolder): void {
    const last = this.#held.pop();
    if (last === undefined || this.#held.length < holder.rangeSlot) throw new Error('a range was released twice');
    if (last !== holder) {
      this.#held[holder.rangeSlot] = last;
      last.rangeSlot = holder.rangeSlot;
    }
    if (holder.exclusive) this.#exclusive--;
    if (this.#waiting.length > 0) this.#grantWaiting();
  }

  #grant(holder: RangeHolder): void {
    holder.rangeSlot = this.#held.length;
    this.#held.push(holder);
    holder.onRange();
  }
  // `onRange` may release at once and so come back here: start over after each grant instead of walking a changing list.
  #grantWaiting(): void {
    for (let i = 0; i < this.#waiting.length; ) {
      const holder = this.#waiting[i];
      if (holder === undefined || this.#blockedByHeld(holder) || this.#blockedByWaiting(holder, i)) {
        i++;
        continue;
      }
      this.#waiting.splice(i, 1);
      this.#grant(holder);
      i = 0;
    }
  }
  #blockedByHeld(holder: RangeHolder): boolean {
    return this.#held.some((other) => conflict(other, holder));
  }
  #blockedByWaiting(holder: RangeHolder, before: number): boolean {
    for (let i = 0; i < before; i++) {
      const other = this.#waiting[i];
      if (other !== undefined && conflict(other, holder)) return true;
    }
    return false;
  }
}

function conflict(a: RangeHolder, b: RangeHolder): boolean {
  return (a.exclusive || b.exclusive) && a.rangeStart < b.rangeEnd && b.rangeStart < a.rangeEnd;
}
