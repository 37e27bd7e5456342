// Operation codes and service actions of SPC-4 and SBC-3 commands, their CDB lengths and names.

export const ScsiOp = {
  TestUnitReady: 0x00,
  RequestSense: 0x03,
  FormatUnit: 0x04,
  ReassignBlocks: 0x07,
  Read6: 0x08,
  Write6: 0x0a,
  Inquiry: 0x12,
  ModeSelect6: 0x15,
  Reserve6: 0x16,
  Release6: 0x17,
  ModeSense6: 0x1a,
  StartStopUnit: 0x1b,
  ReceiveDiagnosticResults: 0x1c,
  SendDiagnostic: 0x1d,
  PreventAllowMediumRemoval: 0x1e,
  ReadCapacity10: 0x25,
  Read10: 0x28,
  Write10: 0x2a,
  WriteAndVerify10: 0x2e,
  Verify10: 0x2f,
  PreFetch10: 0x34,
  SynchronizeCache10: 0x35,
  ReadDefectData10: 0x37,
  WriteBuffer: 0x3b,
  ReadBuffer: 0x3c,
  WriteSame10: 0x41,
  Unmap: 0x42,
  Sanitize: 0x48,
  LogSelect: 0x4c,
  LogSense: 0x4d,
  ModeSelect10: 0x55,
  Reserve10: 0x56,
  Release10: 0x57,
  ModeSense10: 0x5a,
  PersistentReserveIn: 0x5e,
  PersistentReserveOut: 0x5f,
  VariableLength: 0x7f,
  ExtendedCopy: 0x83,
  ReceiveCopyResults: 0x84,
  Read16: 0x88,
  CompareAndWrite: 0x89,
  Write16: 0x8a,
  OrWrite16: 0x8b,
  WriteAndVerify16: 0x8e,
  Verify16: 0x8f,
  PreFetch16: 0x90,
  SynchronizeCache16: 0x91,
  WriteSame16: 0x93,
  WriteAtomic16: 0x9c,
  ServiceActionIn16: 0x9e,
  ReportLuns: 0xa0,
  MaintenanceIn: 0xa3,
  MaintenanceOut: 0xa4,
  Read12: 0xa8,
  Write12: 0xaa,
  WriteAndVerify12: 0xae,
  Verify12: 0xaf,
  ReadDefectData12: 0xb7,
} as const;

/** Service actions of SERVICE ACTION IN(16), SBC-3 §5.16 and §5.6. */
export const ServiceActionIn = { ReadCapacity16: 0x10, GetLbaStatus: 0x12 } as const;

/** Service actions of MAINTENANCE IN, SPC-4 §6.33 to §6.37. */
export const MaintenanceIn = {
  ReportTargetPortGroups: 0x0a,
  ReportSupportedOperationCodes: 0x0c,
  ReportSupportedTaskManagementFunctions: 0x0d,
} as const;

/** Service actions of SANITIZE, SBC-3 §5.24. CRYPTOGRAPHIC ERASE is 3. */
export const Sanitize = { Overwrite: 0x01, BlockErase: 0x02, ExitFailureMode: 0x1f } as const;

/** Service actions of RECEIVE COPY RESULTS in the form of list identifier length 1, SPC-4 §6.18 to §6.24. */
export const ReceiveCopy = { Status: 0x00, OperatingParameters: 0x03, FailedSegment: 0x04 } as const;

/** Service actions of PERSISTENT RESERVE IN, SPC-4 §6.15. */
export const PersistentReserveIn = {
  ReadKeys: 0,
  ReadReservation: 1,
  ReportCapabilities: 2,
  ReadFullStatus: 3,
} as const;

/** Service actions of PERSISTENT RESERVE OUT, SPC-4 §6.16. */
export const PersistentReserveOut = {
  Register: 0,
  Reserve: 1,
  Release: 2,
  Clear: 3,
  Preempt: 4,
  PreemptAndAbort: 5,
  RegisterAndIgnoreExistingKey: 6,
  RegisterAndMove: 7,
} as const;

/** Bytes of a CDB by the group code of its operation code, SPC-4 §4.2.5.1; groups 3, 6 and 7 give 0: not fixed. */
const LENGTH_BY_GROUP = [6, 10, 10, 0, 16, 12, 0, 0] as const;

/** Length in bytes of the CDB that starts with `opcode`, or 0 if the code does not tell. */
export function cdbLength(opcode: number): number {
  return LENGTH_BY_GROUP[(opcode >> 5) & 7] ?? 0;
}

/** Operation codes whose byte 1 bits 4–0 are a service action. */
export function hasServiceAction(opcode: number): boolean {
  switch (opcode) {
    case ScsiOp.PersistentReserveIn:
    case ScsiOp.PersistentReserveOut:
    case ScsiOp.ExtendedCopy:
    case ScsiOp.ReceiveCopyResults:
    case ScsiOp.ServiceActionIn16:
    case ScsiOp.MaintenanceIn:
    case ScsiOp.MaintenanceOut:
    case ScsiOp.Sanitize:
      return true;
    default:
      return false;
  }
}

