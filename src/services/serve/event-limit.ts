// How much of what strangers do is told one by one: whoever may not log in must not be able to fill a log.
import type { TargetEvent } from '../../target/events.js';
import type { OnEvent } from './connections.js';

type Remote = Parameters<OnEvent>[1];

/** Lines for one address, and for all of them together, in a stretch of so many milliseconds. */
const STRETCH_MS = 10_000;
const EACH = 20;
const ALL = 200;
/** Addresses that are counted one by one; the others of a stretch share one count, under the name of the first of them. */
const MOST_ADDRESSES = 64;
const OTHERS = '';

interface Stretch {
  readonly since: number;
  readonly remote: Remote;
  told: number;
  omitted: number;
}

/** Passes events on. What it leaves out is counted and told in one line, with the next event after the stretch. */
export class EventLimit {
  readonly #to: OnEvent;
  readonly #now: () => number;
  /** By address, the oldest first. */
  readonly #stretches = new Map<string, Stretch>();
  #all: { readonly since: number; told: number };

  constructor(to: OnEvent, now: () => number) {
    this.#to = to;
    this.#now = now;
    this.#all = { since: now(), told: 0 };
  }

  take(event: TargetEvent, remote: Remote): void {
    this.#settle();
    if (!isCheap(event) || this.#mayTell(remote)) this.#to(event, remote);
  }

  #mayTell(remote: Remote): boolean {
    const own = this.#stretches.has(remote.address) || this.#stretches.size < MOST_ADDRESSES;
    const key = own ? remote.address : OTHERS;
    const stretch = this.#stretches.get(key) ?? { since: this.#now(), remote, told: 0, omitted: 0 };
    this.#stretches.set(key, stretch);
    if (stretch.told >= EACH || this.#all.told >= ALL) {
      stretch.omitted++;
      return false;
    }
    stretch.told++;
    this.#all.told++;
    return true;
  }

  /** Ends the stretches that are over. */
  #settle(): void {
    const over = this.#now() - STRETCH_MS;
    if (this.#all.since <= over) this.#all = { since: this.#now(), told: 0 };
    for (const [address, stretch] of this.#stretches) {
      if (stretch.since > over) return;
      this.#stretches.delete(address);
      if (stretch.omitted > 0) this.#to({ kind: 'omitted', count: stretch.omitted }, stretch.remote);
    }
  }
}

/** What costs a stranger nothing. */
function isCheap(event: TargetEvent): boolean {
  if (event.kind === 'login' || event.kind === 'end') return event.targetName === null;
  return event.kind !== 'omitted';
}
