// What oclif's parser complains about, as our own one-line errors, and flags it would take for a value.
import { Errors } from '@oclif/core';
import { AppError, messageOf } from '../util/errors.js';
import { oneLine } from '../util/printable.js';
import { closest } from './suggest.js';

/** The part of a flag definition that decides what may follow it on a command line. */
interface FlagShape {
  readonly type: 'boolean' | 'option';
  readonly char?: string | undefined;
  readonly allowNo?: boolean | undefined;
  readonly aliases?: readonly string[] | undefined;
}
type FlagShapes = Readonly<Record<string, FlagShape>>;

/**
 * Refuses long options that do not exist, before anything that follows them can be taken for an argument and shown:
 * someone who types `--chap-secret hunter2` must not find hunter2 in an error text. Values are never repeated.
 * @throws AppError ERR_USAGE naming the option, with the nearest one that exists.
 */
export function refuseUnknownFlags(argv: readonly string[], flags: FlagShapes, commandId: string): void {
  const known = new Map<string, FlagShape>();
  for (const [name, flag] of Object.entries(flags)) {
    known.set(`--${name}`, flag);
    if (flag.char !== undefined) known.set(`-${flag.char}`, flag);
    if (flag.allowNo) known.set(`--no-${name}`, { type: 'boolean' });
    for (const alias of flag.aliases ?? []) known.set(`--${alias}`, flag);
  }
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? '';
    if (word === '--') return;
    if (!word.startsWith('-')) continue;
    const name = word.split('=', 1)[0] ?? word;
    const flag = known.get(name);
    if (flag === undefined && name.startsWith('--')) throw unknownFlag(name, [...known.keys()], commandId);
    if (flag?.type === 'option' && name === word) i++;
  }
}

function unknownFlag(name: string, known: readonly string[], commandId: string): AppError {
  const long = known.filter((other) => other.startsWith('--')).map((other) => other.slice(2));
  const near = closest(name.slice(2), long);
  const hint = /secret|password/.test(name)
    ? 'a secret is never taken from the command line: use --chap-secret-file or --mutual-secret-file, `-` reads standard input'
    : near === undefined
      ? helpHint(commandId)
      : `did you mean --${near}?`;
  return new AppError('ERR_USAGE', `unknown option ${oneLine(name)}`, { hint });
}

/** What oclif's parser, or a flag's own, has thrown: always ERR_USAGE unless a flag's parser said otherwise. */
export function asUsageError(error: unknown, commandId: string): AppError {
  const [, flag, text] = PARSING.exec(plain(error)) ?? [undefined, undefined, missingArguments(error) ?? plain(error)];
  const message = oneLine(`${flag === undefined ? '' : `${flag}: `}${text}`);
  const code = error instanceof AppError ? error.code : 'ERR_USAGE';
  const hint = error instanceof AppError ? error.hint : helpHint(commandId);
  return new AppError(code, message, { cause: error, ...(hint === undefined ? {} : { hint }) });
}

/** Anything else that oclif throws, as what is reported. AppErrors and bugs stay as they are. */
export function translateOclifError(error: unknown): unknown {
  if (error instanceof AppError || !(error instanceof Errors.CLIError)) return error;
  return new AppError('ERR_UNKNOWN', oneLine(plain(error)), { cause: error });
}

/** oclif writes this around whatever a flag's parser says. */
const PARSING = /^Parsing (--\S+)\s+(.*)$/s;

/** oclif explains every missing argument at length, where a line has room for their names. */
function missingArguments(error: unknown): string | undefined {
  if (!(error instanceof Errors.CLIError) || !('args' in error) || !Array.isArray(error.args)) return undefined;
  const names = error.args.flatMap((arg: { name?: unknown }) => (typeof arg.name === 'string' ? [arg.name] : []));
  return names.length === 0 ? undefined : `missing: ${names.map((name) => name.toUpperCase()).join(' ')}`;
}

/** oclif's sentences that read badly on one line. */
const SHORTER: readonly (readonly [RegExp, string])[] = [
  [/\nSee more help with --help$/, ''],
  [/^The following errors? occurred:\s*/, ''],
  [/Missing required flag (\S+)/g, 'missing: --$1'],
  [/All of the following must be provided when using (--\S+): /g, '$1 needs '],
  [/Flag (--\S+) expects/g, '$1 expects'],
];

function plain(error: unknown): string {
  return SHORTER.reduce((text, [long, short]) => text.replace(long, short), stripColor(messageOf(error)));
}

function helpHint(commandId: string): string {
  return `lunctl ${commandId.replaceAll(':', ' ')} --help lists the options`;
}

function stripColor(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what is looked for.
  return text.replaceAll(/\u001b\[[0-9;]*m/g, '');
}