const NAMES: ReadonlyMap<number, string> = new Map<number, string>([
  [ScsiOp.TestUnitReady, 'TEST UNIT READY'],
  [ScsiOp.RequestSense, 'REQUEST SENSE'],
  [ScsiOp.FormatUnit, 'FORMAT UNIT'],
  [ScsiOp.ReassignBlocks, 'REASSIGN BLOCKS'],
  [ScsiOp.Read6, 'READ(6)'],
  [ScsiOp.Write6, 'WRITE(6)'],
  [ScsiOp.Inquiry, 'INQUIRY'],
  [ScsiOp.ModeSelect6, 'MODE SELECT(6)'],
  [ScsiOp.Reserve6, 'RESERVE(6)'],
  [ScsiOp.Release6, 'RELEASE(6)'],
  [ScsiOp.ModeSense6, 'MODE SENSE(6)'],
  [ScsiOp.StartStopUnit, 'START STOP UNIT'],
  [ScsiOp.ReceiveDiagnosticResults, 'RECEIVE DIAGNOSTIC RESULTS'],
  [ScsiOp.SendDiagnostic, 'SEND DIAGNOSTIC'],
  [ScsiOp.PreventAllowMediumRemoval, 'PREVENT ALLOW MEDIUM REMOVAL'],
  [ScsiOp.ReadCapacity10, 'READ CAPACITY(10)'],
  [ScsiOp.Read10, 'READ(10)'],
  [ScsiOp.Write10, 'WRITE(10)'],
  [ScsiOp.WriteAndVerify10, 'WRITE AND VERIFY(10)'],
  [ScsiOp.Verify10, 'VERIFY(10)'],
  [ScsiOp.PreFetch10, 'PRE-FETCH(10)'],
  [ScsiOp.SynchronizeCache10, 'SYNCHRONIZE CACHE(10)'],
  [ScsiOp.ReadDefectData10, 'READ DEFECT DATA(10)'],
  [ScsiOp.WriteBuffer, 'WRITE BUFFER'],
  [ScsiOp.ReadBuffer, 'READ BUFFER'],
  [ScsiOp.WriteSame10, 'WRITE SAME(10)'],
  [ScsiOp.Unmap, 'UNMAP'],
  [ScsiOp.Sanitize, 'SANITIZE'],
  [ScsiOp.LogSelect, 'LOG SELECT'],
  [ScsiOp.LogSense, 'LOG SENSE'],
  [ScsiOp.ModeSelect10, 'MODE SELECT(10)'],
  [ScsiOp.Reserve10, 'RESERVE(10)'],
  [ScsiOp.Release10, 'RELEASE(10)'],
  [ScsiOp.ModeSense10, 'MODE SENSE(10)'],
  [ScsiOp.PersistentReserveIn, 'PERSISTENT RESERVE IN'],
  [ScsiOp.PersistentReserveOut, 'PERSISTENT RESERVE OUT'],
  [ScsiOp.ExtendedCopy, 'EXTENDED COPY'],
  [ScsiOp.ReceiveCopyResults, 'RECEIVE COPY RESULTS'],
  [ScsiOp.Read16, 'READ(16)'],
  [ScsiOp.CompareAndWrite, 'COMPARE AND WRITE'],
  [ScsiOp.Write16, 'WRITE(16)'],
  [ScsiOp.OrWrite16, 'ORWRITE(16)'],
  [ScsiOp.WriteAndVerify16, 'WRITE AND VERIFY(16)'],
  [ScsiOp.Verify16, 'VERIFY(16)'],
  [ScsiOp.PreFetch16, 'PRE-FETCH(16)'],
  [ScsiOp.SynchronizeCache16, 'SYNCHRONIZE CACHE(16)'],
  [ScsiOp.WriteSame16, 'WRITE SAME(16)'],
  [ScsiOp.WriteAtomic16, 'WRITE ATOMIC(16)'],
  [ScsiOp.ServiceActionIn16, 'SERVICE ACTION IN(16)'],
  [ScsiOp.ReportLuns, 'REPORT LUNS'],
  [ScsiOp.MaintenanceIn, 'MAINTENANCE IN'],
  [ScsiOp.MaintenanceOut, 'MAINTENANCE OUT'],
  [ScsiOp.Read12, 'READ(12)'],
  [ScsiOp.Write12, 'WRITE(12)'],
  [ScsiOp.WriteAndVerify12, 'WRITE AND VERIFY(12)'],
  [ScsiOp.Verify12, 'VERIFY(12)'],
  [ScsiOp.ReadDefectData12, 'READ DEFECT DATA(12)'],
]);

const SERVICE_ACTION_NAMES: ReadonlyMap<number, string> = new Map([
  [(ScsiOp.ServiceActionIn16 << 8) | ServiceActionIn.ReadCapacity16, 'READ CAPACITY(16)'],
  [(ScsiOp.ServiceActionIn16 << 8) | ServiceActionIn.GetLbaStatus, 'GET LBA STATUS'],
  [(ScsiOp.MaintenanceIn << 8) | MaintenanceIn.ReportTargetPortGroups, 'REPORT TARGET PORT GROUPS'],
  [(ScsiOp.MaintenanceIn << 8) | MaintenanceIn.ReportSupportedOperationCodes, 'REPORT SUPPORTED OPERATION CODES'],
  [
    (ScsiOp.MaintenanceIn << 8) | MaintenanceIn.ReportSupportedTaskManagementFunctions,
    'REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS',
  ],
]);

/** The command's name as SPC and SBC print it, for logs; an unknown code in hex. */
export function commandName(opcode: number, serviceAction = 0): string {
  return (
    SERVICE_ACTION_NAMES.get((opcode << 8) | serviceAction) ??
    NAMES.get(opcode) ??
    `operation code 0x${opcode.toString(16).padStart(2, '0')}`
  );
}
