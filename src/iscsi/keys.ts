// The text keys of login and negotiation as one table, RFC 7143 §12 and §13. Both ends resolve from it.
import type { OperationalParams } from './params.js';

/** How two values become one, §6.2. */
export type KeyKind =
  /** The first of the offered values that the responder takes (§6.2.1). */
  | 'list'
  /** Booleans: Yes if both, Yes if either (§6.2.2). */
  | 'and'
  | 'or'
  /** Numbers: the smaller, the larger (§6.2.2). */
  | 'min'
  | 'max'
  /** A number that one side states of itself; there is no answer. */
  | 'declare'
  /** Said or negotiated elsewhere: names, aliases, authentication. The negotiator passes it over. */
  | 'other'
  /** Gone since RFC 3720, still sent: has a fixed answer (§13.25). */
  | 'obsolete';

export interface KeyInfo {
  readonly name: string;
  readonly kind: KeyKind;
  /** The parameter that it sets, if any. */
  readonly param?: keyof OperationalParams;
  /** What holds without negotiation, as text; for an obsolete key its answer. */
  readonly default: string;
  /** Smallest and largest number. */
  readonly range?: readonly [number, number];
  /** The values of a list that this program knows. */
  readonly values?: readonly string[];
  readonly scope: 'connection' | 'session';
  /** RFC 7143 §13 "Use": initialize only, leading only, full feature phase only, or all. */
  readonly stages: 'IO' | 'LO' | 'FFPO' | 'ALL';
  /** Whether it matters in a discovery session; elsewhere its answer there is Irrelevant. */
  readonly discovery: boolean;
  readonly clause: string;
}

const LENGTHS = [512, 2 ** 24 - 1] as const;
const COUNTS = [1, 65_535] as const;
const SECONDS = [0, 3600] as const;
const DIGESTS = ['CRC32C', 'None'] as const;

function other(name: string, stages: KeyInfo['stages'], clause: string): KeyInfo {
  return { name, kind: 'other', default: '', scope: 'session', stages, discovery: true, clause: `RFC 7143 ${clause}` };
}

