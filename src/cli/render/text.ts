// Small pure pieces of output text: sizes, ages, and strings that came from a peer.
import { printable } from '../../util/printable.js';

export { formatSize } from '../../util/size.js';

/** A duration in two units at most: 9s, 4m10s, 2h14m, 3d5h. */
export function formatAge(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${s % 60}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h${Math.floor((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86_400)}d${Math.floor((s % 86_400) / 3600)}h`;
}

/** What a terminal would show in the end of a program's output that counts up with backspaces and returns, as mkfs.ext4's. */
export function settled(text: string): string {
  return text.split('\n').map(settledLine).join('\n');
}

function settledLine(line: string): string {
  const shown: string[] = [];
  let at = 0;
  for (const character of line) {
    if (character === '\b') at = Math.max(0, at - 1);
    else if (character === '\r') at = 0;
    else if (character === '\t' || printable(character) !== '') shown[at++] = character;
  }
  return shown.join('').trimEnd();
}

/** The value, or the dash that stands for nothing in tables. */
export function orDash(text: string | null | undefined): string {
  return text === null || text === undefined || text === '' ? '-' : text;
}
