// What -o says; given several times, the operations add up.
import type { Options } from './options.js';

const OPERATIONS = [
  'new',
  'delete',
  'update',
  'show',
  'nonpersistent',
  'apply',
  'applyall',
  'login',
  'logout',
] as const;
type Operation = (typeof OPERATIONS)[number];

export function isOperation(word: string): word is Operation {
  return OPERATIONS.some((operation) => operation === word);
}

/** The one operation asked for, none, or several at once. */
export function operationOf(options: Options): Operation | 'none' | 'several' {
  const [first = 'none', ...others] = new Set(options.all('o').filter(isOperation));
  return others.length === 0 ? first : 'several';
}

/** Every operation asked for. */
export function operationsOf(options: Options): ReadonlySet<Operation> {
  return new Set(options.all('o').filter(isOperation));
}

/**
 * The changes that -n and -v ask for. A name belongs to the value that comes next, or the other way round; what is left over counts
 * for nothing.
 */
export function changesOf(options: Options): [key: string, value: string][] {
  const changes: [string, string][] = [];
  let name: string | undefined;
  let value: string | undefined;
  for (const option of options) {
    if (option.letter === 'n') name = option.value;
    if (option.letter === 'v') value = option.value;
    if (name === undefined || value === undefined) continue;
    changes.push([name, value]);
    name = value = undefined;
  }
  return changes;
}
