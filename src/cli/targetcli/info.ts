// `info`: the plain values of an object, by name, as Python writes them.
import { isSecret } from '../../saveconfig/edits/auth.js';
import { MASK } from './mask.js';

/** Lists and what is inside of the object are left out. */
export function infoText(object: Readonly<Record<string, unknown>>): string {
  return infoValues(object)
    .map(([name, value]) => `${name}: ${pythonText(value)}`)
    .join('\n');
}

/** The same as pairs. */
export function infoValues(object: Readonly<Record<string, unknown>>): [string, string | number | boolean | null][] {
  return Object.entries(object)
    .filter(
      (entry): entry is [string, string | number | boolean | null] => entry[1] === null || typeof entry[1] !== 'object',
    )
    .filter(([, value]) => value !== undefined)
    .map(([name, value]): [string, string | number | boolean | null] => [
      name,
      isSecret(name) && value !== '' ? MASK : value,
    ])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function pythonText(value: string | number | boolean | null): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return String(value);
}
