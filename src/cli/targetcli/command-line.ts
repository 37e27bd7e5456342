// A line as it is typed: [PATH] COMMAND [VALUE...] [NAME=VALUE...].
import { invalid } from '../../saveconfig/edits/edit.js';

export interface CommandLine {
  /** Empty: the current node. `*` at its end: each of its children. */
  readonly path: string;
  /** Empty: go to the path. */
  readonly command: string;
  readonly positional: readonly string[];
  /** In the order in which they were given. */
  readonly keywords: ReadonlyMap<string, string>;
}

/** No command has a slash in it. */
const PATH = /^(?:@[\w:.-]+|\*|\.|\.\.|.*\/.*)$/s;
const KEYWORD = /^([A-Za-z0-9_-]+)=(.*)$/s;
/** Nothing that is meant is longer: a name has 223 bytes, a value 255. */
const LONGEST_LINE = 16_384;

/** @throws RefusedEdit for a quote that is not closed, and for what is no command */
export function parseCommandLine(line: string): CommandLine {
  if (line.length > LONGEST_LINE) throw invalid('the line is too long');
  return parseWords(splitWords(line));
}

/** The same for words that a shell has split already. */
export function parseWords(words: readonly string[]): CommandLine {
  const rest = [...words];
  const path = rest[0] !== undefined && PATH.test(rest[0]) ? (rest.shift() ?? '') : '';
  const command = rest.shift() ?? '';
  if (command !== '' && !/^\w+$/.test(command)) throw invalid(`Command not found ${command}`);
  const positional: string[] = [];
  const keywords = new Map<string, string>();
  for (const word of rest) {
    const [, key, value = ''] = KEYWORD.exec(word) ?? [];
    if (key === undefined) positional.push(word);
    else keywords.set(key, value);
  }
  return { path, command, positional, keywords };
}

/** Words as a shell splits them: white space divides, quotes hold together. */
function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote = '';
  for (let at = 0; at < line.length; at++) {
    const char = line[at] ?? '';
    if (quote !== '') {
      if (char === quote) quote = '';
      else word += char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= '';
    } else if (/\s/.test(char)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? '') + char;
  }
  if (quote !== '') throw invalid(`No closing quotation: ${quote}`);
  if (word !== null) words.push(word);
  return words;
}

/** Whether a line has a value in it that must not be kept. */
export function holdsSecret(line: string): boolean {
  return /password/i.test(line);
}
