// The flags by which every listing lets its columns be chosen.
import { Flags } from '@oclif/core';

export const columnFlags = {
  output: Flags.string({
    char: 'o',
    summary:
      'Columns to show, separated by commas; +COL,... adds to the usual ones, json is --json. Also in a pipe. The usual columns may change: scripts name theirs.',
    helpValue: 'COLS',
    exclusive: ['print', 'output-all'],
  }),
  'output-all': Flags.boolean({ summary: 'Show every column.', exclusive: ['print'] }),
  'list-columns': Flags.boolean({
    summary: 'Show which columns there are, and do nothing else.',
    exclusive: ['json', 'output', 'output-all'],
  }),
  noheadings: Flags.boolean({ char: 'n', summary: 'Leave out the line of column names.', exclusive: ['print'] }),
  bytes: Flags.boolean({
    char: 'b',
    summary: 'Write sizes in bytes and times in seconds, as whole numbers.',
    exclusive: ['print'],
  }),
};

/** What `parse` returns of them. */
export interface ColumnFlags {
  readonly output?: string | undefined;
  readonly 'output-all': boolean;
  readonly 'list-columns': boolean;
  readonly noheadings: boolean;
  readonly bytes: boolean;
}

/** Whether `argv` has -o json, in any of the ways to write it. */
export function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  const words = end === -1 ? argv : argv.slice(0, end);
  return words.some(
    (word, i) => /^(-o=?|--output=)json$/.test(word) || (word === 'json' && /^(-o|--output)$/.test(words[i - 1] ?? '')),
  );
}
