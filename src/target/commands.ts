// Which function carries out which command.
import type { Cdb } from '../scsi/cdb-parse.js';
import { CheckCondition, Senses } from '../scsi/check-condition.js';
import { ScsiStatus } from '../scsi/status.js';
import { reportTargetPortGroups } from './alua-commands.js';
import * as block from './block-commands.js';
import * as copy from './copy-commands.js';
import * as identity from './identity-commands.js';
import * as mode from './mode-commands.js';
import { offersOpcode } from './offered.js';
import * as reserve from './reserve-commands.js';
import { sanitize } from './sanitize-commands.js';
import type { ScsiTask } from './scsi-task.js';
import type { Unit } from './unit.js';

type Kind = Cdb['kind'];
type CdbOf<K extends Kind> = Extract<Cdb, { readonly kind: K }>;
/**
 * Carries a command out. Data-In goes to `task.sendData` before it returns. The status is GOOD unless it throws
 * CheckCondition or returns another; a promise is awaited.
 */
export type Command<K extends Kind> = (
  unit: Unit,
  task: ScsiTask,
  cdb: CdbOf<K>,
) => number | undefined | Promise<number | undefined>;

const unsupported = (): never => {
  throw new CheckCondition('SPC-4 §4.2', Senses.InvalidOpcode);
};

/** READ and WRITE are not here but in the unit's own hot path. */
const COMMANDS: { readonly [K in Kind]: Command<K> } = {
  read: unsupported,
  write: unsupported,
  'write-and-verify': block.writeAndVerify,
  verify: block.verify,
  'write-atomic': block.writeAtomic,
  'or-write': block.orWrite,
  'compare-and-write': block.compareAndWrite,
  'write-same': block.writeSame,
  'synchronize-cache': block.synchronizeCache,
  'pre-fetch': block.preFetch,
  unmap: block.unmap,
  'get-lba-status': block.getLbaStatus,
  'read-defect-data': block.readDefectData,
  sanitize,
  'extended-copy': copy.extendedCopy,
  'receive-copy-results': copy.receiveCopyResults,
  'test-unit-ready': () => undefined,
  'request-sense': identity.requestSense,
  inquiry: identity.inquiry,
  'read-capacity-10': identity.readCapacity10,
  'read-capacity-16': identity.readCapacity16,
  'report-luns': identity.reportLuns,
  'report-opcodes': identity.reportOpcodes,
  'report-tmfs': identity.reportTmfs,
  'report-target-port-groups': reportTargetPortGroups,
  'mode-sense': mode.modeSense,
  'mode-select': mode.modeSelect,
  'start-stop': mode.startStop,
  'prevent-allow': mode.preventAllow,
  reserve: reserve.reserve,
  release: reserve.release,
  'persistent-reserve-in': reserve.persistentReserveIn,
  'persistent-reserve-out': reserve.persistentReserveOut,
  unknown: unsupported,
};

/** Runs one command to its end. What it throws before the first await is thrown here. */
export function runCommand<K extends Kind>(unit: Unit, task: ScsiTask, cdb: CdbOf<K>): void {
  if (!offersOpcode(unit.features, task.cdb[0] ?? 0)) unsupported();
  const command: Command<K> = COMMANDS[cdb.kind as K];
  const result = command(unit, task, cdb);
  if (!(result instanceof Promise)) {
    unit.end(task, result ?? ScsiStatus.Good, null);
    return;
  }
  result.then(
    (status) => unit.end(task, task.aborted ? ScsiStatus.TaskAborted : (status ?? ScsiStatus.Good), null),
    (error: unknown) => unit.failWith(task, error),
  );
}
