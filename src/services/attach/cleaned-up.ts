// Who is told of what has been cleaned up after a process that was killed: whichever call comes across it, a person hears of it.

let tell: (line: string) => void = () => {};

/** From now on `listener` of this process is told, one line for each dead process. */
export function tellOfCleanUp(listener: (line: string) => void): void {
  tell = listener;
}

/** `whose`: `session 1 to iqn.…`. */
export function cleanedUp(whose: string, removed: readonly string[]): void {
  if (removed.length > 0) tell(`${whose} had died; cleaned up: ${removed.join(', ')}`);
}
