// Whether two series of measurements differ, on a machine that does other things beside.

/** The Mann-Whitney statistic in standard deviations: 0 for two samples of one kind, beyond ±4 once in 16,000 times. */
export function rankDifference(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((value) => ({ value, ours: true })), ...b.map((value) => ({ value, ours: false }))];
  all.sort((x, y) => x.value - y.value);
  const ranks = all.reduce((sum, { ours }, i) => sum + (ours ? i + 1 : 0), 0);
  const u = ranks - (a.length * (a.length + 1)) / 2;
  const spread = Math.sqrt((a.length * b.length * (a.length + b.length + 1)) / 12);
  return (u - (a.length * b.length) / 2) / spread;
}
