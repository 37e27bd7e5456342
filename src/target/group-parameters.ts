// What a portal group negotiates (RFC 7143 §13): the administrator's wishes, held below what this target can keep.
import { KEYS } from '../iscsi/keys.js';
import type { NegotiationWishes } from '../iscsi/negotiation.js';
import type { GroupParameters } from './config.js';
import { DECLARED } from './limits.js';

const DIGESTS = ['None', 'CRC32C'] as const;

/** Where more than our own value would be a promise that this target cannot keep. */
const CAPPED = [
  'maxRecvDataSegmentLength',
  'maxBurstLength',
  'firstBurstLength',
  'maxOutstandingR2T',
  'maxConnections',
  'errorRecoveryLevel',
  'defaultTime2Retain',
] as const;

export function wishesOf(parameters: GroupParameters = {}): NegotiationWishes {
  const wishes = { headerDigest: DIGESTS, dataDigest: DIGESTS, ...DECLARED, ...parameters };
  const capped: Partial<Record<(typeof CAPPED)[number], number>> = {};
  for (const name of CAPPED) capped[name] = Math.min(wishes[name], DECLARED[name]);
  // FirstBurstLength must not exceed MaxBurstLength (§13.14).
  const firstBurstLength = Math.min(capped.firstBurstLength ?? 0, capped.maxBurstLength ?? 0);
  return { ...wishes, ...capped, firstBurstLength };
}

/** The keys that the administrator has set. An initiator that leaves one out is asked; it need not be about our own wishes. */
export function keysToInsistOn(parameters: GroupParameters = {}): ReadonlySet<string> {
  return new Set(
    KEYS.filter(({ param }) => param !== undefined && parameters[param as keyof GroupParameters] !== undefined).map(
      ({ name }) => name,
    ),
  );
}
