// New CHAP credentials: from flags and files where they are given, the rest by questions that explain what is wrong.
import { type CredentialPair, requireStrong, sameSecret, weakSecrets } from '../services/secret-rules.js';
import { AppError, messageOf } from '../util/errors.js';
import { type CredentialFlagValues, checkSecret, checkUser, givenSecret, secretSources } from './credentials.js';
import { askNewSecret, askText, askYesNo, type PromptContext } from './prompt.js';

export interface NewCredentials {
  /** Whose they are, for the first question. */
  readonly whose: string;
  /** What is stored now: its names are offered. */
  readonly current: CredentialPair | null;
  readonly flags: CredentialFlagValues & { readonly mutual?: boolean };
  readonly prompts: PromptContext;
  /** Told of each weak secret as soon as it is known. */
  readonly warn: (text: string) => void;
}

/** @throws AppError as `readCredentials`; ERR_USAGE naming the flags for what nobody can be asked */
export async function newCredentials(asked: NewCredentials): Promise<CredentialPair> {
  const { whose, current, flags, prompts } = asked;
  const question = `User name for ${whose}:`;
  const user = await userName(flags['chap-user'], question, 'chap', current?.user, prompts);
  const secret = await newSecret(asked, 'chap', 'Secret (not shown)', (text) => ({ user, secret: text }));
  if (!(await wantsMutual(asked))) return { user, secret };
  const name = await userName(
    flags['mutual-user'],
    'User name of the target:',
    'mutual',
    current?.mutual?.user,
    prompts,
  );
  const both = (text: string) => ({ user, secret, mutual: { user: name, secret: text } });
  return both(await newSecret(asked, 'mutual', 'Secret of the target (not shown)', both));
}

async function userName(
  given: string | undefined,
  question: string,
  which: 'chap' | 'mutual',
  offered: string | undefined,
  prompts: PromptContext,
): Promise<string> {
  if (given !== undefined) return checkUser(given);
  if (!prompts.interactive) {
    throw new AppError('ERR_USAGE', `${question} nobody can be asked`, {
      hint: `give --${which}-user, and the secret by ${secretSources(which)}`,
    });
  }
  return checkUser(await askText(prompts, question, `--${which}-user`, offered));
}

async function wantsMutual({ flags, current, prompts }: NewCredentials): Promise<boolean> {
  if (flags.mutual === true || flags['mutual-user'] !== undefined) return true;
  const proves = current?.mutual !== undefined;
  return prompts.interactive && (await askYesNo(prompts, 'Should the target prove itself too (mutual CHAP)?', proves));
}

async function newSecret(
  { flags, prompts, warn }: NewCredentials,
  which: 'chap' | 'mutual',
  message: string,
  pairWith: (secret: string) => CredentialPair,
): Promise<string> {
  const check = (text: string) => {
    const pair = pairWith(checkSecret(text, 'the secret'));
    if (pair.mutual?.secret === pair.secret) throw sameSecret();
    if (flags['require-strong-secret'] === true) requireStrong(pair);
  };
  const given = await givenSecret(which, flags);
  if (given !== null) check(given);
  const flag = secretSources(which);
  const secret =
    given ?? (await askNewSecret(prompts, { message, flag, objection: (text) => objectionOf(check, text) }));
  // The first one's warning has been given by the time of the second.
  const weak = weakSecrets(pairWith(secret)).filter((text) => text.includes('mutual') === (which === 'mutual'));
  for (const text of weak) warn(text);
  return secret;
}

function objectionOf(check: (text: string) => void, secret: string): string | null {
  try {
    check(secret);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}
