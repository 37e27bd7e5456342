// Why a login failed, in one line with its exit code's error code. Status classes and details of RFC 7143 §11.13.5.
import { loginStatusHex, loginStatusText } from '../iscsi/login-status.js';
import { AppError, type ErrorCode } from '../util/errors.js';
import { printable } from '../util/printable.js';
import type { LoginOptions } from './options.js';

/** What the message names: the target, or the portal's discovery session. */
export function loginSubject(options: LoginOptions): string {
  return options.targetName === null ? 'discovery' : `login to ${options.targetName}`;
}

/** Status class 2 or 3 as the error to show. `answered`: our CHAP answer had been sent. */
export function refusedByStatus(options: LoginOptions, status: number, answered: boolean): AppError {
  const subject = loginSubject(options);
  const known = STATUS[status]?.(options, answered);
  const [code, reason, hint] = known ?? [
    status >>> 8 === 3 ? 'ERR_CONNECT' : 'ERR_FATAL_LOGIN',
    `refused: ${loginStatusText(status)}`,
  ];
  return new AppError(code, `${subject} ${reason} (login status ${loginStatusHex(status)})`, {
    retriable: status >>> 8 === 3,
    ...(hint === undefined ? {} : { hint }),
  });
}

type Refusal = readonly [code: ErrorCode, reason: string, hint?: string];

const STATUS: Record<number, (options: LoginOptions, answered: boolean) => Refusal> = {
  513: ({ credentials, targetName }, answered) => {
    if (credentials === null) {
      const hint = targetName === null ? undefined : 'give --chap-user and --chap-secret-file';
      const refusal = ['ERR_LOGIN_AUTH', 'refused: it wants CHAP, and no credentials are configured'] as const;
      return hint === undefined ? refusal : [...refusal, hint];
    }
    return answered
      ? ['ERR_LOGIN_AUTH', `refused: wrong CHAP user or secret (user ${credentials.user})`]
      : ['ERR_LOGIN_AUTH', 'refused: the target did not accept our CHAP offer'];
  },
  514: ({ initiatorName }) => ['ERR_LOGIN_AUTH', `refused: ${initiatorName} is not on the target's access list`],
  515: () => ['ERR_FATAL_LOGIN', 'failed: no such target at this portal'],
  769: () => ['ERR_CONNECT', 'failed: the target is not in service now'],
  770: () => ['ERR_CONNECT', 'failed: the target is out of resources'],
};

/** Credentials are configured, and the target would go on without any. */
export function onlyNoneOffered(options: LoginOptions): AppError {
  return new AppError(
    'ERR_LOGIN_AUTH',
    `${loginSubject(options)} refused by us: the target offers no authentication, and CHAP credentials are configured`,
    { hint: 'remove the credentials if this target is meant to be open' },
  );
}

/** The target answered AuthMethod with Reject, or with a method that we did not offer. */
export function noCommonMethod(options: LoginOptions, answer: string): AppError {
  return new AppError(
    'ERR_LOGIN_AUTH',
    `${loginSubject(options)} failed: the target does not take CHAP (AuthMethod=${printable(answer, 80)})`,
  );
}

/** Mutual CHAP: the target did not answer our challenge. */
export function targetUnproven(options: LoginOptions): AppError {
  return new AppError(
    'ERR_LOGIN_AUTH',
    `${loginSubject(options)} refused by us: the target did not prove its identity (mutual CHAP)`,
  );
}
