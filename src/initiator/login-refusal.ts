// Why a login failed, in one line with its exit code's error code. Status classes and details of RFC 7143 §11.13.5.
import { ChapAlgorithm, UnprovenTarget } from '../iscsi/chap.js';
import { loginStatusHex, loginStatusText } from '../iscsi/login-status.js';
import { AppError, type AppErrorOptions, type ErrorCode } from '../util/errors.js';
import { printable } from '../util/printable.js';
import type { LoginOptions } from './options.js';

/** What the message names: the target, or the portal's discovery session. */
export function loginSubject(options: LoginOptions): string {
  return options.targetName === null ? 'discovery' : `login to ${options.targetName}`;
}

/** How far CHAP had come: its list was out, or the answer to the algorithm that the target chose. */
export interface ChapProgress {
  readonly offered: boolean;
  readonly answered: number | undefined;
}

/** A Login Response of class 2 or 3. `status`: class and detail, as in LoginStatus. */
export class RefusedLogin extends AppError {
  readonly status: number;
  constructor(status: number, code: ErrorCode, message: string, options: AppErrorOptions) {
    super(code, message, options);
    this.status = status;
  }
}

/** Status class 2 or 3 as the error to show. */
export function refusedByStatus(options: LoginOptions, status: number, chap: ChapProgress): RefusedLogin {
  const subject = loginSubject(options);
  const known = STATUS[status]?.(options, chap);
  const [code, reason, hint] = known ?? [
    status >>> 8 === 3 ? 'ERR_CONNECT' : 'ERR_FATAL_LOGIN',
    `refused: ${loginStatusText(status)}`,
  ];
  return new RefusedLogin(status, code, `${subject} ${reason} (login status ${loginStatusHex(status)})`, {
    retriable: status >>> 8 === 3,
    ...(hint === undefined ? {} : { hint }),
  });
}

type Refusal = readonly [code: ErrorCode, reason: string, hint?: string];

const SEVEN_HINT = 'some targets take CHAP algorithm 7 (SHA256) for SHA1: set node.session.auth.chap_algs to MD5';

const STATUS: Record<number, (options: LoginOptions, chap: ChapProgress) => Refusal | undefined> = {
  // A general error of ours is CHAP's matter while CHAP is under way: tgt answers so to what it cannot read as an answer.
  512: (options, chap) => (chap.offered ? chapRefusal(options, chap) : undefined),
  513: (options, chap) => {
    if (options.credentials !== null) return chapRefusal(options, chap);
    const refusal = ['ERR_LOGIN_AUTH', 'refused: it wants CHAP, and no credentials are configured'] as const;
    return options.targetName === null ? refusal : [...refusal, 'give --chap-user and --chap-secret-file'];
  },
  514: ({ initiatorName }) => ['ERR_LOGIN_AUTH', `refused: ${initiatorName} is not on the target's access list`],
  515: () => ['ERR_FATAL_LOGIN', 'failed: no such target at this portal'],
  769: () => ['ERR_CONNECT', 'failed: the target is not in service now'],
  770: () => ['ERR_CONNECT', 'failed: the target is out of resources'],
};

function chapRefusal({ credentials }: LoginOptions, { answered }: ChapProgress): Refusal {
  if (answered === undefined) return ['ERR_LOGIN_AUTH', 'refused: the target did not accept our CHAP offer'];
  const refusal = ['ERR_LOGIN_AUTH', `refused: wrong CHAP user or secret (user ${credentials?.user})`] as const;
  return answered === ChapAlgorithm.SHA256 ? [...refusal, SEVEN_HINT] : refusal;
}

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
    { cause: new UnprovenTarget() },
  );
}
