// A discovery session: log in without a target name, ask SendTargets=All, log out (RFC 7143 §4.3, Appendix C).
import type { AppError } from '../util/errors.js';
import type { StreamConsumer, Timed, TransmitSink } from '../util/stream.js';
import type { Credentials, InitiatorEnvironment, Redirect } from './options.js';

/** One path to one target. `tpgt` is −1 where the portal stated none. */
export interface TargetPortal {
  readonly targetName: string;
  readonly address: string;
  readonly port: number;
  readonly tpgt: number;
}

export type DiscoveryOutput =
  | { readonly kind: 'found'; readonly targets: readonly TargetPortal[] }
  | { readonly kind: 'failed'; readonly error: AppError; readonly retryWithMd5: boolean }
  | { readonly kind: 'redirect'; readonly to: Redirect }
  | { readonly kind: 'closed' };

/** The portal that was connected to stands in where a target states no address of its own. */
export declare class DiscoverySession implements StreamConsumer, Timed {
  constructor(
    options: {
      readonly initiatorName: string;
      readonly isid: Buffer;
      readonly credentials: Credentials | null;
      readonly portal: { readonly address: string; readonly port: number };
    },
    environment: InitiatorEnvironment,
    sink: TransmitSink,
  );
  onBytes: StreamConsumer['onBytes'];
  readTarget: StreamConsumer['readTarget'];
  onTargetFilled: StreamConsumer['onTargetFilled'];
  readonly paused: boolean;
  onDrain(): void;
  readonly deadline: number | undefined;
  handleTimeout(now: number): void;
  /** `found` (or `failed`, `redirect`) comes once; `closed` when the logout is done and the socket can go. */
  poll(): DiscoveryOutput | undefined;
  handleClosed(error: unknown): void;
}
