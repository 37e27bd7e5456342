// 32-bit serial numbers, RFC 1982 as RFC 7143 §4.2.2.1 uses it for CmdSN, StatSN and their windows.

/** The number `by` steps after `serial`, modulo 2^32. */
export function serialAdd(serial: number, by: number): number {
  return (serial + by) >>> 0;
}

/** Signed distance from `b` to `a` (a − b), in −2^31 … 2^31−1. */
export function serialDiff(a: number, b: number): number {
  return (a - b) | 0;
}

/** Whether `a` comes before `b`. */
export function serialLess(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}
