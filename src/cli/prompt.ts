// Questions on a terminal. inquirer is loaded only when a question is really asked; it draws on standard error.
import { AppError } from '../util/errors.js';

export interface PromptContext {
  /** Whether a person can be asked at all. */
  readonly interactive: boolean;
  readonly signal: AbortSignal;
}

/** Both ends of a dialogue are terminals, and nobody has forbidden questions. */
export function canAsk(noInput: boolean, env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  const ci = env.CI !== undefined && env.CI !== '' && env.CI !== 'false' && env.CI !== '0';
  return !noInput && !ci && process.stdin.isTTY === true && process.stderr.isTTY === true;
}

/**
 * Asks for a secret without echo.
 * @throws AppError ERR_USAGE naming `flag` when nobody can be asked, ERR_INTERRUPTED on Ctrl-C.
 */
export async function askSecret(context: PromptContext, message: string, flag: string): Promise<string> {
  if (!context.interactive)
    throw new AppError('ERR_USAGE', `${message}: nobody can be asked`, { hint: `give ${flag}` });
  return await ask(context, { type: 'password', name: 'answer', message: `${message}:`, mask: '*', toggleMask: false });
}

/** How often a person may mistype. */
const MOST_TRIES = 3;

/**
 * Asks for a new secret, twice. `objection` says in one line why a secret cannot be taken, or null: then it is asked for
 * again, as it is when the two differ.
 * @throws AppError as `askSecret`, and ERR_USAGE after three tries
 */
export async function askNewSecret(
  context: PromptContext,
  { message, flag, objection }: { message: string; flag: string; objection: (secret: string) => string | null },
): Promise<string> {
  for (let tries = 1; tries <= MOST_TRIES; tries++) {
    const secret = await askSecret(context, message, flag);
    const why = objection(secret) ?? (await repeated(context, secret, flag));
    if (why === null) return secret;
    process.stderr.write(`${why}${tries < MOST_TRIES ? '; once more' : ''}\n`);
  }
  throw new AppError('ERR_USAGE', `no secret after ${MOST_TRIES} tries; nothing was changed`, { hint: `give ${flag}` });
}

async function repeated(context: PromptContext, secret: string, flag: string): Promise<string | null> {
  return (await askSecret(context, 'Again', flag)) === secret ? null : 'the two are not the same';
}

/** Asks for one line of text; `offered` is taken for an empty answer. */
export async function askText(
  context: PromptContext,
  message: string,
  flag: string,
  offered?: string | undefined,
): Promise<string> {
  if (!context.interactive)
    throw new AppError('ERR_USAGE', `${message}: nobody can be asked`, { hint: `give ${flag}` });
  return await ask(context, { type: 'input', name: 'answer', message, ...(offered ? { default: offered } : {}) });
}

/** Asks for yes or no. Where nobody can be asked the answer is `offered`. */
export async function askYesNo(context: PromptContext, message: string, offered: boolean): Promise<boolean> {
  if (!context.interactive) return offered;
  return await ask<boolean>(context, { type: 'confirm', name: 'answer', message, default: offered });
}

export interface Confirmation {
  /** What is about to happen and to what, one or more lines; shown before the question. */
  readonly what: string;
  /** What a person types on a terminal. */
  readonly name: string;
  /** The value of --confirm, if given. */
  readonly given?: string | undefined;
  /** What --confirm may say, e.g. TARGET/LUN and the serial. Never a kernel name: those are reused. Default: `name`. */
  readonly accepted?: readonly string[];
}

/**
 * Asks for the name of what will be destroyed. Resolves when it was given by flag or typed.
 * @throws AppError ERR_REFUSED naming `--confirm` in every other case.
 */
export async function confirmByName(context: PromptContext, confirmation: Confirmation): Promise<void> {
  const { what, name, given } = confirmation;
  const accepted = confirmation.accepted ?? [name];
  if (given !== undefined) {
    if (accepted.includes(given)) return;
    throw new AppError('ERR_REFUSED', `--confirm ${given} does not name this disk; nothing was changed`, {
      hint: `the name is ${accepted[0]}`,
    });
  }
  const firstLine = what.split('\n', 1)[0] ?? what;
  const hint = `add --confirm ${accepted[0]} to go on`;
  if (!context.interactive) throw new AppError('ERR_REFUSED', firstLine, { hint });
  process.stderr.write(`${what}\n`);
  const typed = await ask(context, { type: 'input', name: 'answer', message: `Type ${name} to go on, or Ctrl-C:` });
  if (typed.trim() !== name)
    throw new AppError('ERR_REFUSED', `"${typed.trim()}" is not ${name}; nothing was changed`, { hint });
}

interface Question {
  readonly type: 'password' | 'input' | 'confirm';
  readonly name: 'answer';
  readonly message: string;
  readonly default?: string | boolean;
  readonly mask?: string;
  /** Whether Ctrl-T may show what was typed. */
  readonly toggleMask?: boolean;
}

async function ask<T extends string | boolean = string>(context: PromptContext, question: Question): Promise<T> {
  const { default: inquirer } = await import('inquirer');
  const prompt = inquirer.createPromptModule({ output: process.stderr, signal: context.signal });
  try {
    const { answer } = await prompt<{ answer: T }>([question]);
    return answer;
  } catch (error) {
    if (context.signal.aborted) throw context.signal.reason;
    if (error instanceof Error && (error.name === 'ExitPromptError' || error.name === 'AbortPromptError')) {
      throw new AppError('ERR_INTERRUPTED', 'interrupted', { cause: error });
    }
    throw error;
  }
}
