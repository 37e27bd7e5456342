// EXTENDED COPY (LID1) and RECEIVE COPY RESULTS (SPC-4 §6.4, §6.18 ff.): a copy between units that the nexus itself has.

import type { SpecialCdb } from '../scsi/cdb-special.js';
import { CheckCondition, invalidFieldInCdb, parameterListLengthError, Senses } from '../scsi/check-condition.js';
import {
  buildCopyStatus,
  buildFailedSegment,
  buildOperatingParameters,
  COPY_LIST_LARGEST,
  type CopyList,
  type CopyOutcome,
  type CopySegment,
  type CopyTarget,
  parseCopyList,
} from '../scsi/extended-copy.js';
import { ReceiveCopy } from '../scsi/opcodes.js';
import type { Sense } from '../scsi/sense.js';
import { ScsiStatus } from '../scsi/status.js';
import { reply } from './block-commands.js';
import type { CopyUnit, MappedUnit } from './copy-unit.js';
import { checkAborted, gather } from './gather.js';
import { LIMITS } from './limits.js';
import type { ScsiTask } from './scsi-task.js';
import type { Unit } from './unit.js';

type CdbOf<K extends SpecialCdb['kind']> = Extract<SpecialCdb, { kind: K }>;

/** A segment whose every condition has been checked; numbers in bytes. */
interface Move {
  readonly from: CopyUnit;
  readonly to: CopyUnit;
  readonly fromOffset: number;
  readonly toOffset: number;
  readonly length: number;
}

/**
 * EXTENDED COPY. Sources and destinations are looked up among the LUNs of this nexus and nowhere else: to it, a unit that it may
 * not see does not exist. Nothing is written before every segment has been found to be in order.
 */
export async function extendedCopy(
  unit: Unit,
  task: ScsiTask,
  cdb: CdbOf<'extended-copy'>,
): Promise<number | undefined> {
  if (cdb.serviceAction !== 0) throw invalidFieldInCdb('SPC-4 §6.4', 1, 4);
  if (cdb.parameterListLength === 0) return;
  if (cdb.parameterListLength > COPY_LIST_LARGEST) throw parameterListLengthError('SPC-4 §6.4');
  const bytes = await gather(task, cdb.parameterListLength);
  if (bytes.length < cdb.parameterListLength) throw parameterListLengthError('SPC-4 §6.4');
  const list = parseCopyList(bytes);
  const { nexus } = task;
  const { copies } = unit;
  if (list.hold && copies.find(nexus, list.listId)?.state === 'in-progress') {
    throw new CheckCondition('SPC-4 §5.17.4', Senses.OperationInProgress);
  }
  if (copies.busy) return ScsiStatus.Busy;
  const listId = list.hold ? list.listId : null;
  copies.begin(nexus, listId);
  let [segments, moved] = [0, 0];
  const outcome = (state: CopyOutcome['state'], sense: Sense | null = null) => ({
    state,
    segments,
    bytes: moved,
    sense,
  });
  try {
    for (const move of planMoves(task, list)) {
      await carryOut(unit, task, move, (length) => {
        moved += length;
        copies.progress(nexus, listId, outcome('in-progress'));
      });
      segments++;
    }
    copies.end(nexus, listId, outcome('done'));
  } catch (error) {
    const sense = error instanceof CheckCondition ? error.sense : Senses.AbortedCommand;
    copies.end(nexus, listId, outcome('failed', sense));
    throw error;
  }
}

function planMoves(task: ScsiTask, list: CopyList): Move[] {
  const targets = list.targets.map((target) => findUnits(task, target));
  return list.segments.map((segment) => planMove(task, segment, targets));
}

