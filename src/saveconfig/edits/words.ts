// Reading the words of targetcli's parameters: sizes, numbers, booleans.
import { invalid } from './edit.js';

const SIZE = /^(\d{1,15})([kmgt]?)b?$/;
const POWERS = 'kmgt';

/**
 * Bytes of `10G`, `64M`, `4096`, `1MiB`: units count in 1024.
 * @throws RefusedEdit for anything else, and above 2^53 − 1
 */
export function sizeWord(text: string): number {
  const [, digits, unit = ''] = SIZE.exec(text.toLowerCase().replaceAll('i', '')) ?? [];
  const bytes = Number(digits) * 1024 ** (unit === '' ? 0 : POWERS.indexOf(unit) + 1);
  if (digits === undefined || !Number.isSafeInteger(bytes))
    throw invalid(`Cannot interpret size, wrong format: ${text}`);
  return bytes;
}

/** @throws RefusedEdit unless it is true or false, in any case */
export function boolWord(text: string | undefined, fallback: boolean): boolean {
  if (text === undefined) return fallback;
  const word = text.toLowerCase();
  if (word === 'true' || word === 'false') return word === 'true';
  throw invalid(`Syntax error, '${text}' is not true|false.`);
}

/** As `boolWord`, and 1 and 0 and yes and no besides. */
export function flagWord(name: string, text: string | undefined, fallback: boolean): boolean {
  if (text === undefined) return fallback;
  if (/^(?:1|true|yes)$/i.test(text)) return true;
  if (/^(?:0|false|no)$/i.test(text)) return false;
  throw invalid(`${name} must be 1 or 0, '${text}' given`);
}

/** @throws RefusedEdit unless it is a whole number */
export function numberWord(text: string): number {
  if (/^[+-]?\d{1,15}$/.test(text)) return Number(text);
  throw invalid(`Syntax error, '${text}' is not a NUMBER.`);
}

/** The number in `5` or `PREFIX5`, or null. */
export function numberAfter(prefix: string, text: string): number | null {
  const digits = text.toLowerCase().startsWith(prefix) ? text.slice(prefix.length) : text;
  return /^\d{1,9}$/.test(digits) ? Number(digits) : null;
}
