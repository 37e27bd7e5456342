// Why a login failed, in one line with its exit code's error code. Status classes and details of RFC 7143 §11.13.5.
import { ChapAlgorithm, UnprovenTarget } from '../iscsi/chap.js';
import { loginStatusHex, loginStatusText } from '../iscsi/login-status.js';
import { AppError, type AppErrorOptions, type ErrorCode } from '../util/errors.js';
import { printable } from '../util/printable.js';
import type { LoginOptions } from './options.js';

/** What a person can do something about; services/login-hints.ts says what for each. */
export type LoginFault =
  | 'wants-chap'
  | 'wrong-secret'
  /** The same after an answer by algorithm 7, which some targets take for another hash. */
  | 'wrong-secret-by-seven'
  /** CHAP was offered, and refused before there was a challenge to answer. */
  | 'offer-refused'
  | 'not-admitted'
  | 'no-such-target'
  | 'not-in-service'
  | 'out-of-resources'
  | 'only-none'
  | 'no-chap'
  | 'unproven'
  | 'not-iscsi'
  | 'closed'
  | 'silent';

/** What the message names: the target, or the portal's discovery session. */
export function loginSubject(options: LoginOptions): string {
  return options.targetName === null ? 'discovery' : `login to ${options.targetName}`;
}

/** How far CHAP had come: its list was out, or the answer to the algorithm that the target chose. */
export interface ChapProgress {
  readonly offered: boolean;
  readonly answered: number | undefined;
}

/** A login that has ended without a session. `fault` is null where no word is known for it. */
export class LoginFailed extends AppError {
  declare readonly fault: LoginFault | null;
  constructor(fault: LoginFault | null, code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(code, message, { ...options, fault });
  }
}

/** A Login Response of class 2 or 3. `status`: class and detail, as in LoginStatus. */
export class RefusedLogin extends LoginFailed {
  readonly status: number;
  constructor(
    status: number,
    code: ErrorCode,
    message: string,
    { fault = null, ...options }: Omit<AppErrorOptions, 'fault'> & { readonly fault?: LoginFault | null } = {},
  ) {
    super(fault, code, message, options);
    this.status = status;
  }
}

/** Status class 2 or 3 as the error to show. */
export function refusedByStatus(options: LoginOptions, status: number, chap: ChapProgress): RefusedLogin {
  const targetError = status >>> 8 === 3;
  const [code, reason, fault = null] = STATUS[status]?.(options, chap) ?? [
    targetError ? 'ERR_CONNECT' : 'ERR_FATAL_LOGIN',
    `refused: ${loginStatusText(status)}`,
  ];
  const message = `${loginSubject(options)} ${reason} (login status ${loginStatusHex(status)})`;
  return new RefusedLogin(status, code, message, { retriable: targetError, fault });
}

type Refusal = readonly [code: ErrorCode, reason: string, fault?: LoginFault];

const STATUS: Record<number, (options: LoginOptions, chap: ChapProgress) => Refusal | undefined> = {
  // A general error of ours is CHAP's matter while CHAP is under way: tgt answers so to what it cannot read as an answer.
  512: (options, chap) => (chap.offered ? chapRefusal(options, chap) : undefined),
  513: (options, chap) => (options.credentials === null ? WANTS_CHAP : chapRefusal(options, chap)),
  514: ({ initiatorName }) => [
    'ERR_LOGIN_AUTH',
    `refused: ${initiatorName} is not on the target's access list`,
    'not-admitted',
  ],
  515: () => ['ERR_FATAL_LOGIN', 'failed: no such target at this portal', 'no-such-target'],
  769: () => ['ERR_CONNECT', 'failed: the target is not in service now', 'not-in-service'],
  770: () => ['ERR_CONNECT', 'failed: the target is out of resources', 'out-of-resources'],
};

const WANTS_CHAP = [
  'ERR_LOGIN_AUTH',
  'refused: it wants CHAP, and no credentials are configured',
  'wants-chap',
] as const;

function chapRefusal({ credentials }: LoginOptions, { answered }: ChapProgress): Refusal {
  if (answered === undefined) {
    return ['ERR_LOGIN_AUTH', 'refused: the target did not accept our CHAP offer', 'offer-refused'];
  }
  const fault = answered === ChapAlgorithm.SHA256 ? 'wrong-secret-by-seven' : 'wrong-secret';
  const mutual = credentials?.mutual === undefined ? '' : ', or it knows no mutual CHAP';
  return ['ERR_LOGIN_AUTH', `refused: wrong CHAP user or secret (user ${credentials?.user})${mutual}`, fault];
}

/** No credentials are configured, and the target answers AuthMethod=None with another method or with Reject. */
export function wantsChap(options: LoginOptions, answer: string): LoginFailed {
  const [code, reason, fault] = WANTS_CHAP;
  return new LoginFailed(fault, code, `${loginSubject(options)} ${reason} (AuthMethod=${printable(answer, 80)})`);
}

/** To a question only: the target has nothing against a login without credentials. */
export function notRefused(options: LoginOptions): LoginFailed {
  return new LoginFailed(null, 'ERR_CONNECT', `${loginSubject(options)} is not refused`);
}

/** Credentials are configured, and the target would go on without any. */
export function onlyNoneOffered(options: LoginOptions): LoginFailed {
  return new LoginFailed(
    'only-none',
    'ERR_LOGIN_AUTH',
    `${loginSubject(options)} refused by us: the target offers no authentication (AuthMethod=None), and CHAP credentials are configured`,
  );
}

/** The target answered AuthMethod with Reject, or with a method that we did not offer. */
export function noCommonMethod(options: LoginOptions, answer: string): LoginFailed {
  return new LoginFailed(
    'no-chap',
    'ERR_LOGIN_AUTH',
    `${loginSubject(options)} failed: the target does not take CHAP (AuthMethod=${printable(answer, 80)})`,
  );
}

/** Mutual CHAP: the target did not answer our challenge. */
export function targetUnproven(options: LoginOptions): LoginFailed {
  return new LoginFailed(
    'unproven',
    'ERR_LOGIN_AUTH',
    `${loginSubject(options)} refused by us: the target did not prove its identity (mutual CHAP)`,
    { cause: new UnprovenTarget() },
  );
}

/** The login ended before the target had decided: its deadline passed, the connection closed, a rule was broken, CHAP failed. */
export function loginBroken(
  options: LoginOptions,
  reason: string,
  { cause, fault = null }: { readonly cause?: unknown; readonly fault?: LoginFault | null } = {},
): LoginFailed {
  // What CHAP itself says has a code of its own; all else, a reset connection too, may be better another time.
  const ofChap = cause instanceof AppError && cause.code === 'ERR_LOGIN_AUTH';
  const what = cause instanceof LoginFailed ? cause.fault : ofChap ? chapFault(cause) : fault;
  const code = ofChap ? cause.code : 'ERR_CONNECT';
  return new LoginFailed(what, code, `${loginSubject(options)} failed: ${reason}`, { cause, retriable: !ofChap });
}

function chapFault(cause: AppError): LoginFault {
  return cause instanceof UnprovenTarget ? 'unproven' : 'offer-refused';
}
