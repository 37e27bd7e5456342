// What sense data means to an initiator: whether to send the command again, and which errno ends the request
// otherwise. SPC-4 §4.5.6 and SAM-5 §5.14 (unit attentions); the errno numbers are Linux's, which are also NBD's.
import { type Sense, SenseKey } from './sense.js';
import { ScsiStatus } from './status.js';

export type SenseKind =
  | 'unit-attention' // see reason
  | 'recovered' // the command has succeeded
  | 'not-ready'
  | 'becoming-ready' // not ready, but it says that it will be
  | 'medium-error'
  | 'hardware-error'
  | 'unsupported' // the operation code is not known
  | 'out-of-range' // the LBA is beyond the end
  | 'invalid-field' // in the CDB or the parameter list
  | 'no-such-lun'
  | 'illegal-request' // any other reason
  | 'protected' // write protected
  | 'space-exhausted' // a thin unit has no room left
  | 'aborted'
  | 'miscompare'
  | 'deferred' // an earlier command, acknowledged already, has failed
  | 'other';

export type UnitAttentionReason =
  | 'power-on' // 29h/01h: the unit has lost what its volatile cache held
  | 'reset' // 29h/02h–04h
  | 'power-on-or-reset' // 29h/00h: tgt and istgt report this on every new nexus
  | 'nexus-loss' // 29h/07h: of this nexus only
  | 'capacity-changed'
  | 'luns-changed'
  | 'parameters-changed'
  | 'inquiry-changed'
  | 'identity-changed'
  | 'reservations-changed'
  | 'access-state-changed'
  | 'commands-cleared'
  | 'medium-changed'
  | 'threshold' // a thin unit is nearly full
  | 'other';

/** Linux errno numbers that requests end with. */
export const Errno = { Ok: 0, Eperm: 1, Eio: 5, Einval: 22, Enospc: 28, Enotsup: 95 } as const;
export type Errno = (typeof Errno)[keyof typeof Errno];

export interface SenseClass {
  readonly kind: SenseKind;
  /** What the request ends with if it is not sent again; 0 when it has succeeded. */
  readonly errno: Errno;
  /** Whether the same command may succeed when sent again: at once, after a pause, or not. The caller counts. */
  readonly retry: 'now' | 'later' | 'no';
  /** With kind 'unit-attention'. */
  readonly reason?: UnitAttentionReason;
}

const CLASS = {
  recovered: { kind: 'recovered', errno: Errno.Ok, retry: 'no' },
  notReady: { kind: 'not-ready', errno: Errno.Eio, retry: 'no' },
  becomingReady: { kind: 'becoming-ready', errno: Errno.Eio, retry: 'later' },
  mediumError: { kind: 'medium-error', errno: Errno.Eio, retry: 'no' },
  hardwareError: { kind: 'hardware-error', errno: Errno.Eio, retry: 'no' },
  unsupported: { kind: 'unsupported', errno: Errno.Enotsup, retry: 'no' },
  // Not EINVAL: the client's range was right by the size that it had been told.
  outOfRange: { kind: 'out-of-range', errno: Errno.Eio, retry: 'no' },
  invalidField: { kind: 'invalid-field', errno: Errno.Einval, retry: 'no' },
  noSuchLun: { kind: 'no-such-lun', errno: Errno.Eio, retry: 'no' },
  illegalRequest: { kind: 'illegal-request', errno: Errno.Eio, retry: 'no' },
  protected: { kind: 'protected', errno: Errno.Eperm, retry: 'no' },
  spaceExhausted: { kind: 'space-exhausted', errno: Errno.Enospc, retry: 'no' },
  aborted: { kind: 'aborted', errno: Errno.Eio, retry: 'now' },
  miscompare: { kind: 'miscompare', errno: Errno.Eio, retry: 'no' },
  // The command that carries it has not been performed (SPC-4 §4.5.7).
  deferred: { kind: 'deferred', errno: Errno.Eio, retry: 'now' },
  other: { kind: 'other', errno: Errno.Eio, retry: 'no' },
} as const satisfies Record<string, SenseClass>;

/** ASCs of NOT READY that pass by themselves: becoming ready, rebuild …, ALUA transition, space allocation. */
const PASSING_NOT_READY: ReadonlySet<number> = new Set([
  0x0401, 0x0404, 0x0405, 0x0406, 0x0407, 0x0409, 0x040a, 0x0414, 0x041b,
]);

