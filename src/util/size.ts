// Sizes as people write them. K M G T P and KiB… count in 1024 (lsblk, qemu, targetcli), KB… in 1000 (dd, parted).
import { AppError } from './errors.js';

const LETTERS = 'KMGTP';
const FORM = /^(\d{1,15})(?:\.(\d{1,6}))?\s?(?:([KMGTP])(iB|B)?|B)?$/i;

/**
 * Bytes. `10G`, `1.5T`, `512MiB`, `500GB`, `4096`; a fraction of a byte is dropped.
 * @throws AppError ERR_USAGE for anything else, and above 2^53 − 1.
 */
export function parseSize(text: string): number {
  const match = FORM.exec(text.trim());
  const [, whole, fraction = '', letter, suffix] = match ?? [];
  if (whole === undefined)
    throw new AppError('ERR_USAGE', `"${text}" is no size`, { hint: 'write 10G, 512M, 1.5T or 500GB' });
  const exponent = letter === undefined ? 0 : LETTERS.indexOf(letter.toUpperCase()) + 1;
  const base = suffix?.toUpperCase() === 'B' ? 1000n : 1024n;
  const scale = base ** BigInt(exponent);
  const bytes = (BigInt(whole + fraction) * scale) / 10n ** BigInt(fraction.length);
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw new AppError('ERR_USAGE', `${text} is larger than any disk`);
  return Number(bytes);
}

const UNITS = ['B', 'K', 'M', 'G', 'T', 'P'] as const;

/** A size as lsblk writes it: 512B, 64M, 1.5G, 10G; powers of 1024, one decimal at most. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const rounded = Math.round(value * 10) / 10;
  if (rounded >= 1024 && unit < UNITS.length - 1) return `1${UNITS[unit + 1]}`;
  return `${rounded}${UNITS[unit]}`;
}
