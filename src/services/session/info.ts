// What the services, the session workers and the command line tell each other about a login and a session. Plain JSON values.
import type { RecoveryWord } from '../../initiator/recovery.js';
import type { SessionState } from '../../initiator/session.js';
import type { NegotiationWishes } from '../../iscsi/negotiation.js';
import type { OperationalParams } from '../../iscsi/params.js';
import type { Source } from '../../transport/source.js';

/** How a LUN becomes a device node: see `attachDevice`. */
export const ATTACH_MODES = ['auto', 'nbd', 'fuse', 'none'] as const;
export type AttachMode = (typeof ATTACH_MODES)[number];

/** One address at which a target is served. `tpgt` is the target portal group tag, −1 where it is not known. */
export interface Portal {
  address: string;
  port: number;
  tpgt: number;
}

/** CHAP credentials, RFC 7143 §12.1. `algorithms` are CHAP_A numbers in the order to offer (5 MD5, 6 SHA1, 7 SHA256, 8 SHA3-256). */
export interface Credentials {
  user: string;
  secret: string;
  algorithms: number[];
  /** What the target must prove to us, for mutual CHAP. */
  mutual?: { user: string; secret: string };
}

/** Milliseconds. */
export interface SessionTimers {
  /** Silence after which a NOP-Out asks whether the target lives. 0 turns keepalive off. */
  noopIntervalMs: number;
  /** How long its answer may take. */
  noopTimeoutMs: number;
  /** How long I/O waits for a lost connection before it fails. */
  replacementTimeoutMs: number;
  /** Bound of one try to connect and log in to one portal. */
  loginTimeoutMs: number;
  /** Bound of the Logout exchange. */
  logoutTimeoutMs: number;
  /** How long the target may take to answer ABORT TASK, LOGICAL UNIT RESET, TARGET WARM RESET. */
  abortTimeoutMs: number;
  luResetTimeoutMs: number;
  tgtResetTimeoutMs: number;
}

/** Commands in flight at most, in a session and to each of its LUNs; absent: as many as the target takes. */
export interface SessionLimits {
  commands?: number;
  queueDepth?: number;
}
export const DEFAULT_TIMERS: Readonly<SessionTimers> = {
  noopIntervalMs: 5000,
  noopTimeoutMs: 5000,
  replacementTimeoutMs: 120_000,
  loginTimeoutMs: 15_000,
  logoutTimeoutMs: 15_000,
  abortTimeoutMs: 15_000,
  luResetTimeoutMs: 30_000,
  tgtResetTimeoutMs: 30_000,
};

/** A partition of a LUN, as its own export. */
export interface PartitionInfo {
  number: number;
  exportName: string;
  /** nbd+unix:///lun0p1?socket=… */
  nbd: string;
  startBytes: number;
  sizeBytes: number;
  /** GPT: the type GUID; MBR: the type byte in hexadecimal. `type` and `uuid` alone are a file system's, in other places. */
  partitionType: string;
  partitionUuid: string;
  partitionName: string;
}

export interface DeviceInfo {
  lun: number;
  exportName: string;
  /** nbd+unix:///lun0?socket=… */
  nbd: string;
  path: string | null;
  attach: 'nbd' | 'fuse' | 'none';
  sizeBytes: number;
  blockSize: number;
  /** The unit's preferred transfer size in bytes (VPD page B0h), or 0. A kernel NBD device or a file cannot pass it on. */
  optimalIoSize: number;
  vendor: string;
  product: string;
  revision: string;
  serial: string;
  /** The logical unit's lasting name from VPD page 83h, as `naa.…`, `eui.…` or `t10.…`; empty if it states none. */
  designator: string;
  readOnly: boolean;
  writeCache: boolean;
  partitions: PartitionInfo[];
  /** Why the LUN is not attached although that was asked for, or what its device lacks, in one line; null: nothing to say. */
  note: string | null;
}

export interface SessionInfo {
  sid: number;
  pid: number;
  /** The session state's name in RFC 7143 §8.3: LOGGED_IN, FAILED, FREE. */
  state: SessionState;
  /** What is being done about a lost connection, in one word; 'none' while there is nothing to do. */
  recovery: RecoveryWord;
  /** When the connection was lost that is being recovered, RFC 3339; null while nothing is wrong. */
  lostSince: string | null;
  /** Why the connection was lost last, or why the last try to replace it failed; null if nothing of that kind has happened. */
  lastError: string | null;
  targetName: string;
  portal: Portal;
  iface: string;
  /** Which of the sessions of its record it is, from 0. */
  index: number;
  /** This end's address; null while there is no connection. */
  localAddress: string | null;
  initiatorName: string;
  /** 12 hexadecimal digits. */
  isid: string;
  tsih: number;
  authMethod: 'None' | 'CHAP';
  chapUser: string | null;
  /** The name by which the target has proved itself; null without mutual CHAP. */
  mutualUser: string | null;
  /** It was asked for without writes; see `LoginRequest`. */
  readOnly: boolean;
  params: OperationalParams;
  /** RFC 3339. */
  loggedInAt: string;
  /** Absolute path of the socket that serves every LUN and partition. */
  socket: string;
  readBytes: number;
  writtenBytes: number;
  devices: DeviceInfo[];
}

export interface LoginRequest {
  targetName: string;
  portal: Portal;
  iface: string;
  /** Where connections come from, if the iface record says so. */
  source?: Source;
  /** Which of a record's sessions this is: 0 up to node.session.nr_sessions less 1. Default 0. */
  index?: number;
  initiatorName: string;
  credentials: Credentials | null;
  attach: AttachMode;
  /** No writes to any LUN: NBD exports and devices are read-only. */
  readOnly: boolean;
  /** Run the worker inside this process and return once the session is usable; see `login`. */
  foreground: boolean;
  /** Bound of connecting and logging in, milliseconds; attaching has its own. */
  timeoutMs: number;
  /** What to offer instead of the initiator's own wishes. */
  negotiate: NegotiationWishes;
  timers: SessionTimers;
  /** Default: none. */
  limits?: SessionLimits;
  /** NBD connections of a kernel attach, 1–4. Default 1. */
  connections?: number;
  /** Log in although a kernel iSCSI session to the same target exists. Default false. */
  also?: boolean;
  /** Other NBD clients may write while a kernel or FUSE device is attached. Default false. */
  shared?: boolean;
}
