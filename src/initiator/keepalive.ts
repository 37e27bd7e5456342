// NOP-Out keepalive, RFC 7143 §11.18–11.19: asks an idle peer whether it lives. Every received PDU counts as life; while a
// question is out, so does that a full socket is being emptied: the question may stand behind megabytes on a slow line.

type State = 'idle' | 'awaiting-reply' | 'dead';
type Event = 'interval' | 'life' | 'deadline' | 'stop';

export const TRANSITIONS: Record<State, Partial<Record<Event, State>>> = {
  idle: { interval: 'awaiting-reply', life: 'idle', stop: 'dead' },
  'awaiting-reply': { life: 'idle', deadline: 'dead', stop: 'dead' },
  dead: { stop: 'dead' },
};

/** What the connection has to do when a keepalive's time has come. */
export type KeepaliveAction = 'none' | 'send-nop-out' | 'lost';

/** So much of the interval, at most, is left out: a peer that is gone is told by interval + timeout although timers are late. */
const EARLY_MS = 100;
const EARLY_PART = 0.02;
/** How often to look whether a full socket is being emptied, milliseconds. */
const LOOK_MS = 1000;

export interface KeepaliveOptions {
  /** Milliseconds; 0 switches it off. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** A number that grows while the peer takes data that had to wait for it; absent where nobody knows. */
  readonly taken?: () => number;
}

export class Keepalive {
  /** Silence before a question. */
  readonly #askAfterMs: number;
  readonly #timeoutMs: number;
  readonly #taken: (() => number) | undefined;
  #state: State = 'idle';
  #due: number;
  /** While a question is out: when to look again at what has been taken, and what had been at the last look. */
  #lookAt = Number.POSITIVE_INFINITY;
  #seen = 0;

  constructor(options: KeepaliveOptions, now: number) {
    this.#askAfterMs = options.intervalMs - Math.min(EARLY_MS, options.intervalMs * EARLY_PART);
    this.#timeoutMs = options.timeoutMs;
    this.#taken = options.taken;
    this.#due = now + this.#askAfterMs;
    if (options.intervalMs <= 0) this.#go('stop');
  }
  get state(): State {
    return this.#state;
  }
  get deadline(): number | undefined {
    if (this.#state === 'dead') return undefined;
    return this.#state === 'idle' ? this.#due : Math.min(this.#due, this.#lookAt);
  }
  /** Early, late and repeated calls are harmless. */
  handleTimeout(now: number): KeepaliveAction {
    if (this.#state === 'awaiting-reply') this.#look(now);
    if (this.#state === 'dead' || now < this.#due) return 'none';
    if (this.#state === 'awaiting-reply') {
      this.#go('deadline');
      return 'lost';
    }
    this.#go('interval');
    this.#due = now + this.#timeoutMs;
    if (this.#taken !== undefined) {
      this.#seen = this.#taken();
      this.#lookAt = now + LOOK_MS;
    }
    return 'send-nop-out';
  }
  /** Something came from the peer. */
  handleReceived(now: number): void {
    if (this.#state === 'dead') return;
    if (this.#state !== 'idle') this.#go('life');
    this.#due = now + this.#askAfterMs;
  }
  stop(): void {
    this.#go('stop');
  }
  #look(now: number): void {
    const taken = this.#taken?.();
    if (taken === undefined) return;
    if (taken !== this.#seen) this.#due = now + this.#timeoutMs;
    this.#seen = taken;
    this.#lookAt = now + LOOK_MS;
  }
  #go(event: Event): void {
    const next = TRANSITIONS[this.#state][event];
    if (next === undefined) throw new Error(`keepalive: ${event} while ${this.#state}`);
    this.#state = next;
  }
}
