// What the commands that change records share: KEY=VALUE on a command line, and --dry-run.
import { Flags } from '@oclif/core';
import type { Change } from '../records/changes.js';
import { SECRET_KEYS } from '../records/keys.js';
import { AppError } from '../util/errors.js';
import { oneLine } from '../util/printable.js';

export const dryRunFlag = {
  'dry-run': Flags.boolean({ summary: 'Say what would change, and change nothing.', default: false }),
};

export interface Settings {
  /** The one word that is no setting. */
  readonly name: string | undefined;
  readonly changes: readonly Change[];
}

/**
 * The words of a command line: KEY=VALUE are settings, one other word names what is meant. A secret among them is
 * refused, and no word is repeated in an error: it could be one.
 * @throws AppError ERR_USAGE
 */
export function splitSettings(argv: readonly unknown[]): Settings {
  const words = argv.map(String);
  const names = words.filter((word) => !word.includes('='));
  if (names.length > 1) {
    throw new AppError('ERR_USAGE', 'only one word names what is meant; settings are written KEY=VALUE', {
      hint: 'put quotes around a value with blanks',
    });
  }
  const changes = words.filter((word) => word.includes('=')).map(splitSetting);
  return { name: names[0], changes };
}

/** The same where at least one setting is needed. */
export function requireSettings(argv: readonly unknown[], example: string): Settings {
  const settings = splitSettings(argv);
  if (settings.changes.length > 0) return settings;
  throw new AppError('ERR_USAGE', 'nothing is to be set', { hint: `write KEY=VALUE, as in ${example}` });
}

function splitSetting(word: string): Change {
  const at = word.indexOf('=');
  const [key, value] = [word.slice(0, at).trim(), word.slice(at + 1)];
  if (!SECRET_KEYS.has(key)) return [key, value];
  throw new AppError('ERR_USAGE', `${oneLine(key)} is a secret, and everyone can read a command line`, {
    hint: 'lunctl chap setup asks for it, or reads it from a file',
  });
}
