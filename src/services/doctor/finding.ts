// What a check of `doctor` has found, and how checks are kept from taking forever.
import { bounded } from '../../transport/timers.js';
import { AppError, messageOf } from '../../util/errors.js';
import { oneLine } from '../../util/printable.js';

/** warn: works, but somebody should know. fail: something that people want to do does not work. */
export type Level = 'ok' | 'warn' | 'fail';

export interface Finding {
  /** What was looked at, in a word or two that stay the same. */
  readonly check: string;
  readonly level: Level;
  /** One line. */
  readonly message: string;
  /** A command, or what to change; null where there is nothing to do. */
  readonly fix: string | null;
}

/** Looks at one thing. It changes nothing, and each of its own waits is bounded. */
export interface Check {
  readonly name: string;
  run(signal: AbortSignal): Promise<readonly Finding[]> | readonly Finding[];
}

/** For what has no bound of its own, as a folder on a dead file server. */
const CHECK_MS = 30_000;

export function ok(check: string, message: string): Finding {
  return { check, level: 'ok', message: oneLine(message), fix: null };
}
export function warn(check: string, message: string, fix: string | null = null): Finding {
  return { check, level: 'warn', message: oneLine(message), fix };
}
export function fail(check: string, message: string, fix: string | null = null): Finding {
  return { check, level: 'fail', message: oneLine(message), fix };
}
/** A thrown error, with its hint for a fix. */
export function failure(check: string, error: unknown): Finding {
  return fail(check, messageOf(error), error instanceof AppError ? (error.hint ?? null) : null);
}

/** The findings of one check after another. What a check throws is a finding; only `signal` ends them early. */
export async function* examine(checks: readonly Check[], signal: AbortSignal): AsyncGenerator<Finding, void, void> {
  for (const { name, run } of checks) {
    signal.throwIfAborted();
    try {
      const onTimeout = () => new AppError('ERR_TIMEOUT', `${name}: no end within ${CHECK_MS / 1000} s`);
      const work = Promise.resolve().then(() => run(signal));
      yield* await bounded(work, { timeoutMs: CHECK_MS, signal, onTimeout });
    } catch (error) {
      signal.throwIfAborted();
      yield failure(name, error);
    }
  }
}
