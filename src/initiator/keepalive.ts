// NOP-Out keepalive, RFC 7143 §11.18–11.19: asks an idle peer whether it lives. Every received PDU counts as life.

type State = 'idle' | 'awaiting-reply' | 'dead';
type Event = 'interval' | 'life' | 'deadline' | 'stop';

export const TRANSITIONS: Record<State, Partial<Record<Event, State>>> = {
  idle: { interval: 'awaiting-reply', life: 'idle', stop: 'dead' },
  'awaiting-reply': { life: 'idle', deadline: 'dead', stop: 'dead' },
  dead: { stop: 'dead' },
};

/** What the connection has to do when a keepalive's time has come. */
export type KeepaliveAction = 'none' | 'send-nop-out' | 'lost';

/** Spans in milliseconds; an interval of 0 switches it off. */
export class Keepalive {
  readonly #intervalMs: number;
  readonly #timeoutMs: number;
  #state: State = 'idle';
  #due: number;

  constructor(options: { readonly intervalMs: number; readonly timeoutMs: number }, now: number) {
    this.#intervalMs = options.intervalMs;
    this.#timeoutMs = options.timeoutMs;
    this.#due = now + options.intervalMs;
    if (options.intervalMs <= 0) this.#go('stop');
  }
  get state(): State {
    return this.#state;
  }
  get deadline(): number | undefined {
    return this.#state === 'dead' ? undefined : this.#due;
  }
  /** Early, late and repeated calls are harmless. */
  handleTimeout(now: number): KeepaliveAction {
    if (this.#state === 'dead' || now < this.#due) return 'none';
    if (this.#state === 'awaiting-reply') {
      this.#go('deadline');
      return 'lost';
    }
    this.#go('interval');
    this.#due = now + this.#timeoutMs;
    return 'send-nop-out';
  }
  /** Something came from the peer. */
  handleReceived(now: number): void {
    if (this.#state === 'dead') return;
    if (this.#state !== 'idle') this.#go('life');
    this.#due = now + this.#intervalMs;
  }
  stop(): void {
    this.#go('stop');
  }
  #go(event: Event): void {
    const next = TRANSITIONS[this.#state][event];
    if (next === undefined) throw new Error(`keepalive: ${event} while ${this.#state}`);
    this.#state = next;
  }
}
