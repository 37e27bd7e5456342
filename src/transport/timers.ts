// Timers: the deadlines of protocol cores, and waiting with a bound. Cores themselves never see a clock.
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../util/errors.js';
import type { Timed } from '../util/stream.js';
import { now } from './clock.js';
import { runTurn } from './turn.js';

/** setTimeout's own limit; longer waits are armed again. */
const LONGEST_MS = 2 ** 31 - 1;
/** How soon to look again at a deadline that passed while reading was stopped. */
const STALLED_MS = 1000;

/**
 * One timer for one core. An armed timer is left alone while the deadline only moves away, which costs a hot path
 * nothing. When the deadline has passed, one round of the event loop reads the sockets before `handleTimeout`: after
 * a stall timers run first, and the answer that the core is about to miss may be waiting in its socket.
 */
export class Alarm {
  readonly #timed: Timed;
  readonly #call: (work: () => void) => void;
  readonly #stalled: () => boolean;
  #timer: NodeJS.Timeout | undefined;
  #armedFor = Number.POSITIVE_INFINITY;
  #polling: NodeJS.Immediate | undefined;
  #stopped = false;

  /**
   * `call` wraps each call into the core. While `stalled` says true the core's socket is not being read, on our
   * account, so its silence means nothing and the deadline waits, unless the core says that it holds all the same.
   */
  constructor(timed: Timed, call: (work: () => void) => void = runTurn, stalled: () => boolean = () => false) {
    this.#timed = timed;
    this.#call = call;
    this.#stalled = stalled;
  }

  /** To be called after every call into the core. */
  rearm(): void {
    const deadline = this.#timed.deadline;
    if (this.#stopped || this.#polling !== undefined || deadline === undefined || deadline >= this.#armedFor) return;
    this.#arm(deadline);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearImmediate(this.#polling);
  }

  #arm(deadline: number): void {
    clearTimeout(this.#timer);
    this.#armedFor = deadline;
    const wait = Math.min(Math.max(0, Math.ceil(deadline - now())), LONGEST_MS);
    this.#timer = setTimeout(this.#fire, wait);
  }

  readonly #fire = (): void => {
    this.#armedFor = Number.POSITIVE_INFINITY;
    const deadline = this.#timed.deadline;
    if (deadline === undefined) return;
    if (deadline > now()) this.#arm(deadline);
    else if (this.#timed.holdsWhilePaused !== true && this.#stalled()) this.#arm(now() + STALLED_MS);
    else this.#polling = setImmediate(this.#expire);
  };

  readonly #expire = (): void => {
    this.#polling = undefined;
    const deadline = this.#timed.deadline;
    if (deadline !== undefined && deadline <= now()) this.#call(() => this.#timed.handleTimeout(now()));
    this.rearm();
  };
}

/** Drives a core that has deadlines but no socket of its own. Call `rearm` after each call into it. */
export function drive(timed: Timed, call?: (work: () => void) => void): Alarm {
  const alarm = new Alarm(timed, call);
  alarm.rearm();
  return alarm;
}

/** Waits `ms` milliseconds. Rejects with ERR_INTERRUPTED when `signal` aborts. */
export async function delay(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    throw new AppError('ERR_INTERRUPTED', 'interrupted', { cause: error });
  }
}

export interface Bound {
  /** Milliseconds; 0 or less is over at once. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** The error of a timeout. */
  onTimeout(): AppError;
}

/** `work`, or an error when its time is up or the caller gives up, whichever comes first. `work` itself goes on. */
export async function bounded<T>(work: Promise<T>, { timeoutMs, signal, onTimeout }: Bound): Promise<T> {
  const ended = new AbortController();
  const interrupted = new Promise<never>((_, reject) => {
    const give = () => reject(new AppError('ERR_INTERRUPTED', 'interrupted'));
    if (signal?.aborted) give();
    signal?.addEventListener('abort', give, { once: true, signal: ended.signal });
  });
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(onTimeout()), Math.max(0, timeoutMs));
    ended.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
  try {
    return await Promise.race([work, interrupted, late]);
  } finally {
    ended.abort();
  }
}
