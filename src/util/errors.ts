// The error classes of the whole program. Codes are stable strings; cli/exit-codes.ts turns them into exit codes.

/** Every code that an AppError may carry. The table in cli/exit-codes.ts is exhaustive over it. */
export const ERROR_CODES = [
  'ERR_UNKNOWN', // 1
  'ERR_SESSION_NOT_FOUND', // 2
  'ERR_TRANSPORT', // 4: a connection failure, and a name that does not resolve
  'ERR_LOGIN', // 5
  'ERR_DATABASE', // 6: a record or state file that cannot be read, written or locked
  'ERR_USAGE', // 7: invalid parameter
  'ERR_CONNECT', // 8: refused, no route, timed out at login; target error 03xx
  'ERR_INTERNAL', // 9
  'ERR_LOGOUT', // 10
  'ERR_TIMEOUT', // 11: a PDU or a reply did not come; discovery refused
  'ERR_DRIVER_MISSING', // 12: no nbd module, no /dev/fuse, no helper for the way asked for
  'ERR_ACCESS', // 13: needs root, or a file that may not be read
  'ERR_SESSION_EXISTS', // 15
  'ERR_FATAL_LOGIN', // 19: a login status that must not be retried (0203 and other 02xx)
  'ERR_NOT_FOUND', // 21: no such record, session, disk
  'ERR_LOGIN_AUTH', // 24: 0201 and 0202
  'ERR_NOT_SUPPORTED', // 27
  'ERR_BUSY', // 28: mounted, held, in use, locked
  'ERR_AGAIN', // 29: outcome unknown
  'ERR_NOT_CONNECTED', // 32
  'ERR_PROTOCOL', // 5: the peer broke the protocol
  'ERR_REFUSED', // 40: data in the way, a confirmation is missing
  'ERR_HELPER', // 41: a helper program failed
  'ERR_MISCOMPARE', // 42: COMPARE AND WRITE has found other bytes
  'ERR_RESERVATION_CONFLICT', // 43: the SCSI status
  'ERR_INTERRUPTED', // 130
  'ERR_TERMINATED', // 143
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

export interface AppErrorOptions {
  readonly cause?: unknown;
  /** One line with the next command to try; printed after "hint: ". */
  readonly hint?: string;
  /** Whether the same call may succeed later without a change. Default false. */
  readonly retriable?: boolean;
  /** The cause in one word, for programs; it crosses process borders. */
  readonly fault?: string | null;
}

/** A failure to be shown to a person: one line that names the object, the reason and the protocol's own status. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly retriable: boolean;
  readonly fault: string | null;
  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
    this.retriable = options.retriable ?? false;
    this.fault = options.fault ?? null;
  }
}

/** The peer broke its protocol: ends that one connection, never the process. `clause` names the rule broken. */
export class ProtocolError extends AppError {
  readonly clause: string;
  constructor(clause: string, message: string, options: AppErrorOptions = {}) {
    super('ERR_PROTOCOL', `${message} (${clause})`, options);
    this.clause = clause;
  }
}

/** The message of anything thrown, for the end of a longer line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
