// What RFC 7143 §9.2.1 asks of CHAP secrets, and who may read the file that holds one.
import { stat } from 'node:fs/promises';
import { SECRET_KEYS } from '../records/keys.js';
import { AppError } from '../util/errors.js';

/** Names and secrets without the algorithms, which are the record's matter. */
export interface CredentialPair {
  readonly user: string;
  readonly secret: string;
  readonly mutual?: { readonly user: string; readonly secret: string };
}

/** Without IPsec a CHAP secret should have at least 96 bits. Bytes. */
export const STRONG_SECRET = 12;

/** Whether a file with these settings holds a secret and is open to others than its owner. False for no file. */
export async function showsSecret(path: string, values: Iterable<readonly [string, string]>): Promise<boolean> {
  if (![...values].some(([key, value]) => SECRET_KEYS.has(key) && value !== '')) return false;
  const mode = (await stat(path).catch(() => undefined))?.mode ?? 0;
  return (mode & 0o077) !== 0;
}

/** One line for each secret that is shorter; it is used all the same. */
export function weakSecrets(pair: CredentialPair | null): string[] {
  const secrets = [
    ['the CHAP secret', pair?.secret],
    ['the mutual CHAP secret', pair?.mutual?.secret],
  ] as const;
  return secrets.flatMap(([whose, secret]) => {
    const length = Buffer.byteLength(secret ?? '');
    if (secret === undefined || length >= STRONG_SECRET) return [];
    return `${whose} has ${length} bytes; RFC 7143 asks for at least ${STRONG_SECRET}, and some targets refuse less`;
  });
}

/** @throws AppError ERR_USAGE for the first secret that is shorter */
export function requireStrong(pair: CredentialPair | null): void {
  const [weak] = weakSecrets(pair);
  if (weak !== undefined) throw new AppError('ERR_USAGE', weak, { hint: 'openssl rand -base64 18 makes a good one' });
}

/** The same secret in both directions: then an attacker could let us answer our own challenge. */
export function sameSecret(): AppError {
  return new AppError('ERR_USAGE', 'both directions of mutual CHAP have the same secret (RFC 7143 §9.2.1)', {
    hint: 'give the target a secret of its own',
  });
}
