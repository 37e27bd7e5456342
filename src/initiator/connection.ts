// One TCP connection as an initiator sees it: login, full feature phase, logout (RFC 7143 §6, §8.1).
import type { OperationalParams } from '../iscsi/params.js';
import type { RefBuffer } from '../util/ref-buffer.js';
import type { StreamConsumer, Timed, TransmitSink } from '../util/stream.js';
import type { ConnectionOutput, ConnectionState, InitiatorEnvironment, LoginOptions } from './options.js';

export declare class InitiatorConnection implements StreamConsumer, Timed {
  /** Writes the first Login Request into `sink` at once. */
  constructor(login: LoginOptions, environment: InitiatorEnvironment, sink: TransmitSink);
  readonly state: ConnectionState;
  readonly params: OperationalParams | null;
  onBytes(chunk: Buffer, owner: RefBuffer): void;
  readTarget(): Buffer | null;
  onTargetFilled(length: number): void;
  readonly paused: boolean;
  onDrain(): void;
  readonly deadline: number | undefined;
  handleTimeout(now: number): void;
  poll(): ConnectionOutput | undefined;
  /** The socket is gone, or the driver caught what a method threw. Idempotent; ends in `login-failed`, `lost` or `logged-out`. */
  handleClosed(error: unknown): void;
  /** Sends a Logout Request for the session; the answer or the deadline ends in `logged-out` or `lost`. */
  logout(): void;
}
