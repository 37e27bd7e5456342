// Waiting with an end.
import { delay } from '../../transport/timers.js';

/** What `work` settles to, or undefined after `ms` milliseconds; `work` goes on then. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  const stop = new AbortController();
  const late = delay(ms, stop.signal).then(
    () => undefined,
    () => undefined,
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    stop.abort();
  }
}
