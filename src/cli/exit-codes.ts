// The border between errors and exit codes: iscsiadm's numbers 1 to 33, ours from 40, 128 + signal for signals.
import { AppError, type ErrorCode } from '../util/errors.js';

/** Exit code of every error code. Scripts rely on the numbers: they never change their meaning. */
export const EXIT_CODE = {
  ERR_UNKNOWN: 1,
  ERR_SESSION_NOT_FOUND: 2,
  ERR_TRANSPORT: 4,
  ERR_LOGIN: 5,
  ERR_PROTOCOL: 5,
  ERR_DATABASE: 6,
  ERR_USAGE: 7,
  ERR_CONNECT: 8,
  ERR_INTERNAL: 9,
  ERR_LOGOUT: 10,
  ERR_TIMEOUT: 11,
  ERR_DRIVER_MISSING: 12,
  ERR_ACCESS: 13,
  ERR_SESSION_EXISTS: 15,
  ERR_FATAL_LOGIN: 19,
  ERR_NOT_FOUND: 21,
  ERR_LOGIN_AUTH: 24,
  ERR_NOT_SUPPORTED: 27,
  ERR_BUSY: 28,
  ERR_AGAIN: 29,
  ERR_NOT_CONNECTED: 32,
  ERR_REFUSED: 40,
  ERR_HELPER: 41,
  ERR_MISCOMPARE: 42,
  ERR_RESERVATION_CONFLICT: 43,
  ERR_INTERRUPTED: 130,
  ERR_TERMINATED: 143,
} as const satisfies Record<ErrorCode, number>;

/** What each exit code says, for the manual page and for lists. */
export const EXIT_TEXT: Readonly<Record<number, string>> = {
  0: 'success',
  1: 'an error that has no code of its own',
  2: 'session not found',
  4: 'connection failure, or a name that does not resolve',
  5: 'login failure, or the peer broke the protocol',
  6: 'a record or state file cannot be read, written or locked',
  7: 'invalid parameter',
  8: 'connection refused, no route or timed out at login',
  9: 'internal error',
  10: 'logout failure',
  11: 'no answer in time, or discovery refused',
  12: 'a kernel driver or helper for the way asked for is missing',
  13: 'needs root, or a file that may not be read',
  15: 'session exists',
  19: 'login failure that must not be retried',
  21: 'no such record, session or disk',
  24: 'login refused: authentication or authorization',
  27: 'operation not supported',
  28: 'mounted, held or in use',
  29: 'outcome unknown: a retry may succeed',
  32: 'target likely not connected',
  40: 'refused: data in the way, or a confirmation is missing',
  41: 'a helper program failed',
  42: 'compare and write: the blocks hold something else; nothing was written',
  43: 'reservation conflict: a persistent reservation, or a key that is not registered, stands against it',
  130: 'interrupted by Ctrl-C',
  143: 'ended by SIGTERM',
};

/** The exit code for anything thrown: an AppError's own, otherwise 1. */
export function exitCodeOf(error: unknown): number {
  return error instanceof AppError ? EXIT_CODE[error.code] : EXIT_CODE.ERR_UNKNOWN;
}
