// `doctor` for people: a word, what was found, and what to do about it.
import type { Finding } from '../../services/doctor/finding.js';
import { printable } from '../../util/printable.js';

const WORD = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' } as const;
/** Where what to do begins, if there is room before. */
const MESSAGE_COLUMNS = 44;

export function findingLine({ level, message, fix }: Finding): string {
  const text = printable(message);
  return `${WORD[level]}  ${fix === null ? text : `${text.padEnd(MESSAGE_COLUMNS)}  ${printable(fix)}`}\n`;
}

export function findingsSummary(problems: number, warnings: number): string {
  const some = [count(problems, 'problem'), count(warnings, 'warning')].filter((text) => text !== '');
  return `${some.length === 0 ? 'nothing is wrong' : some.join(', ')}\n`;
}

function count(number: number, what: string): string {
  return number === 0 ? '' : `${number} ${what}${number === 1 ? '' : 's'}`;
}
