// The operational parameters of a connection and its session after login, RFC 7143 §13.

/** Digest algorithms, §13.1. */
export type DigestName = 'None' | 'CRC32C';

/** What both ends agreed on. Lengths in bytes, times in seconds. */
export interface OperationalParams {
  readonly headerDigest: DigestName;
  readonly dataDigest: DigestName;
  readonly maxConnections: number;
  readonly initialR2T: boolean;
  readonly immediateData: boolean;
  /** The largest data segment that we declared to take. */
  readonly maxRecvDataSegmentLength: number;
  /** The largest data segment that the peer declared to take; 8192 when it declared none. */
  readonly maxXmitDataSegmentLength: number;
  readonly maxBurstLength: number;
  /** Never above `maxBurstLength`. */
  readonly firstBurstLength: number;
  readonly defaultTime2Wait: number;
  readonly defaultTime2Retain: number;
  readonly maxOutstandingR2T: number;
  readonly dataPDUInOrder: boolean;
  readonly dataSequenceInOrder: boolean;
  readonly errorRecoveryLevel: number;
}

/** Largest data segment while nothing else is declared, so all through login (§13.12). Bytes. */
export const DEFAULT_MAX_DATA_SEGMENT = 8192;

/** The values in force before, and without, negotiation (§13). */
export const DEFAULT_PARAMS: OperationalParams = {
  headerDigest: 'None',
  dataDigest: 'None',
  maxConnections: 1,
  initialR2T: true,
  immediateData: true,
  maxRecvDataSegmentLength: DEFAULT_MAX_DATA_SEGMENT,
  maxXmitDataSegmentLength: DEFAULT_MAX_DATA_SEGMENT,
  maxBurstLength: 262_144,
  firstBurstLength: 65_536,
  defaultTime2Wait: 2,
  defaultTime2Retain: 20,
  maxOutstandingR2T: 1,
  dataPDUInOrder: true,
  dataSequenceInOrder: true,
  errorRecoveryLevel: 0,
};
