// What one peer, and all of them together, may take of this process. Every number has its reason beside it.
import type { OperationalParams } from '../iscsi/negotiation.js';

export const LIMITS = {
  /** From accept to full feature phase, whatever the peer sends meanwhile, in milliseconds. */
  loginTimeoutMs: 10_000,
  /** What an administrator may make of it for one portal group. */
  loginTimeoutRangeMs: [1000, 30_000],
  /** Login requests on one connection: the longest honest login takes 6. */
  loginExchanges: 32,
  /** Data segment before full feature phase: RFC 7143 §13.12's default. */
  loginDataSegment: 8192,
  /** Connections that have not logged in, in all and from one address; beyond, the oldest goes, silent ones first. */
  pendingConnections: 64,
  pendingPerAddress: 16,
  sessions: 256,
  /** Discovery needs no proof of identity, so it must not use up what proven initiators need; the oldest goes. */
  discoverySessions: 32,
  sessionsPerInitiator: 8,
  /** A quiet initiator is asked for a sign of life after the first, and given up after the second, in milliseconds. */
  pingAfterMs: 15_000,
  pingTimeoutMs: 30_000,
  /** An initiator that reads nothing of what is queued for it is dropped after this long, in milliseconds. */
  stuckMs: 45_000,
  /** Commands between ExpCmdSN and MaxCmdSN. */
  window: 128,
  /** What an administrator may make of it for one portal group or initiator. */
  largestWindow: 512,
  /** Immediate commands that may wait beside the window (RFC 7143 §4.2.2.1: at least one). */
  immediateTasks: 16,
  /** Commands kept because one before them is missing, with their data, in bytes: on one connection an honest peer leaves no gap. */
  outOfOrderBytes: 2 ** 18,
  /** Write data held for all sessions: beyond it the window stays closed and commands end with TASK SET FULL. */
  bufferedBytes: 2 ** 26,
  /** Of those, promised by R2Ts to one connection. */
  solicitedPerConnection: 2 ** 23,
  /** Read data fetched and queued for all sessions, beyond which each gets one small piece at a time. */
  queuedBytes: 2 ** 26,
  /** Data moves between device and network in pieces of this size: MaxBurstLength and a multiple of every block size. */
  chunk: 2 ** 20,
  /** One READ, WRITE, VERIFY … : MAXIMUM TRANSFER LENGTH of VPD page B0h, in bytes. */
  transfer: 2 ** 23,
  /** COMPARE AND WRITE, in blocks. */
  compareAndWrite: 128,
  /** WRITE ATOMIC(16), in bytes: one piece, so that no device sees it in two. */
  atomicWrite: 2 ** 20,
  /** EXTENDED COPY: how many run at a time for one unit, each with a piece in memory, and outcomes kept for a nexus. */
  copies: 8,
  copyResults: 16,
  /** GET LBA STATUS: descriptors of one answer, and bytes that it may be about: looking through a large disk takes its time. */
  lbaStatus: 256,
  lbaStatusBytes: 2 ** 36,
  /** UNMAP: blocks of all its descriptors together, and their number. WRITE SAME may be as long as a transfer. */
  unmapBlocks: 2 ** 20,
  unmapDescriptors: 64,
  /** An answer to our Asynchronous Message that asks for logout, in seconds (RFC 7143 §11.9.1, Parameter3). */
  logoutSeconds: 5,
  /** SendTargets and other text of full feature phase, in bytes. */
  text: 2 ** 16,
} as const;

/** What we declare and offer at login (RFC 7143 §13). InitialR2T is an offer that an initiator may raise to Yes. */
export const DECLARED = {
  maxRecvDataSegmentLength: 262_144,
  firstBurstLength: 65_536,
  maxBurstLength: 1_048_576,
  maxOutstandingR2T: 16,
  maxConnections: 1,
  errorRecoveryLevel: 0,
  initialR2T: false,
  immediateData: true,
  defaultTime2Wait: 2,
  defaultTime2Retain: 0,
} as const satisfies Partial<OperationalParams>;
