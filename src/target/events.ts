// What a target connection tells and asks of the program around it.

/**
 * How a session has ended: by the initiator's logout; because the connection was lost or its initiator fell silent; in favour
 * of a new session of the same initiator port; because the initiator broke the protocol; or by the target's own decision.
 */
export type EndCause = 'logout' | 'lost' | 'reinstated' | 'protocol' | 'target';

/** For the log: one per login, refusal and end. Peer strings in it have passed the name grammar or are shown as hex. */
export type TargetEvent =
  | {
      readonly kind: 'login';
      readonly initiatorName: string;
      /** Null for a discovery session. */
      readonly targetName: string | null;
      readonly session: number;
      readonly authenticated: boolean;
      /** Whether it took the place of an older session of the same initiator port (RFC 7143 §6.3.5). */
      readonly reinstated: boolean;
    }
  | {
      readonly kind: 'refuse';
      readonly initiatorName: string | null;
      readonly targetName: string | null;
      /** Status-Class and Status-Detail of RFC 7143 §11.13.5, as one number. */
      readonly status: number;
      readonly reason: string;
    }
  | {
      readonly kind: 'end';
      readonly initiatorName: string;
      readonly targetName: string | null;
      readonly session: number;
      readonly cause: EndCause;
      readonly reason: string;
    }
  | { readonly kind: 'fault'; readonly reason: string }
  /** So many refusals, faults and discoveries of one address were not told one by one. */
  | { readonly kind: 'omitted'; readonly count: number };

/** The driver of one connection, as the core sees it. */
export interface ConnectionHost {
  /** Milliseconds on a monotonic clock. */
  now(): number;
  /** Send what is queued, then close. Called once. The core does nothing more after it. */
  close(): void;
  event(event: TargetEvent): void;
  /** How long a refused login waits for its answer, in milliseconds: whoever guesses secrets is to learn slowly. */
  refusalDelayMs?(): number;
  /** `paused` or `deadline` may have changed in a call that the driver did not make. */
  changed(): void;
}

/** The two ends of a connection. IPv4-mapped IPv6 addresses are written as IPv4. */
export interface ConnectionAddresses {
  readonly local: { readonly address: string; readonly port: number };
  readonly remote: { readonly address: string; readonly port: number };
}
