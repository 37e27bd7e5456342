// Asymmetric logical unit access (SPC-4 §5.15): every path is as good as any other, and that is what is said.
import type { PrimaryCdb } from '../scsi/cdb-parse.js';
import { AccessState, buildTargetPortGroups } from '../scsi/target-port-groups.js';
import { reply } from './block-commands.js';
import type { ScsiTask } from './scsi-task.js';
import type { Unit } from './unit.js';

type CdbOf<K extends PrimaryCdb['kind']> = Extract<PrimaryCdb, { kind: K }>;

/** Active/optimized, and no other state is ever taken. */
const ONLY_OPTIMIZED = 0x01;

/**
 * REPORT TARGET PORT GROUPS (SPC-4 §6.37): each iSCSI portal group of the target that has the unit is a target port, with its
 * tag as the relative identifier, and a group of its own: one of them can go without the others.
 */
export function reportTargetPortGroups(
  _unit: Unit,
  task: ScsiTask,
  cdb: CdbOf<'report-target-port-groups'>,
): undefined {
  const groups = task.portalGroupTags().map((tag) => ({
    group: tag,
    state: AccessState.ActiveOptimized,
    preferred: false,
    supportedStates: ONLY_OPTIMIZED,
    statusCode: 0,
    ports: [tag],
  }));
  reply(task, buildTargetPortGroups(groups, cdb.extended ? 0 : undefined), cdb.allocationLength);
}
