// What iscsiadm reports of a failure: its error number, which is the exit code too, and the words for it.
import { AppError } from '../../util/errors.js';
import { exitCodeOf } from '../exit-codes.js';
import type { Talk } from './talk.js';

/** Numbers that the face itself decides on. */
export const Reported = {
  Failure: 1,
  SessionNotFound: 2,
  NoMemory: 3,
  TransportFailure: 4,
  Database: 6,
  Invalid: 7,
  PduTimeout: 11,
  NoDriver: 12,
  SessionExists: 15,
  FatalLogin: 19,
  NoObjects: 21,
  SysfsLookup: 22,
  LoginAuthFailed: 24,
  IsnsQuery: 25,
} as const;

const TEXTS: Readonly<Record<number, string>> = {
  1: 'unknown error',
  2: 'session not found',
  3: 'no available memory',
  4: 'encountered connection failure',
  5: 'encountered iSCSI login failure',
  6: 'encountered iSCSI database failure',
  7: 'invalid parameter',
  8: 'connection timed out',
  9: 'internal error',
  10: 'encountered iSCSI logout failure',
  11: 'iSCSI PDU timed out',
  12: 'iSCSI driver not found. Please make sure it is loaded, and retry the operation',
  13: 'daemon access denied',
  14: 'iSCSI driver does not support requested capability.',
  15: 'session exists',
  16: 'Unknown request',
  17: 'iSNS service not supported',
  18: 'could not communicate to iscsid',
  19: 'encountered non-retryable iSCSI login failure',
  20: 'could not connect to iscsid',
  21: 'no objects found',
  22: 'sysfs lookup failure',
  23: 'host not found',
  24: 'iSCSI login failed due to authorization failure',
  25: 'iSNS query failed',
  26: 'iSNS registration failed',
  27: 'operation not supported',
  28: 'device or resource in use',
  29: 'operation failed but retry may succeed',
  32: 'target likely not connected',
};

export function reportedText(number: number): string {
  return TEXTS[number] ?? 'unknown error';
}

/** Tells the number of a failure and remembers it. What iscsiadm never says in so many words follows as it is. */
export function report(talk: Talk, error: unknown): void {
  const fault = error instanceof AppError ? error.fault : null;
  const number = BY_FAULT.get(fault) ?? exitCodeOf(error);
  talk.complain(`initiator reported error (${number} - ${reportedText(number)})`);
  if (error instanceof AppError && (OURS.has(error.code) || TELLING.has(fault))) talk.complain(error.message);
  talk.fail(number);
}

/** Causes that iscsiadm has no words for. */
const TELLING: ReadonlySet<string | null> = new Set(['not-iscsi', 'kernel-session']);

/** Where iscsiadm has another number than our own commands. */
const BY_FAULT: ReadonlyMap<string | null, number> = new Map([
  ['closed', Reported.PduTimeout],
  ['silent', Reported.PduTimeout],
  ['not-iscsi', Reported.PduTimeout],
  ['no-transport', Reported.NoDriver],
  ['unproven', Reported.FatalLogin],
]);

/** Failures that iscsiadm does not know, or that say more here: what holds a disk, who else uses the target. */
const OURS: ReadonlySet<AppError['code']> = new Set([
  'ERR_ACCESS',
  'ERR_BUSY',
  'ERR_DATABASE',
  'ERR_DRIVER_MISSING',
  'ERR_HELPER',
  'ERR_INTERNAL',
  'ERR_LOGOUT',
  'ERR_NOT_SUPPORTED',
  'ERR_UNKNOWN',
  'ERR_USAGE',
]);
