// Logins that are tried again: the target may simply not be up yet.
import { now } from '../transport/clock.js';
import { delay } from '../transport/timers.js';
import { AppError } from '../util/errors.js';

const PAUSE_MS = 1000;
const MAY_PASS: readonly AppError['code'][] = ['ERR_CONNECT', 'ERR_TRANSPORT', 'ERR_TIMEOUT', 'ERR_NOT_CONNECTED'];

export interface RetryOptions {
  readonly signal: AbortSignal;
  /** Told why an attempt has failed that is made again. */
  onFailure?(error: AppError): void;
}

/** Repeats what may succeed later, once a second, until `seconds` are over; then throws what the last attempt did. */
export async function retrying<T>(
  seconds: number,
  attempt: () => Promise<T>,
  { signal, onFailure = () => {} }: RetryOptions,
): Promise<T> {
  const until = now() + seconds * 1000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!mayPass(error) || now() + PAUSE_MS > until) throw error;
      onFailure(error);
      await delay(PAUSE_MS, signal);
    }
  }
}

function mayPass(error: unknown): error is AppError {
  return error instanceof AppError && (error.retriable || MAY_PASS.includes(error.code));
}
