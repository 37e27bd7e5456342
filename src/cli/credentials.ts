// CHAP credentials from the command line: names by flag, secrets only by file, descriptor, standard input or a prompt.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Flags } from '@oclif/core';
import {
  type CredentialPair,
  requireStrong,
  STRONG_SECRET,
  sameSecret,
  weakSecrets,
} from '../services/secret-rules.js';
import { AppError } from '../util/errors.js';
import { readPrivateDescriptor, readPrivateFile } from '../util/private-file.js';
import { askSecret, type PromptContext } from './prompt.js';

const GROUP = 'CHAP';
/** --chap-user, --mutual-user, and for each of the two secrets -file and -fd. */
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
  'chap-secret-fd': Flags.integer({
    summary: 'Read it from this file descriptor.',
    helpValue: 'N',
    helpGroup: GROUP,
    min: 0,
    dependsOn: ['chap-user'],
    exclusive: ['chap-secret-file'],
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
  'mutual-secret-fd': Flags.integer({
    summary: 'Read it from this file descriptor.',
    helpValue: 'N',
    helpGroup: GROUP,
    min: 0,
    dependsOn: ['mutual-user'],
    exclusive: ['mutual-secret-file'],
  }),
  'require-strong-secret': Flags.boolean({
    summary: `Refuse CHAP secrets of less than ${STRONG_SECRET} bytes, those of records too.`,
    helpGroup: GROUP,
  }),
};

export interface CredentialFlagValues {
  readonly 'chap-user'?: string | undefined;
  readonly 'chap-secret-file'?: string | undefined;
  readonly 'chap-secret-fd'?: number | undefined;
  readonly 'mutual-user'?: string | undefined;
  readonly 'mutual-secret-file'?: string | undefined;
  readonly 'mutual-secret-fd'?: number | undefined;
  readonly 'require-strong-secret'?: boolean;
}

/** Both limits are open-iscsi's for a record value. */
const USER_LARGEST = 255;
const SECRET_LARGEST = 255;
/** Enough to see that a secret is too long, line end included. */
const READ_LARGEST = SECRET_LARGEST + 3;

/** Of the two secrets: the initiator's own, and the target's. */
export type WhichSecret = 'chap' | 'mutual';

/**
 * The credentials named by flags, or null without --chap-user. Secrets that are given nowhere are asked for on a terminal.
 * `warn` gets at most one text per secret.
 * @throws AppError ERR_ACCESS for a file that others may read or that cannot be read, ERR_USAGE for everything else
 */
export async function readCredentials(
  flags: CredentialFlagValues,
  { prompts, warn }: { prompts: PromptContext; warn: (text: string) => void },
): Promise<CredentialPair | null> {
  const user = flags['chap-user'];
  if (user === undefined) return null;
  const pair = await readPair(user, flags, prompts);
  if (flags['require-strong-secret'] === true) requireStrong(pair);
  for (const text of weakSecrets(pair)) warn(text);
  return pair;
}

async function readPair(user: string, flags: CredentialFlagValues, prompts: PromptContext): Promise<CredentialPair> {
  const secret = await secretFor(user, 'chap', flags, prompts);
  const mutualUser = flags['mutual-user'];
  if (mutualUser === undefined) return { user: checkUser(user), secret };
  const mutual = await secretFor(mutualUser, 'mutual', flags, prompts);
  if (mutual === secret) throw sameSecret();
  return { user: checkUser(user), secret, mutual: { user: checkUser(mutualUser), secret: mutual } };
}

async function secretFor(
  user: string,
  which: WhichSecret,
  flags: CredentialFlagValues,
  prompts: PromptContext,
): Promise<string> {
  checkUser(user);
  const given = await givenSecret(which, flags);
  if (given !== null) return given;
  return checkSecret(await askSecret(prompts, `CHAP secret of user ${user}`, secretSources(which)), 'the secret');
}

/** For hints: how a script gives a secret. */
export function secretSources(which: WhichSecret): string {
  return `--${which}-secret-file, --${which}-secret-fd or $${variable(which)}`;
}

function variable(which: WhichSecret): string {
  return `LUNCTL_${which.toUpperCase()}_SECRET_FILE`;
}

/**
 * A secret from where a script keeps one: the file or descriptor of a flag, else the file that the environment names, else
 * the one that systemd has put into the unit's credentials (LoadCredential=chap-secret:…). Null where there is none.
 * @throws AppError as `readCredentials`
 */
export async function givenSecret(
  which: WhichSecret,
  flags: CredentialFlagValues,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<string | null> {
  const bothFromInput = (['chap', 'mutual'] as const).every(
    (one) => flags[`${one}-secret-file`] === '-' || flags[`${one}-secret-fd`] === 0,
  );
  if (bothFromInput) throw new AppError('ERR_USAGE', 'only one secret can come from standard input');
  const descriptor = flags[`${which}-secret-fd`];
  if (descriptor !== undefined) {
    const name = `descriptor ${descriptor}`;
    return secretIn(await readPrivateDescriptor('secret', descriptor, READ_LARGEST), name);
  }
  const file = flags[`${which}-secret-file`] ?? (env[variable(which)] || undefined);
  if (file === '-') return secretIn(await readStandardInput(), file);
  if (file !== undefined) return secretIn(await readPrivateFile('secret file', file, READ_LARGEST), file);
  return await unitCredential(`${which}-secret`, env.CREDENTIALS_DIRECTORY);
}

async function unitCredential(name: string, folder: string | undefined): Promise<string | null> {
  const file = folder ? join(folder, name) : '';
  if (file === '' || !existsSync(file)) return null;
  // For a unit with User= the access list of that user shows as bits of the group; the folder admits nobody else.
  return secretIn(await readPrivateFile('credential', file, READ_LARGEST, { othersMask: 0o007 }), file);
}

function secretIn(bytes: Buffer, source: string): string {
  return checkSecret(text(bytes, source), source);
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
export function checkSecret(secret: string, source: string): string {
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

export function checkUser(user: string): string {
  if (user === '' || Buffer.byteLength(user) > USER_LARGEST || /\p{Cc}/u.test(user) || user.trim() !== user) {
    throw new AppError('ERR_USAGE', 'the CHAP user name is empty, too long or holds control characters');
  }
  return user;
}
