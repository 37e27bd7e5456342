// What an initiator is told before it connects, and what it reports. RFC 7143 §6 (login) and §8 (states).
import type { NegotiationWishes } from '../iscsi/negotiation.js';
import type { OperationalParams } from '../iscsi/params.js';
import type { Sense } from '../scsi/sense.js';
import type { AppError } from '../util/errors.js';
import type { BufferPool } from '../util/ref-buffer.js';

/** CHAP credentials. `algorithms` in order of preference: 5 MD5, 6 SHA1, 7 SHA256, 8 SHA3-256. */
export interface Credentials {
  readonly user: string;
  readonly secret: string;
  readonly algorithms: readonly number[];
  /** What the target must prove to us; its absence means one-way CHAP. */
  readonly mutual?: { readonly user: string; readonly secret: string };
}

/** The algorithm list of records that we create ourselves: the strongest that a peer knows wins. */
export const DEFAULT_CHAP_ALGORITHMS: readonly number[] = [8, 5, 7, 6];

/** What we offer. Lengths in bytes; the target cuts them to what it can take. */
export const DEFAULT_WISHES: NegotiationWishes = {
  headerDigest: 'None',
  dataDigest: 'None',
  maxConnections: 1,
  initialR2T: false,
  immediateData: true,
  maxRecvDataSegmentLength: 262_144,
  maxBurstLength: 16_776_192,
  firstBurstLength: 262_144,
  // 0: a lost session is reinstated at once.
  defaultTime2Wait: 0,
  defaultTime2Retain: 0,
  maxOutstandingR2T: 16,
  dataPDUInOrder: true,
  dataSequenceInOrder: true,
  errorRecoveryLevel: 0,
};

/** Every span in milliseconds. 0 switches the NOP-Out keepalive off. */
export interface InitiatorTimers {
  readonly loginTimeoutMs: number;
  readonly logoutTimeoutMs: number;
  readonly noopIntervalMs: number;
  readonly noopTimeoutMs: number;
  /** How long a SCSI command may take without its data moving before it is aborted. */
  readonly commandTimeoutMs: number;
  /** How long the target may take to answer ABORT TASK, LOGICAL UNIT RESET and TARGET WARM RESET before the next step. */
  readonly abortTimeoutMs: number;
  readonly luResetTimeoutMs: number;
  readonly tgtResetTimeoutMs: number;
  /** How long commands wait for a lost connection before they fail: 0 not at all, infinite as long as it takes. */
  readonly replacementTimeoutMs: number;
}

export const DEFAULT_TIMERS: InitiatorTimers = {
  loginTimeoutMs: 15_000,
  logoutTimeoutMs: 15_000,
  noopIntervalMs: 5000,
  noopTimeoutMs: 5000,
  commandTimeoutMs: 30_000,
  abortTimeoutMs: 15_000,
  luResetTimeoutMs: 30_000,
  tgtResetTimeoutMs: 30_000,
  replacementTimeoutMs: 120_000,
};

/** What one login needs to know. */
export interface LoginOptions {
  readonly initiatorName: string;
  readonly initiatorAlias?: string;
  /** Null logs in to a discovery session. */
  readonly targetName: string | null;
  /** Six bytes, RFC 7143 §11.12.5. */
  readonly isid: Buffer;
  readonly credentials: Credentials | null;
  /** Differences from DEFAULT_WISHES. */
  readonly negotiate?: NegotiationWishes;
  /**
   * Only asks why a login without credentials is refused: one request in the operational stage, as most initiators begin, which
   * does not leave it, so that no session comes of it. It ends with `login-failed` whatever the answer.
   */
  readonly question?: boolean;
}

/** What surrounds a core: memory, the clock and the timers. */
export interface InitiatorEnvironment {
  readonly pool: BufferPool;
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
  readonly timers: InitiatorTimers;
  /** The most commands in flight: of the session, and of each of its units. The target's own bounds hold besides. */
  readonly mostCommands?: number;
  readonly queueDepth?: number;
  /** Called when `poll()` has something new to give, or `deadline` has come nearer. It may look at once, or at the end of the turn. */
  readonly onOutput?: () => void;
}

/** RFC 7143 §8.1.3, the states of a connection that an initiator can be in. */
export type ConnectionState = 'FREE' | 'IN_LOGIN' | 'LOGGED_IN' | 'IN_LOGOUT' | 'LOGOUT_REQUESTED' | 'CLEANUP_WAIT';

/** Where a redirected login should go (RFC 7143 §11.13.5, class 01h). */
export interface Redirect {
  readonly address: string;
  readonly port: number;
  readonly permanent: boolean;
}

/** What a connection reports. After `login-failed`, `redirect`, `lost` and `logged-out` its socket is to be closed. */
export type ConnectionOutput =
  | {
      readonly kind: 'logged-in';
      readonly params: OperationalParams;
      readonly tsih: number;
      readonly tpgt: number | null;
      readonly targetAlias: string | null;
      readonly authMethod: 'None' | 'CHAP';
      /** The CHAP_A number that the target chose; null without CHAP. */
      readonly chapAlgorithm: number | null;
    }
  | {
      readonly kind: 'login-failed';
      readonly error: AppError;
      /** One more login that offers only MD5 may help: the target stumbled over the algorithm list, not the secret. */
      readonly retryWithMd5: boolean;
    }
  | { readonly kind: 'redirect'; readonly to: Redirect }
  /** The target may ask for a pause before the next login (Async Message 2 and 3). */
  | { readonly kind: 'lost'; readonly error: AppError; readonly time2WaitMs: number }
  /** `byTarget`: it asked for the logout, and a new login may follow after `time2WaitMs`. */
  | { readonly kind: 'logged-out'; readonly byTarget: boolean; readonly time2WaitMs: number }
  /** A logical unit says something in place of a command's answer, or out of turn. */
  | { readonly kind: 'unit-attention'; readonly lun: Buffer; readonly sense: Sense }
  | { readonly kind: 'text'; readonly pairs: readonly [string, string][] }
  | { readonly kind: 'log'; readonly level: 'info' | 'warn'; readonly message: string };
