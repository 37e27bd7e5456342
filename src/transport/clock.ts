// The one clock of drivers and cores: monotonic milliseconds.

/** Milliseconds since the process started, never going back. Not a time of day. */
export function now(): number {
  return performance.now();
}
