// The text of records and of iscsid.conf, in open-iscsi's format: one `key = value` a line, `#` comments.
import { printable } from '../util/printable.js';

/** The open-iscsi release whose record format this is; written behind BEGIN RECORD, where readers ignore it. */
export const RECORD_VERSION = '2.1.8';

/** open-iscsi's own limits, in bytes without the terminating zero. */
const KEY_LARGEST = 127;
export const VALUE_LARGEST = 255;
/** A record has under 4 KiB; iscsid.conf about 16. */
export const FILE_LARGEST = 256 * 1024;
const LINES_MOST = 8192;

export interface ParsedText {
  /** In file order; of a repeated key the last value, at its first place. */
  readonly pairs: readonly (readonly [string, string])[];
  /** The line of each pair, from 1. */
  readonly lines: ReadonlyMap<string, number>;
  /** One line each: what was skipped, and why. Never a value. */
  readonly warnings: readonly string[];
}

/**
 * Reads `key = value` lines. Anything may be in `text`: bad lines are skipped with a warning that names `source` and
 * the line, so that one of them does not take the rest along. At most eight warnings.
 */
export function parseRecordText(text: string, source: string): ParsedText {
  const pairs = new Map<string, string>();
  const places = new Map<string, number>();
  const warnings: string[] = [];
  const warn = (line: number, what: string) => {
    if (warnings.length < 8) warnings.push(`${source}: line ${line} ${what}`);
  };
  if (text.length > FILE_LARGEST)
    return { pairs: [], lines: places, warnings: [`${source}: longer than ${FILE_LARGEST} bytes`] };
  const lines = text.split('\n', LINES_MOST);
  for (const [i, raw] of lines.entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    // As open-iscsi does: the key ends at the first blank or '=', the value is the rest without blanks around it.
    const match = /^([^\s=]+)\s*=\s*(.*)$/.exec(line);
    const [, key = '', value = ''] = match ?? [];
    if (match === null) warn(i + 1, 'is not "key = value"');
    else if (value === '') warn(i + 1, `has no value for ${printable(key, 64)}`);
    else if (Buffer.byteLength(key) > KEY_LARGEST) warn(i + 1, 'has a key that is too long');
    else if (Buffer.byteLength(value) > VALUE_LARGEST)
      warn(i + 1, `has a value that is too long for ${printable(key, 64)}`);
    else if (/\p{Cc}/u.test(key + value)) warn(i + 1, 'holds control characters');
    else {
      pairs.set(key, value);
      places.set(key, i + 1);
    }
  }
  return { pairs: [...pairs], lines: places, warnings };
}

/** The content of a record file: BEGIN line, every key that has a value, END line. */
export function recordFileText(values: Iterable<readonly [string, string]>): string {
  const lines = [];
  for (const [key, value] of values) if (value !== '') lines.push(`${key} = ${value}\n`);
  return `# BEGIN RECORD ${RECORD_VERSION}\n${lines.join('')}# END RECORD\n`;
}
