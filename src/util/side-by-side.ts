// Doing several things at once, but not all of many.

/**
 * Does `work` for every item, at most `most` at the same time, beginning in their order. Returns a promise for each in
 * that order; none of them is an unhandled rejection while another is waited for.
 */
export function sideBySide<T, R>(items: readonly T[], most: number, work: (item: T) => Promise<R>): Promise<R>[] {
  let running = 0;
  const waiting: (() => void)[] = [];
  const enter = async (): Promise<void> => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
  };
  // A place is handed on: the count stays.
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  };
  return items.map((item) => {
    const result = enter()
      .then(() => work(item))
      .finally(leave);
    result.catch(() => {});
    return result;
  });
}
