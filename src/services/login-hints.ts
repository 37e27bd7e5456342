// What to do next about a login that has failed: one line for each cause, with a command that can be pasted.
import { LoginFailed, type LoginFault } from '../initiator/login-refusal.js';
import { formatAddress } from '../iscsi/portal.js';
import { AppError } from '../util/errors.js';
import type { Endpoint } from './session/attempts.js';

export interface FailedAt {
  /** Null for a discovery session. */
  readonly targetName: string | null;
  readonly portal: Endpoint;
  readonly initiatorName: string;
}

/** The next step after `error`, or undefined where nobody knows one. */
export function loginHint(error: AppError, at: FailedAt): string | undefined {
  if (error instanceof LoginFailed && error.fault !== null) return FAULTS[error.fault](placed(at));
  return error.hint ?? CODES[error.code]?.(placed(at));
}

/** The parts of a failure as words of a command line. */
interface Place {
  readonly portal: string;
  readonly initiatorName: string;
  /** What `lunctl chap` is told to find the record. */
  readonly chap: string;
  /** The login or discovery again. */
  readonly again: string;
  readonly discovery: boolean;
}

function placed({ targetName, portal, initiatorName }: FailedAt): Place {
  const at = formatAddress(portal);
  const discovery = targetName === null;
  return {
    ...{ portal: at, initiatorName, discovery },
    chap: discovery ? `--discovery -p ${at}` : targetName,
    again: discovery ? `lunctl discovery sendtargets -p ${at}` : `lunctl node login ${targetName} --wait 60`,
  };
}

const FAULTS: Record<LoginFault, (at: Place) => string> = {
  'wants-chap': ({ chap }) => `lunctl chap setup ${chap} asks for user and secret, tries them and keeps them`,
  'wrong-secret': ({ chap }) => `check user and secret on the target; lunctl chap setup ${chap} sets others`,
  'wrong-secret-by-seven': ({ chap, discovery }) =>
    `some targets take CHAP algorithm 7 (SHA256) for SHA1: ${discovery ? 'set' : `lunctl node set ${chap}`} node.session.auth.chap_algs=MD5`,
  'offer-refused': ({ chap }) =>
    `the target may have no CHAP account, or know none of the algorithms that are listed by: lunctl chap show ${chap}`,
  'not-admitted': ({ initiatorName }) =>
    `add this name to the access list of the target (with lunctl serve: --allow ${initiatorName}), or change it in initiatorname.iscsi`,
  'no-such-target': ({ portal }) => `lunctl discovery sendtargets -p ${portal} lists the targets behind this portal`,
  'not-in-service': ({ again }) => `it may come back by itself: ${again}`,
  'out-of-resources': ({ again }) => `end sessions that it does not need any more, then ${again}`,
  'only-none': ({ chap }) => `set CHAP up on the target; or, if it is meant to be open, lunctl chap clear ${chap}`,
  'no-chap': ({ chap }) => `set CHAP up on the target for this initiator, then lunctl chap test ${chap}`,
  unproven: ({ chap }) => `check the mutual user name and secret; lunctl chap setup ${chap} --mutual sets others`,
  'not-iscsi': ({ portal }) =>
    `check the port: iSCSI has 3260 as a rule; lunctl discovery sendtargets -p ${portal.replace(/:\d+$/, '')} asks there`,
  closed: ({ discovery, portal, again }) =>
    `it may admit nobody from this address, or be no iSCSI target: ${discovery ? again : `lunctl discovery sendtargets -p ${portal}`}`,
  silent: ({ portal }) =>
    `somebody listens there and says nothing: is this the port of an iSCSI target? lunctl doctor ${portal}`,
};

/** For failures on the way to the target. */
const CODES: Partial<Record<AppError['code'], (at: Place) => string>> = {
  ERR_CONNECT: ({ portal }) =>
    `is the target running, and is its port open in the firewall? lunctl doctor ${portal} looks along the way`,
  ERR_LOGIN_AUTH: ({ chap }) => `lunctl chap test ${chap} tries the credentials that are stored`,
  ERR_FATAL_LOGIN: ({ portal }) =>
    `the log of the target may say more; whether it still serves this one says lunctl discovery sendtargets -p ${portal}`,
};

/** The same error for a login that reads no record: what can be changed about CHAP stands on its own command line. */
export function withoutRecord(error: unknown): unknown {
  if (!(error instanceof AppError) || !(error.cause instanceof LoginFailed)) return error;
  const hint = error.cause.fault === null ? undefined : COMMAND_LINE[error.cause.fault];
  return hint === undefined ? error : new AppError(error.code, error.message, { cause: error.cause, hint });
}

const CHECK = 'check the user, and the file of --chap-secret-file';
const COMMAND_LINE: Partial<Record<LoginFault, string>> = {
  'wants-chap': 'name the user in the address, iscsi://USER@HOST/…, and give the secret with --chap-secret-file',
  'wrong-secret': CHECK,
  'wrong-secret-by-seven': `${CHECK}; some targets take SHA256 for SHA1: set chap_algs to MD5 in iscsid.conf`,
  'offer-refused': 'the target may have no CHAP account for this initiator: leave the user out',
  'only-none': 'set CHAP up on the target; or, if it is meant to be open, leave the user out',
  'no-chap': 'set CHAP up on the target for this initiator; or leave the user out',
  unproven: 'check --mutual-user, and the file of --mutual-secret-file',
};
