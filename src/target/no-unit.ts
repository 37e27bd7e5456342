// Commands to a number that no logical unit has (SPC-4 §6.6.2 PERIPHERAL QUALIFIER 011b, SAM-5 §5.11).
import { parseCdb } from '../scsi/cdb-parse.js';
import { CheckCondition, Senses } from '../scsi/check-condition.js';
import { buildInquiry } from '../scsi/inquiry.js';
import { buildFixedSense } from '../scsi/sense.js';
import { ScsiStatus } from '../scsi/status.js';
import { reply } from './block-commands.js';
import { NO_UNIT_INQUIRY, reportLuns } from './identity-commands.js';
import type { ScsiTask } from './scsi-task.js';

/** Only INQUIRY, REPORT LUNS and REQUEST SENSE have an answer there; every command ends before this returns. */
export function executeWithoutUnit(task: ScsiTask): void {
  try {
    answer(task);
    task.finish(ScsiStatus.Good, null);
  } catch (error) {
    const sense = error instanceof CheckCondition ? error.sense : Senses.LunNotSupported;
    task.finish(ScsiStatus.CheckCondition, buildFixedSense(sense));
  }
}

function answer(task: ScsiTask): void {
  const cdb = parseCdb(task.cdb);
  switch (cdb.kind) {
    case 'inquiry':
      reply(task, buildInquiry(NO_UNIT_INQUIRY), cdb.allocationLength);
      return;
    case 'report-luns':
      reportLuns(null, task, cdb);
      return;
    case 'request-sense':
      reply(task, buildFixedSense(Senses.LunNotSupported), cdb.allocationLength);
      return;
    default:
      throw new CheckCondition('SAM-5 §5.11', Senses.LunNotSupported);
  }
}
