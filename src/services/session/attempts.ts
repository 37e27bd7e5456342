// What a login may try beyond its first attempt: redirections (RFC 7143 §11.13.5, class 01h) and one MD5-only CHAP offer.
import { ChapAlgorithm } from '../../iscsi/chap.js';
import { formatAddress } from '../../iscsi/portal.js';
import { AppError } from '../../util/errors.js';
import { sameSecret } from '../secret-rules.js';
import type { Credentials } from './info.js';

/** A chain of redirections longer than this is a loop. */
const MOST_REDIRECTS = 3;

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** How one attempt at one portal ended. */
export type Attempt<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'redirect'; readonly to: Endpoint & { readonly permanent?: boolean } }
  | { readonly kind: 'failed'; readonly error: AppError; readonly retryWithMd5: boolean };

/**
 * Makes attempts until one is done. A target that stumbles over the list of CHAP algorithms (it fails before a
 * challenge, or takes number 7 for another hash) gets one more attempt that offers MD5 alone; one that has refused an
 * answer never does. Throws the last attempt's error.
 */
export async function attemptLogin<T>(
  portal: Endpoint,
  credentials: Credentials | null,
  attempt: (portal: Endpoint, credentials: Credentials | null) => Promise<Attempt<T>>,
): Promise<T> {
  // Before anybody is called: see `sameSecret`.
  if (credentials !== null && credentials.mutual?.secret === credentials.secret) throw sameSecret();
  let at = portal;
  let offered = credentials;
  for (let redirects = 0; ; ) {
    const outcome = await attempt(at, offered);
    switch (outcome.kind) {
      case 'done':
        return outcome.value;
      case 'redirect':
        if (++redirects > MOST_REDIRECTS) {
          throw new AppError(
            'ERR_CONNECT',
            `portal ${formatAddress(portal)} redirects more than ${MOST_REDIRECTS} times`,
          );
        }
        at = outcome.to;
        break;
      case 'failed': {
        const md5Only = outcome.retryWithMd5 ? withMd5Alone(offered) : null;
        if (md5Only === null) throw outcome.error;
        offered = md5Only;
        break;
      }
    }
  }
}

/** Null where MD5 alone has been offered already, or was never allowed. */
function withMd5Alone(credentials: Credentials | null): Credentials | null {
  if (credentials === null || !credentials.algorithms.includes(ChapAlgorithm.MD5)) return null;
  return credentials.algorithms.length === 1 ? null : { ...credentials, algorithms: [ChapAlgorithm.MD5] };
}
