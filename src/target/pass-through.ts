// A unit whose commands are carried out by a SCSI device of this host, not by us (LIO's pscsi). Task sets, UNIT ATTENTION, mapped
// LUNs and REPORT LUNS stay ours; everything else is the device's own, as far as it is on the list.
import { CheckCondition, Senses } from '../scsi/check-condition.js';
import { ScsiOp, ServiceActionIn } from '../scsi/opcodes.js';
import { ScsiStatus } from '../scsi/status.js';
import { gather } from './gather.js';
import { LIMITS } from './limits.js';
import type { ScsiTask } from './scsi-task.js';

export interface PassedCommand {
  /** As long as its opcode demands. */
  readonly cdb: Buffer;
  readonly dataOut: Buffer | null;
  /** The largest answer in bytes. */
  readonly dataInLength: number;
}
export interface PassedAnswer {
  /** SAM status. */
  readonly status: number;
  /** Whole sense data, with CHECK CONDITION. */
  readonly sense: Buffer | null;
  readonly data: Buffer;
}

/** A SCSI device that takes commands. */
export interface PassThrough {
  /** Rejects where the device could not be asked at all. */
  execute(command: PassedCommand): Promise<PassedAnswer>;
}

/** What changes nothing. */
const READS: ReadonlySet<number> = new Set([
  ScsiOp.TestUnitReady,
  ScsiOp.RequestSense,
  ScsiOp.Inquiry,
  ScsiOp.ModeSense6,
  ScsiOp.ModeSense10,
  ScsiOp.ReadCapacity10,
  ScsiOp.Read6,
  ScsiOp.Read10,
  ScsiOp.Read12,
  ScsiOp.Read16,
  ScsiOp.Verify10,
  ScsiOp.Verify12,
  ScsiOp.Verify16,
  ScsiOp.SynchronizeCache10,
  ScsiOp.SynchronizeCache16,
]);
/** What changes blocks and nothing but blocks. */
const WRITES: ReadonlySet<number> = new Set([
  ScsiOp.Write6,
  ScsiOp.Write10,
  ScsiOp.Write12,
  ScsiOp.Write16,
  ScsiOp.WriteSame10,
  ScsiOp.WriteSame16,
  ScsiOp.Unmap,
]);

/**
 * Hands the command on and sends what comes back. Reservations, mode settings, diagnostics, microcode, START STOP and the like
 * would reach past this target, to other users of the device: they are refused as not supported.
 * @throws CheckCondition; rejects as `gather`
 */
export async function passOn(device: PassThrough, task: ScsiTask, checkWritable: () => void): Promise<PassedAnswer> {
  const opcode = task.cdb[0] ?? 0;
  const isReadCapacity16 =
    opcode === ScsiOp.ServiceActionIn16 && ((task.cdb[1] ?? 0) & 0x1f) === ServiceActionIn.ReadCapacity16;
  if (!READS.has(opcode) && !WRITES.has(opcode) && !isReadCapacity16) {
    throw new CheckCondition('SPC-4 §4.2', Senses.InvalidOpcode);
  }
  if (WRITES.has(opcode)) checkWritable();
  const { dataOutLength, dataInLength } = task;
  if (Math.max(dataOutLength, dataInLength) > LIMITS.transfer) {
    throw new CheckCondition('SBC-3 §6.6.4', Senses.InvalidFieldInCdb);
  }
  const dataOut = dataOutLength > 0 ? await gather(task, dataOutLength) : null;
  const cdb = Buffer.from(task.cdb.subarray(0, cdbLength(opcode)));
  const answer = await device.execute({ cdb, dataOut, dataInLength });
  if (answer.data.length > 0 && answer.status === ScsiStatus.Good) {
    task.expectData(answer.data.length);
    task.sendData(answer.data, null);
  }
  return answer;
}

/** By the group code, SPC-4 §4.2.5.1. */
function cdbLength(opcode: number): number {
  const length = [6, 10, 10, 10, 16, 12][opcode >> 5];
  return length ?? 16;
}