/** The LUNs of the nexus that have this name. One unit may have several, of which some are read-only. */
function findUnits(task: ScsiTask, target: CopyTarget): readonly MappedUnit[] {
  const found = [...task.luns.values()].filter(({ unit }) => unit.isNamed(target));
  if (found.length === 0) throw aborted(Senses.CopyTargetNotReachable);
  if (target.deviceType !== 0 || found.some(({ unit }) => unit.blockSize !== target.blockSize)) {
    throw aborted(Senses.IncorrectCopyTargetType);
  }
  return found;
}

function planMove(task: ScsiTask, segment: CopySegment, targets: readonly (readonly MappedUnit[])[]): Move {
  const from = usable(task, targets[segment.source], 'read');
  const to = usable(task, targets[segment.destination], 'write');
  const length = segment.blocks * (segment.inDestinationBlocks ? to.blockSize : from.blockSize);
  // PAD and CAT could make good for a rest; nobody sends them, so a rest is refused.
  if (length % from.blockSize !== 0 || length % to.blockSize !== 0) throw aborted(Senses.InexactSegment);
  if (segment.sourceLba + length / from.blockSize > from.blocks) throw aborted(Senses.CopyAborted);
  if (segment.destinationLba + length / to.blockSize > to.blocks) throw aborted(Senses.CopyAborted);
  return {
    from,
    to,
    fromOffset: segment.sourceLba * from.blockSize,
    toOffset: segment.destinationLba * to.blockSize,
    length,
  };
}

/** The unit behind a descriptor, as one of its LUNs that may be read, or written. */
function usable(task: ScsiTask, mapped: readonly MappedUnit[] | undefined, access: 'read' | 'write'): CopyUnit {
  if (mapped === undefined) throw aborted(Senses.UnreachableCopyTarget);
  const open = mapped.find(({ unit, readOnly }) => unit.refuses(task.nexus, access, readOnly) === null);
  if (open === undefined) throw aborted(Senses.ThirdPartyDeviceFailure);
  return open.unit;
}

/** Piece by piece: what may have changed meanwhile, as reservations may, is asked again before each. */
async function carryOut(unit: Unit, task: ScsiTask, move: Move, moved: (length: number) => void): Promise<void> {
  const { from, to, length } = move;
  for (let at = 0; at < length; at += LIMITS.chunk) {
    checkAborted(task);
    const size = Math.min(LIMITS.chunk, length - at);
    if (!isOpen(task, from, 'read') || !isOpen(task, to, 'write')) throw aborted(Senses.ThirdPartyDeviceFailure);
    await to.writeAlone(move.toOffset + at, await from.read(move.fromOffset + at, size));
    moved(size);
    await unit.pause('copy', size);
  }
  if (length > 0) await to.settle();
}

/** Whether the nexus still has the unit, and may still do this to it. */
function isOpen(task: ScsiTask, unit: CopyUnit, access: 'read' | 'write'): boolean {
  return [...task.luns.values()].some(
    (mapped) => mapped.unit === unit && unit.refuses(task.nexus, access, mapped.readOnly) === null,
  );
}

function aborted(sense: Sense): CheckCondition {
  return new CheckCondition('SPC-4 §5.17.7', sense);
}

export function receiveCopyResults(unit: Unit, task: ScsiTask, cdb: CdbOf<'receive-copy-results'>): undefined {
  const { serviceAction, allocationLength } = cdb;
  if (serviceAction === ReceiveCopy.OperatingParameters) {
    reply(task, buildOperatingParameters(0xffff * unit.device.blockSize, LIMITS.copies), allocationLength);
    return;
  }
  if (serviceAction !== ReceiveCopy.Status && serviceAction !== ReceiveCopy.FailedSegment) {
    throw invalidFieldInCdb('SPC-4 §6.18', 1, 4);
  }
  const outcome = unit.copies.find(task.nexus, cdb.listId);
  if (outcome === undefined) throw invalidFieldInCdb('SPC-4 §6.18', 2);
  reply(
    task,
    serviceAction === ReceiveCopy.Status ? buildCopyStatus(outcome) : buildFailedSegment(outcome),
    allocationLength,
  );
}
