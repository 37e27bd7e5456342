// An initiator's session, RFC 7143 §4.4.2 and §8.3: it owns the ISID, the tasks and the LUNs, and outlives its connections.
import type { OperationalParams } from '../iscsi/params.js';
import type { AppError } from '../util/errors.js';
import type { Timed, TransmitSink } from '../util/stream.js';
import type { InitiatorConnection } from './connection.js';
import type { Counters } from './counters.js';
import type { ConnectionOutput, InitiatorEnvironment, LoginOptions } from './options.js';

/** RFC 7143 §8.3.1. */
export type SessionState = 'FREE' | 'LOGGED_IN' | 'FAILED';

/** A command that is awaited as a whole: probing and management, not the data path. */
export interface ScsiCommand {
  /** Eight bytes. */
  readonly lun: Buffer;
  /** Sixteen bytes. */
  readonly cdb: Buffer;
  readonly dataOut?: Buffer;
  /** The largest answer in bytes; default 0. */
  readonly dataInLength?: number;
  readonly timeoutMs: number;
}

export interface ScsiResult {
  /** SAM status. */
  readonly status: number;
  readonly sense: Buffer | null;
  readonly data: Buffer;
  /** Positive: bytes of ours that were not used (underflow). Negative: bytes that did not fit (overflow). */
  readonly residual: number;
}

/** What a session reports: all of its connections' outputs, and what the logical units say out of turn. */
export type SessionOutput =
  | ConnectionOutput
  | { readonly kind: 'unit-attention'; readonly lun: Buffer; readonly asc: number; readonly ascq: number };

export declare class InitiatorSession implements Timed {
  constructor(login: LoginOptions, environment: InitiatorEnvironment);
  readonly state: SessionState;
  readonly isid: Buffer;
  readonly tsih: number;
  /** What the current or last connection negotiated. */
  readonly params: OperationalParams | null;
  readonly counters: Counters;
  /** Why the last connection ended. */
  readonly lastError: AppError | null;
  /** A connection over `sink` that logs in at once (TSIH 0, the session's ISID), in the place of a lost one. Covers its timers. */
  open(sink: TransmitSink): InitiatorConnection;
  readonly connection: InitiatorConnection | null;
  poll(): SessionOutput | undefined;
  readonly deadline: number | undefined;
  handleTimeout(now: number): void;
  /** Rejects with AppError when the session is lost or the command timed out. */
  execute(command: ScsiCommand): Promise<ScsiResult>;
  /** Waits for the tasks in flight, logs out, ends with the output `logged-out` or `lost`. Bounded by logoutTimeoutMs. */
  logout(): Promise<void>;
}
