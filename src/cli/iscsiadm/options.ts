// The command line of iscsiadm: getopt_long(3)'s rules (options and words in any order, -mnode, -lD, unique beginnings
// of long names) and which letters each mode allows.

/** Long names in open-iscsi's order, with the letter of each. */
export const LONG: readonly (readonly [name: string, letter: string])[] = [
  ['mode', 'm'],
  ['portal', 'p'],
  ['targetname', 'T'],
  ['interface', 'I'],
  ['op', 'o'],
  ['type', 't'],
  ['name', 'n'],
  ['value', 'v'],
  ['host', 'H'],
  ['sid', 'r'],
  ['rescan', 'R'],
  ['print', 'P'],
  ['discover', 'D'],
  ['login', 'l'],
  ['loginall', 'L'],
  ['logout', 'u'],
  ['logoutall', 'U'],
  ['stats', 's'],
  ['killiscsid', 'k'],
  ['debug', 'd'],
  ['show', 'S'],
  ['version', 'V'],
  ['help', 'h'],
  ['submode', 'C'],
  ['ip', 'a'],
  ['packetsize', 'b'],
  ['count', 'c'],
  ['interval', 'i'],
  ['index', 'x'],
  ['portal_type', 'A'],
  ['no_wait', 'W'],
];
const WITHOUT_VALUE = 'RDlusSVhW';
/** The value of its long name is part of the same word, or absent; the letter needs one. */
const OPTIONAL_VALUE = 'A';
const LETTERS = new Set(LONG.map(([, letter]) => letter));

/** Whether the next word is the value of this option. */
export function takesValue(letter: string): boolean {
  return !WITHOUT_VALUE.includes(letter) && !OPTIONAL_VALUE.includes(letter);
}

/** The letters that a mode takes. Discovery and discoverydb share a name in messages. */
export const MODES = {
  discovery: { name: 'discovery', letters: 'DSIPdmntplov' },
  discoverydb: { name: 'discovery', letters: 'DSIPdmntplov' },
  node: { name: 'node', letters: 'RsPIdmlSonvupTULW' },
  session: { name: 'session', letters: 'PiRdrmusonSv' },
  host: { name: 'host', letters: 'CHdmPotnvxA' },
  iface: { name: 'iface', letters: 'HIdnvmPoCabci' },
  fw: { name: 'fw', letters: 'dmlWnv' },
} as const;
export type Mode = keyof typeof MODES;

export interface GivenOption {
  readonly letter: string;
  /** Empty where the option takes none. */
  readonly value: string;
}

/** What getopt finds wrong: its own line, and what it leaves in optopt ('' for a long name). */
export interface GetoptProblem {
  readonly line: string;
  readonly optopt: string;
}

/** One thing that getopt comes to. */
export type Step = GivenOption | GetoptProblem;

export function isProblem(step: Step): step is GetoptProblem {
  return 'line' in step;
}

/** What getopt finds, in its order; words that belong to no option are ignored, as iscsiadm does. Never throws. */
export function scanOptions(argv: readonly string[]): Step[] {
  const steps: Step[] = [];
  const rest = [...argv];
  for (let word = rest.shift(); word !== undefined && word !== '--'; word = rest.shift()) {
    if (word.startsWith('--')) scanLong(word.slice(2), rest, steps);
    else if (word.startsWith('-') && word !== '-') scanShort(word.slice(1), rest, steps);
  }
  return steps;
}

function scanLong(word: string, rest: string[], steps: Step[]): void {
  const [typed = '', ...after] = word.split('=');
  const value = after.length === 0 ? undefined : after.join('=');
  const exact = LONG.find(([name]) => name === typed);
  const fitting = exact === undefined ? LONG.filter(([name]) => name.startsWith(typed)) : [exact];
  const [found, another] = fitting;
  if (found === undefined) {
    steps.push({ line: `unrecognized option '--${word}'`, optopt: '' });
    return;
  }
  if (another !== undefined) {
    const names = fitting.map(([name]) => ` '--${name}'`).join('');
    steps.push({ line: `option '--${word}' is ambiguous; possibilities:${names}`, optopt: '' });
    return;
  }
  const [name, letter] = found;
  if (WITHOUT_VALUE.includes(letter)) {
    if (value === undefined) steps.push({ letter, value: '' });
    else steps.push({ line: `option '--${name}' doesn't allow an argument`, optopt: letter });
    return;
  }
  const given = value ?? (OPTIONAL_VALUE.includes(letter) ? '' : rest.shift());
  if (given === undefined) steps.push({ line: `option '--${name}' requires an argument`, optopt: letter });
  else steps.push({ letter, value: given });
}

function scanShort(word: string, rest: string[], steps: Step[]): void {
  for (let i = 0; i < word.length; i++) {
    const letter = word.charAt(i);
    if (!LETTERS.has(letter)) {
      steps.push({ line: `invalid option -- '${letter}'`, optopt: letter });
      continue;
    }
    if (WITHOUT_VALUE.includes(letter)) {
      steps.push({ letter, value: '' });
      continue;
    }
    const attached = word.slice(i + 1);
    const value = attached === '' ? rest.shift() : attached;
    if (value === undefined) steps.push({ line: `option requires an argument -- '${letter}'`, optopt: letter });
    else steps.push({ letter, value });
    return;
  }
}

/** The options of one call, for the modes: by letter, the last one of each counts. */
export class Options {
  readonly #given: readonly GivenOption[];
  constructor(given: readonly GivenOption[]) {
    this.#given = given;
  }
  [Symbol.iterator](): Iterator<GivenOption> {
    return this.#given[Symbol.iterator]();
  }
  has(letter: string): boolean {
    return this.#given.some((option) => option.letter === letter);
  }
  /** The value given last. */
  text(letter: string): string | undefined {
    return this.#given.findLast((option) => option.letter === letter)?.value;
  }
  /** Every value given, in order: for -I and -o, -n and -v. */
  all(letter: string): readonly string[] {
    return this.#given.filter((option) => option.letter === letter).map(({ value }) => value);
  }
  /** As atoi(3): the leading digits, else 0. Undefined where the option is not given. */
  number(letter: string): number | undefined {
    const text = this.text(letter);
    return text === undefined ? undefined : Number.parseInt(text, 10) || 0;
  }
}

export function isMode(text: string): text is Mode {
  return Object.hasOwn(MODES, text);
}
