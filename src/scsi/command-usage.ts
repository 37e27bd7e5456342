// CDB usage data, SPC-4 §6.35.3: for every command of this layer, which bits of its CDB a device server evaluates.
// Protection information, group numbers and the CONTROL byte are not evaluated.
import { ScsiOp } from './opcodes.js';

export interface CommandUsage {
  readonly opcode: number;
  /** null where the operation code has none. */
  readonly serviceAction: number | null;
  /** As long as the CDB: the operation code and service action themselves, 1 for each bit that counts elsewhere. */
  readonly usage: Buffer;
}

/** Operation code, service action, and the usage data. */
const ROWS: readonly (readonly [number, number | null, string])[] = [
  [ScsiOp.TestUnitReady, null, '000000000000'],
  [ScsiOp.RequestSense, null, '03010000ff00'],
  [ScsiOp.Read6, null, '081fffffff00'],
  [ScsiOp.Write6, null, '0a1fffffff00'],
  [ScsiOp.Inquiry, null, '1201ffffff00'],
  [ScsiOp.ModeSelect6, null, '15110000ff00'],
  [ScsiOp.Reserve6, null, '160000000000'],
  [ScsiOp.Release6, null, '170000000000'],
  [ScsiOp.ModeSense6, null, '1a08ffffff00'],
  [ScsiOp.StartStopUnit, null, '1b010000f700'],
  [ScsiOp.PreventAllowMediumRemoval, null, '1e0000000300'],
  [ScsiOp.ReadCapacity10, null, '25000000000000000000'],
  [ScsiOp.Read10, null, '2818ffffffff00ffff00'],
  [ScsiOp.Write10, null, '2a18ffffffff00ffff00'],
  [ScsiOp.WriteAndVerify10, null, '2e16ffffffff00ffff00'],
  [ScsiOp.Verify10, null, '2f16ffffffff00ffff00'],
  [ScsiOp.PreFetch10, null, '3402ffffffff00ffff00'],
  [ScsiOp.SynchronizeCache10, null, '3502ffffffff00ffff00'],
  [ScsiOp.ReadDefectData10, null, '37001f00000000ffff00'],
  [ScsiOp.WriteSame10, null, '4118ffffffff00ffff00'],
  [ScsiOp.Unmap, null, '42010000000000ffff00'],
  [ScsiOp.Sanitize, 0x01, '48a10000000000ffff00'],
  [ScsiOp.Sanitize, 0x02, '48a20000000000ffff00'],
  [ScsiOp.Sanitize, 0x1f, '481f0000000000ffff00'],
  [ScsiOp.ModeSelect10, null, '55110000000000ffff00'],
  [ScsiOp.Reserve10, null, '56000000000000000000'],
  [ScsiOp.Release10, null, '57000000000000000000'],
  [ScsiOp.ModeSense10, null, '5a18ffff000000ffff00'],
  [ScsiOp.PersistentReserveIn, 0, '5e000000000000ffff00'],
  [ScsiOp.PersistentReserveIn, 1, '5e010000000000ffff00'],
  [ScsiOp.PersistentReserveIn, 2, '5e020000000000ffff00'],
  [ScsiOp.PersistentReserveIn, 3, '5e030000000000ffff00'],
  [ScsiOp.PersistentReserveOut, 0, '5f00ff0000ffffffff00'],
  [ScsiOp.PersistentReserveOut, 1, '5f01ff0000ffffffff00'],
  [ScsiOp.PersistentReserveOut, 2, '5f02ff0000ffffffff00'],
  [ScsiOp.PersistentReserveOut, 3, '5f03ff0000ffffffff00'],
  [ScsiOp.PersistentReserveOut, 4, '5f04ff0000ffffffff00'],
  [ScsiOp.PersistentReserveOut, 5, '5f05ff0000ffffffff00'],
  [ScsiOp.PersistentReserveOut, 6, '5f06ff0000ffffffff00'],
  [ScsiOp.PersistentReserveOut, 7, '5f07ff0000ffffffff00'],
  [ScsiOp.ExtendedCopy, 0, '83000000000000000000ffffffff0000'],
  [ScsiOp.ReceiveCopyResults, 0, '8400ff00000000000000ffffffff0000'],
  [ScsiOp.ReceiveCopyResults, 3, '84030000000000000000ffffffff0000'],
  [ScsiOp.ReceiveCopyResults, 4, '8404ff00000000000000ffffffff0000'],
  [ScsiOp.Read16, null, '8818ffffffffffffffffffffffff0000'],
  [ScsiOp.CompareAndWrite, null, '8918ffffffffffffffff000000ff0000'],
  [ScsiOp.Write16, null, '8a18ffffffffffffffffffffffff0000'],
  [ScsiOp.OrWrite16, null, '8b18ffffffffffffffffffffffff0000'],
  [ScsiOp.WriteAndVerify16, null, '8e16ffffffffffffffffffffffff0000'],
  [ScsiOp.Verify16, null, '8f16ffffffffffffffffffffffff0000'],
  [ScsiOp.PreFetch16, null, '9002ffffffffffffffffffffffff0000'],
  [ScsiOp.SynchronizeCache16, null, '9102ffffffffffffffffffffffff0000'],
  [ScsiOp.WriteSame16, null, '9319ffffffffffffffffffffffff0000'],
  [ScsiOp.WriteAtomic16, null, '9c18ffffffffffffffffffffffff0000'],
  [ScsiOp.ServiceActionIn16, 0x10, '9e100000000000000000ffffffff0000'],
  [ScsiOp.ServiceActionIn16, 0x12, '9e12ffffffffffffffffffffffff0000'],
  [ScsiOp.ReportLuns, null, 'a000ff000000ffffffff0000'],
  [ScsiOp.MaintenanceIn, 0x0a, 'a3ea00000000ffffffff0000'],
  [ScsiOp.MaintenanceIn, 0x0c, 'a30c87ffffffffffffff0000'],
  [ScsiOp.MaintenanceIn, 0x0d, 'a30d80000000ffffffff0000'],
  [ScsiOp.Read12, null, 'a818ffffffffffffffff0000'],
  [ScsiOp.Write12, null, 'aa18ffffffffffffffff0000'],
  [ScsiOp.WriteAndVerify12, null, 'ae16ffffffffffffffff0000'],
  [ScsiOp.Verify12, null, 'af16ffffffffffffffff0000'],
  [ScsiOp.ReadDefectData12, null, 'b71f00000000ffffffff0000'],
];

/** Every command that parseCdb knows, by operation code; a unit offers those of them that it implements. */
export const COMMAND_USAGE: readonly CommandUsage[] = ROWS.map(([opcode, serviceAction, hex]) => ({
  opcode,
  serviceAction,
  usage: Buffer.from(hex, 'hex'),
}));
