// CHAP credentials from the command line: names by flag, secrets only by file, standard input or a prompt.
import { Flags } from '@oclif/core';
import {
  type CredentialPair,
  requireStrong,
  STRONG_SECRET,
  sameSecret,
  weakSecrets,
} from '../services/secret-rules.js';
import { AppError } from '../util/errors.js';
import { readPrivateFile } from '../util/private-file.js';
import { askSecret, type PromptContext } from './prompt.js';

const GROUP = 'CHAP';
/** --chap-user --chap-secret-file --mutual-user --mutual-secret-file */
export const credentialFlags = {
  'chap-user': Flags.string({
    summary: 'CHAP user name that the initiator gives.',
    helpValue: 'NAME',
    helpGroup: GROUP,
  }),
  'chap-secret-file': Flags.string({
    summary: 'File with its secret; - reads standard input. Refused when others may read it.',
    helpValue: 'FILE',
    helpGroup: GROUP,
    dependsOn: ['chap-user'],
  }),
  'mutual-user': Flags.string({
    summary: 'CHAP user name that the target must give in return (mutual CHAP).',
    helpValue: 'NAME',
    helpGroup: GROUP,
    dependsOn: ['chap-user'],
  }),
  'mutual-secret-file': Flags.string({
    summary: "File with the target's secret; - reads standard input.",
    helpValue: 'FILE',
    helpGroup: GROUP,
    dependsOn: ['mutual-user'],
  }),
  'require-strong-secret': Flags.boolean({
    summary: `Refuse CHAP secrets of less than ${STRONG_SECRET} bytes, those of records too.`,
    helpGroup: GROUP,
  }),
};

export interface CredentialFlagValues {
  readonly 'chap-user'?: string | undefined;
  readonly 'chap-secret-file'?: string | undefined;
  readonly 'mutual-user'?: string | undefined;
  readonly 'mutual-secret-file'?: string | undefined;
  readonly 'require-strong-secret'?: boolean;
}

/** Both limits are open-iscsi's for a record value. */
const USER_LARGEST = 255;
const SECRET_LARGEST = 255;
/** Enough to see that a secret is too long, line end included. */
const READ_LARGEST = SECRET_LARGEST + 3;

/**
 * The credentials named by flags, or null without --chap-user. Secrets that no file gives are asked for on a terminal.
 * `warn` gets at most one text per secret.
 * @throws AppError ERR_ACCESS for a file that others may read or that cannot be read, ERR_USAGE for everything else
 */
export async function readCredentials(
  flags: CredentialFlagValues,
  { prompts, warn }: { prompts: PromptContext; warn: (text: string) => void },
): Promise<CredentialPair | null> {
  const user = flags['chap-user'];
  if (user === undefined) return null;
  if (flags['chap-secret-file'] === '-' && flags['mutual-secret-file'] === '-') {
    throw new AppError('ERR_USAGE', 'only one secret can come from standard input');
  }
  const pair = await readPair(user, flags, prompts);
  if (flags['require-strong-secret'] === true) requireStrong(pair);
  for (const text of weakSecrets(pair)) warn(text);
  return pair;
}

async function readPair(user: string, flags: CredentialFlagValues, prompts: PromptContext): Promise<CredentialPair> {
  const secret = await secretFor(user, 'chap', flags['chap-secret-file'], prompts);
  const mutualUser = flags['mutual-user'];
  if (mutualUser === undefined) return { user: checkUser(user), secret };
  const mutual = await secretFor(mutualUser, 'mutual', flags['mutual-secret-file'], prompts);
  if (mutual === secret) throw sameSecret();
  return { user: checkUser(user), secret, mutual: { user: checkUser(mutualUser), secret: mutual } };
}

async function secretFor(
  user: string,
  which: 'chap' | 'mutual',
  file: string | undefined,
  prompts: PromptContext,
): Promise<string> {
  const flag = `--${which}-secret-file`;
  const secret = checkSecret(
    file === undefined
      ? await askSecret(prompts, `CHAP secret of user ${checkUser(user)}`, flag)
      : text(file === '-' ? await readStandardInput() : await readPrivateFile('secret file', file, READ_LARGEST), file),
    file ?? 'the secret',
  );
  return secret;
}

/** By the stream: /dev/stdin cannot be opened where standard input is a socket, as it is below another Node process. */
async function readStandardInput(): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of process.stdin) {
    pieces.push(piece as Buffer);
    length += (piece as Buffer).length;
    if (length >= READ_LARGEST) break;
  }
  return Buffer.concat(pieces);
}

/** UTF-8 only, one trailing line feed dropped. */
function text(bytes: Buffer, file: string): string {
  const decoded = bytes.toString('utf8');
  if (!Buffer.from(decoded).equals(bytes)) throw new AppError('ERR_USAGE', `secret file ${file} is not UTF-8 text`);
  return decoded.replace(/\r?\n$/, '');
}

/** A record is a line of text: what does not fit into one is refused before it can damage one. */
function checkSecret(secret: string, source: string): string {
  if (secret === '') throw new AppError('ERR_USAGE', `${source}: the secret is empty`);
  if (Buffer.byteLength(secret) > SECRET_LARGEST) {
    throw new AppError('ERR_USAGE', `${source}: the secret is longer than ${SECRET_LARGEST} bytes`);
  }
  if (/\p{Cc}/u.test(secret)) {
    throw new AppError('ERR_USAGE', `${source}: the secret holds control characters or a second line`);
  }
  if (secret.trim() !== secret) throw new AppError('ERR_USAGE', `${source}: the secret begins or ends with a blank`);
  return secret;
}

function checkUser(user: string): string {
  if (user === '' || Buffer.byteLength(user) > USER_LARGEST || /\p{Cc}/u.test(user) || user.trim() !== user) {
    throw new AppError('ERR_USAGE', 'the CHAP user name is empty, too long or holds control characters');
  }
  return user;
}