const UNIT_ATTENTIONS: ReadonlyMap<number, UnitAttentionReason> = new Map<number, UnitAttentionReason>([
  [0x2800, 'medium-changed'],
  [0x2900, 'power-on-or-reset'],
  [0x2901, 'power-on'],
  [0x2902, 'reset'],
  [0x2903, 'reset'],
  [0x2904, 'reset'],
  [0x2905, 'parameters-changed'],
  [0x2906, 'parameters-changed'],
  [0x2907, 'nexus-loss'],
  [0x2a00, 'parameters-changed'],
  [0x2a01, 'parameters-changed'],
  [0x2a02, 'parameters-changed'],
  [0x2a03, 'reservations-changed'],
  [0x2a04, 'reservations-changed'],
  [0x2a05, 'reservations-changed'],
  [0x2a06, 'access-state-changed'],
  [0x2a07, 'access-state-changed'],
  [0x2a09, 'capacity-changed'],
  [0x2f00, 'commands-cleared'],
  [0x2f01, 'commands-cleared'],
  [0x2f02, 'commands-cleared'],
  [0x3807, 'threshold'],
  [0x3f00, 'parameters-changed'],
  [0x3f01, 'inquiry-changed'],
  [0x3f02, 'parameters-changed'],
  [0x3f03, 'inquiry-changed'],
  [0x3f05, 'identity-changed'],
  [0x3f0e, 'luns-changed'],
]);

function illegalRequest(asc: number): SenseClass {
  switch (asc) {
    case 0x20:
      return CLASS.unsupported;
    case 0x21:
      return CLASS.outOfRange;
    case 0x24:
    case 0x26:
    case 0x1a:
      return CLASS.invalidField;
    case 0x25:
      return CLASS.noSuchLun;
    default:
      return CLASS.illegalRequest;
  }
}

function dataProtect(asc: number, ascq: number): SenseClass {
  if (asc === 0x27 && ascq === 0x07) return CLASS.spaceExhausted;
  return asc === 0x27 ? CLASS.protected : CLASS.other;
}

/** The class of the sense data of a CHECK CONDITION; null (none, or unreadable) is an unexplained failure. */
export function classifySense(sense: Sense | null): SenseClass {
  if (sense === null) return CLASS.other;
  if (sense.deferred) return CLASS.deferred;
  switch (sense.key) {
    case SenseKey.RecoveredError:
      return CLASS.recovered;
    case SenseKey.NotReady:
      return PASSING_NOT_READY.has((sense.asc << 8) | sense.ascq) ? CLASS.becomingReady : CLASS.notReady;
    case SenseKey.MediumError:
      return CLASS.mediumError;
    case SenseKey.HardwareError:
      return CLASS.hardwareError;
    case SenseKey.IllegalRequest:
      return illegalRequest(sense.asc);
    case SenseKey.UnitAttention:
      return {
        kind: 'unit-attention',
        errno: Errno.Eio,
        retry: 'now',
        reason: UNIT_ATTENTIONS.get((sense.asc << 8) | sense.ascq) ?? 'other',
      };
    case SenseKey.DataProtect:
      return dataProtect(sense.asc, sense.ascq);
    case SenseKey.AbortedCommand:
      return CLASS.aborted;
    case SenseKey.Miscompare:
      return CLASS.miscompare;
    default:
      return CLASS.other;
  }
}

/**
 * Whether a unit attention shows that the unit itself has restarted, so that what its volatile cache held may be
 * gone: 29h/01h–04h. A nexus loss does not, and 29h/00h alone proves nothing.
 */
export function showsRestart(sense: Sense): boolean {
  return sense.key === SenseKey.UnitAttention && sense.asc === 0x29 && sense.ascq >= 0x01 && sense.ascq <= 0x04;
}

/**
 * Whether the unit attention of one unit is about all of the target's: REPORTED LUNS DATA HAS CHANGED (3Fh/0Eh). Where another
 * unit takes over a LUN, that LUN itself need not report it: LIO tells it at the others only.
 */
export function concernsAllUnits(sense: Sense): boolean {
  return sense.key === SenseKey.UnitAttention && sense.asc === 0x3f && sense.ascq === 0x0e;
}

export interface StatusClass {
  readonly errno: Errno;
  readonly retry: 'now' | 'later' | 'no';
}

/** What a status other than CHECK CONDITION means. GOOD and CONDITION MET are success. */
export function classifyStatus(status: number): StatusClass {
  switch (status) {
    case ScsiStatus.Good:
    case ScsiStatus.ConditionMet:
      return { errno: Errno.Ok, retry: 'no' };
    case ScsiStatus.Busy:
    case ScsiStatus.TaskSetFull:
      return { errno: Errno.Eio, retry: 'later' };
    case ScsiStatus.TaskAborted:
      return { errno: Errno.Eio, retry: 'now' };
    case ScsiStatus.ReservationConflict:
      // Another initiator holds the unit: it does not pass by waiting, and to a client it is an error of the disk.
      return { errno: Errno.Eio, retry: 'no' };
    default:
      return { errno: Errno.Eio, retry: 'no' };
  }
}