/** Operational keys stand in the order in which open-iscsi offers them: some targets have seen no other. */
export const KEYS: readonly KeyInfo[] = [
  {
    name: 'HeaderDigest',
    kind: 'list',
    param: 'headerDigest',
    default: 'None',
    values: DIGESTS,
    scope: 'connection',
    stages: 'IO',
    discovery: true,
    clause: 'RFC 7143 §13.1',
  },
  {
    name: 'DataDigest',
    kind: 'list',
    param: 'dataDigest',
    default: 'None',
    values: DIGESTS,
    scope: 'connection',
    stages: 'IO',
    discovery: true,
    clause: 'RFC 7143 §13.1',
  },
  {
    name: 'DefaultTime2Wait',
    kind: 'max',
    param: 'defaultTime2Wait',
    default: '2',
    range: SECONDS,
    scope: 'session',
    stages: 'LO',
    discovery: true,
    clause: 'RFC 7143 §13.15',
  },
  {
    name: 'DefaultTime2Retain',
    kind: 'min',
    param: 'defaultTime2Retain',
    default: '20',
    range: SECONDS,
    scope: 'session',
    stages: 'LO',
    discovery: true,
    clause: 'RFC 7143 §13.16',
  },
  {
    name: 'ErrorRecoveryLevel',
    kind: 'min',
    param: 'errorRecoveryLevel',
    default: '0',
    range: [0, 2],
    scope: 'session',
    stages: 'LO',
    discovery: true,
    clause: 'RFC 7143 §13.20',
  },
  {
    name: 'InitialR2T',
    kind: 'or',
    param: 'initialR2T',
    default: 'Yes',
    scope: 'session',
    stages: 'LO',
    discovery: false,
    clause: 'RFC 7143 §13.10',
  },
  {
    name: 'ImmediateData',
    kind: 'and',
    param: 'immediateData',
    default: 'Yes',
    scope: 'session',
    stages: 'LO',
    discovery: false,
    clause: 'RFC 7143 §13.11',
  },
  {
    name: 'MaxBurstLength',
    kind: 'min',
    param: 'maxBurstLength',
    default: '262144',
    range: LENGTHS,
    scope: 'session',
    stages: 'LO',
    discovery: false,
    clause: 'RFC 7143 §13.13',
  },
  {
    name: 'FirstBurstLength',
    kind: 'min',
    param: 'firstBurstLength',
    default: '65536',
    range: LENGTHS,
    scope: 'session',
    stages: 'LO',
    discovery: false,
    clause: 'RFC 7143 §13.14',
  },
  {
    name: 'MaxOutstandingR2T',
    kind: 'min',
    param: 'maxOutstandingR2T',
    default: '1',
    range: COUNTS,
    scope: 'session',
    stages: 'LO',
    discovery: false,
    clause: 'RFC 7143 §13.17',
  },
  {
    name: 'MaxConnections',
    kind: 'min',
    param: 'maxConnections',
    default: '1',
    range: COUNTS,
    scope: 'session',
    stages: 'LO',
    discovery: false,
    clause: 'RFC 7143 §13.2',
  },
  {
    name: 'DataPDUInOrder',
    kind: 'or',
    param: 'dataPDUInOrder',
    default: 'Yes',
    scope: 'session',
    stages: 'LO',
    discovery: false,
    clause: 'RFC 7143 §13.18',
  },
  {
    name: 'DataSequenceInOrder',
    kind: 'or',
    param: 'dataSequenceInOrder',
    default: 'Yes',
    scope: 'session',
    stages: 'LO',
    discovery: false,
    clause: 'RFC 7143 §13.19',
  },
  {
    name: 'MaxRecvDataSegmentLength',
    kind: 'declare',
    param: 'maxRecvDataSegmentLength',
    default: '8192',
    range: LENGTHS,
    scope: 'connection',
    stages: 'ALL',
    discovery: true,
    clause: 'RFC 7143 §13.12',
  },
  {
    name: 'TaskReporting',
    kind: 'list',
    default: 'RFC3720',
    values: ['RFC3720'],
    scope: 'session',
    stages: 'LO',
    discovery: false,
    clause: 'RFC 7143 §13.23',
  },
  {
    name: 'iSCSIProtocolLevel',
    kind: 'min',
    default: '1',
    range: [0, 31],
    scope: 'session',
    stages: 'LO',
    discovery: false,
    clause: 'RFC 7143 §13.24',
  },
  ...(
    [
      ['IFMarker', 'No'],
      ['OFMarker', 'No'],
      ['IFMarkInt', 'Reject'],
      ['OFMarkInt', 'Reject'],
    ] as const
  ).map(
    ([name, answer]): KeyInfo => ({
      name,
      kind: 'obsolete',
      default: answer,
      scope: 'connection',
      stages: 'IO',
      discovery: true,
      clause: 'RFC 7143 §13.25',
    }),
  ),
  other('SendTargets', 'FFPO', '§13.3'),
  other('TargetName', 'IO', '§13.4'),
  other('InitiatorName', 'IO', '§13.5'),
  other('TargetAlias', 'ALL', '§13.6'),
  other('InitiatorAlias', 'ALL', '§13.7'),
  other('TargetAddress', 'ALL', '§13.8'),
  other('TargetPortalGroupTag', 'IO', '§13.9'),
  other('SessionType', 'LO', '§13.21'),
  other('X#NodeArchitecture', 'LO', '§13.26'),
  other('AuthMethod', 'IO', '§12.1'),
  ...['CHAP_A', 'CHAP_I', 'CHAP_C', 'CHAP_N', 'CHAP_R'].map((name) => other(name, 'IO', '§12.1.3')),
];

const BY_NAME = new Map(KEYS.map((key) => [key.name, key]));

/** The key of that name, or undefined: then its answer is NotUnderstood. */
export function keyNamed(name: string): KeyInfo | undefined {
  return BY_NAME.get(name);
}

/** The three answers that are no values (§6.2). */
export const ANSWERS: ReadonlySet<string> = new Set(['Reject', 'NotUnderstood', 'Irrelevant']);

/** A decimal or hexadecimal constant (§6.1) up to 2^40, or undefined when `text` is none. */
export function readNumber(text: string): number | undefined {
  return /^(?:0|[1-9]\d{0,11}|0[xX][0-9a-fA-F]{1,10})$/.test(text) ? Number(text) : undefined;
}

/** `Yes` and `No`, or undefined. */
export function readBoolean(text: string): boolean | undefined {
  if (text === 'Yes') return true;
  return text === 'No' ? false : undefined;
}
