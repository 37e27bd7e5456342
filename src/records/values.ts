// Ordered `key = value` pairs: what a record file, iscsid.conf and an iface file all hold.

/** A key whose value has become another; '' is none. */
export interface ValueChange {
  readonly key: string;
  readonly from: string;
  readonly to: string;
}

/**
 * A map that remembers the order of a file it came from, so that writing it back changes only what was set.
 * The empty string is "no value": it is not written to files.
 */
export class RecordValues {
  readonly #map = new Map<string, string>();
  /** The canonical order, for keys that were not there yet. */
  readonly #order: readonly string[];

  constructor(order: readonly string[], pairs: Iterable<readonly [string, string]> = []) {
    this.#order = order;
    for (const [key, value] of pairs) this.#map.set(key, value);
  }
  get(key: string): string | undefined {
    return this.#map.get(key);
  }
  /** The value, or '' where there is none. */
  text(key: string): string {
    return this.#map.get(key) ?? '';
  }
  /** Replaces in place, or inserts behind the nearest key that comes before it in the canonical order. */
  set(key: string, value: string): void {
    if (this.#map.has(key)) {
      this.#map.set(key, value);
      return;
    }
    const rank = this.#order.indexOf(key);
    const pairs = [...this.#map];
    const behind = rank === -1 ? pairs.length - 1 : pairs.findLastIndex(([other]) => this.#before(other, rank));
    pairs.splice(behind + 1, 0, [key, value]);
    this.#map.clear();
    for (const [k, v] of pairs) this.#map.set(k, v);
  }
  /** Sets each of `pairs`; returns those that had another value before. */
  setAll(pairs: Iterable<readonly [string, string]>): ValueChange[] {
    const changed: ValueChange[] = [];
    for (const [key, to] of pairs) {
      const from = this.text(key);
      if (from !== to) changed.push({ key, from, to });
      this.set(key, to);
    }
    return changed;
  }
  delete(key: string): void {
    this.#map.delete(key);
  }
  *[Symbol.iterator](): IterableIterator<[string, string]> {
    yield* this.#map;
  }
  #before(other: string, rank: number): boolean {
    const otherRank = this.#order.indexOf(other);
    return otherRank !== -1 && otherRank < rank;
  }
}
