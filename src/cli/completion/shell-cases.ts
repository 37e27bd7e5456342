// The table as functions of a shell: each is given a key and leaves what belongs to it in `kind`. bash and zsh read the same
// text; fish has its own words for it.
import { kindText, type Place } from './table.js';

/** Groups of keys that have the same answer. A key may end with `*`, which stands for anything. */
type Cases = readonly (readonly [keys: readonly string[], answer: string])[];

export interface ShellCases {
  /** By path: the words that may follow. */
  readonly next: Cases;
  /** By path: flags. */
  readonly flags: Cases;
  /** By `PATH FLAG`: the kind of its value; a flag that is not there takes none. */
  readonly values: Cases;
  /** By `PATH POSITION`, from 0. */
  readonly args: Cases;
}

export function shellCases(places: readonly Place[]): ShellCases {
  const words = (list: readonly string[]) => `=${list.join(' ')}`;
  return {
    next: grouped(places.filter(({ next }) => next.length > 0).map(({ path, next }) => [path, words(next)])),
    flags: grouped(places.map(({ path, flags }) => [path, words(flags.flatMap(({ names }) => names))])),
    values: grouped(
      places.flatMap(({ path, flags }) =>
        flags.flatMap(({ names, value }) =>
          value === null ? [] : names.map((name): [string, string] => [`${path} ${name}`, kindText(value)]),
        ),
      ),
    ),
    args: grouped(
      places.flatMap(({ path, args, rest }) => [
        ...args.map((kind, i): [string, string] => [`${path} ${i}`, kindText(kind)]),
        ...(rest === 'nothing' ? [] : beyond(path, args.length).map((key): [string, string] => [key, kindText(rest)])),
      ]),
    ),
  };
}

/** The keys of all positions from `from` on; more than nine words are completed by nobody. */
function beyond(path: string, from: number): string[] {
  return Array.from({ length: 10 - from }, (_, i) => `${path} ${from + i}`);
}

function grouped(pairs: readonly (readonly [key: string, answer: string])[]): Cases {
  const byAnswer = new Map<string, string[]>();
  for (const [key, answer] of pairs) byAnswer.set(answer, [...(byAnswer.get(answer) ?? []), key]);
  return [...byAnswer].map(([answer, keys]) => [keys, answer] as const);
}

/** For bash and zsh: `NAME KEY` sets `kind` and returns 0, or 1 where the key is not known. */
export function posixFunction(name: string, cases: Cases): string {
  const lines = cases.map(([keys, answer]) => `    ${keys.map(quoted).join('|')}) kind=${quoted(answer)} ;;\n`);
  return `${name}() {\n  case $1 in\n${lines.join('')}    *) kind= ; return 1 ;;\n  esac\n}\n`;
}

/** For fish: prints the answer. */
export function fishFunction(name: string, cases: Cases): string {
  const lines = cases.map(
    ([keys, answer]) => `    case ${keys.map(quoted).join(' ')}\n      echo -- ${quoted(answer)}\n`,
  );
  return `function ${name}\n  switch "$argv[1]"\n${lines.join('')}    case '*'\n      return 1\n  end\nend\n`;
}

/** Nothing in the table has a quote in it: names of commands, flags and columns. */
function quoted(text: string): string {
  if (text.includes("'") || text.includes('\\')) throw new Error(`no text for a shell: ${text}`);
  return `'${text}'`;
}
