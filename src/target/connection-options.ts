// How a TargetConnection is made.
import type { TransmitSink } from '../util/stream.js';
import type { TargetContext } from './context.js';
import type { ConnectionAddresses, ConnectionHost } from './events.js';

export interface TargetConnectionOptions {
  /** Shared by all connections of one server. */
  readonly context: TargetContext;
  readonly sink: TransmitSink;
  readonly host: ConnectionHost;
  readonly addresses: ConnectionAddresses;
}
