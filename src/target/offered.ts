// Which commands a unit offers: what parseCdb knows without what its features leave out (SPC-4 §6.35).
import { COMMAND_USAGE, type CommandUsage } from '../scsi/command-usage.js';
import { PersistentReserveOut, Sanitize, ScsiOp } from '../scsi/opcodes.js';
import type { ResolvedFeatures } from './unit-features.js';

/** Whether a unit with these features carries out commands of this operation code. */
export function offersOpcode(features: ResolvedFeatures, opcode: number): boolean {
  switch (opcode) {
    case ScsiOp.Unmap:
      return features.unmap;
    case ScsiOp.ExtendedCopy:
    case ScsiOp.ReceiveCopyResults:
      return features.extendedCopy;
    case ScsiOp.WriteAtomic16:
      return features.atomicWrite;
    case ScsiOp.CompareAndWrite:
      return features.compareAndWrite;
    case ScsiOp.PersistentReserveIn:
    case ScsiOp.PersistentReserveOut:
    case ScsiOp.Reserve6:
    case ScsiOp.Reserve10:
    case ScsiOp.Release6:
    case ScsiOp.Release10:
      return features.reservations;
    default:
      return true;
  }
}

/** Every command of a unit, by operation code, as REPORT SUPPORTED OPERATION CODES lists them. */
export function offeredCommands(features: ResolvedFeatures): CommandUsage[] {
  return COMMAND_USAGE.filter(({ opcode, serviceAction }) => {
    if (opcode === ScsiOp.PersistentReserveOut && serviceAction === PersistentReserveOut.RegisterAndMove) return false;
    if (opcode === ScsiOp.Sanitize && serviceAction === Sanitize.BlockErase) return features.unmap;
    return offersOpcode(features, opcode);
  });
}
