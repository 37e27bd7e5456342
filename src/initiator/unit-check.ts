// Whether the unit behind a LUN is still the one that it was: asked before anything is sent again (SPC-4 §7.8.5, SBC-3 §5.16).
import { DeviceType } from '../scsi/inquiry.js';
import { type Sense, SenseKey } from '../scsi/sense.js';
import { classifySense, type UnitAttentionReason } from '../scsi/sense-class.js';
import { AppError, messageOf } from '../util/errors.js';
import { type DiskInfo, type LunInfo, questionLun } from './probe.js';
import { type Questioner, Refusal } from './questioner.js';

/** What the unit turned out to be. `why` is a line for people; `disk` what it says of itself now. */
export type Finding =
  | { readonly kind: 'same' | 'grown' | 'shrunk'; readonly disk: DiskInfo; readonly why: string }
  /** Another unit, none, or one that cannot be used: nothing may be sent. */
  | { readonly kind: 'other' | 'gone' | 'mad'; readonly why: string }
  /** It cannot answer yet. */
  | { readonly kind: 'not-ready'; readonly why: string };

const DOUBTS: ReadonlySet<UnitAttentionReason> = new Set<UnitAttentionReason>([
  'power-on',
  'reset',
  'power-on-or-reset',
  'nexus-loss',
  'capacity-changed',
  'luns-changed',
  'inquiry-changed',
  'identity-changed',
  'parameters-changed',
  'medium-changed',
]);

/** Whether after this unit attention the unit may be another one, or of another size. */
export function putsIdentityInDoubt(sense: Sense): boolean {
  if (sense.key !== SenseKey.UnitAttention) return false;
  const { reason } = classifySense(sense);
  return reason !== undefined && DOUBTS.has(reason);
}

/** Compares what a unit said at the login with what it says now. Its revision may change: that is an update. */
export function compareUnits(known: LunInfo & { readonly disk: DiskInfo }, now: LunInfo): Finding {
  if (now.deviceType !== DeviceType.Block || now.disk === null) {
    return { kind: 'other', why: now.problem ?? 'the unit is no disk any more' };
  }
  const unlike = unlikeness(known, now);
  if (unlike !== null) return { kind: 'other', why: unlike };
  const { disk } = now;
  const change = Math.sign(disk.blocks - known.disk.blocks);
  const kind = change === 0 ? 'same' : change > 0 ? 'grown' : 'shrunk';
  return { kind, disk, why: differs('size in blocks', known.disk.blocks, disk.blocks) };
}

/** What shows that `now` is another unit than `known`, as a line for people; null if nothing does. */
export function unlikeness(known: LunInfo, now: LunInfo): string | null {
  for (const field of ['designator', 'serial', 'vendor', 'product'] as const) {
    if (known[field] !== now[field]) return differs(field, known[field], now[field]);
  }
  if (known.disk === null || now.disk === null || known.disk.blockSize === now.disk.blockSize) return null;
  return differs('block size', known.disk.blockSize, now.disk.blockSize);
}

function differs(field: string, before: string | number, now: string | number): string {
  return `its ${field} was ${JSON.stringify(before)} and is ${JSON.stringify(now)}`;
}

/**
 * Waits until the unit is ready, which drains its unit attentions, calls `ready`, then asks it all that identifies it.
 * Rejects only when the session is lost meanwhile.
 */
export async function examine(
  unit: Questioner,
  known: LunInfo & { readonly disk: DiskInfo },
  ready: () => void,
): Promise<Finding> {
  try {
    await unit.ready();
    ready();
    return compareUnits(known, await questionLun(unit, known));
  } catch (error) {
    if (error instanceof AppError && error.code === 'ERR_NOT_CONNECTED') throw error;
    const why = messageOf(error);
    if (unit.exhausted) return { kind: 'mad', why: `unit attentions without end, the last one ${why}` };
    if (error instanceof Refusal && error.kind === 'no-such-lun') return { kind: 'gone', why };
    return { kind: 'not-ready', why };
  }
}
