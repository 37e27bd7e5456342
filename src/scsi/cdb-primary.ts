// CDB builders for the primary commands, SPC-4 §6, and the few of SBC-3 that move no blocks. As in cdb.ts, each writes
// all 16 bytes at b[at..at+16). None of them is on the data path.
import { MaintenanceIn, ScsiOp } from './opcodes.js';

function start(b: Buffer, at: number, opcode: number, byte1 = 0): void {
  b.fill(0, at, at + 16);
  b[at] = opcode;
  b[at + 1] = byte1;
}

/** TEST UNIT READY, SPC-4 §6.47. */
export function putTestUnitReady(b: Buffer, at: number): void {
  start(b, at, ScsiOp.TestUnitReady);
}

/** REQUEST SENSE, SPC-4 §6.39: up to 255 bytes, fixed format unless `descriptor`. */
export function putRequestSense(b: Buffer, at: number, allocationLength = 252, descriptor = false): void {
  start(b, at, ScsiOp.RequestSense, descriptor ? 1 : 0);
  b.writeUInt8(allocationLength, at + 4);
}

/** INQUIRY, SPC-4 §6.6: standard data with `page` null, else that VPD page. */
export function putInquiry(b: Buffer, at: number, page: number | null, allocationLength: number): void {
  start(b, at, ScsiOp.Inquiry, page === null ? 0 : 1);
  b.writeUInt8(page ?? 0, at + 2);
  b.writeUInt16BE(allocationLength, at + 3);
}

/** REPORT LUNS, SPC-4 §6.33. `selectReport` 0 leaves the well known units out; allocation at least 16 bytes. */
export function putReportLuns(b: Buffer, at: number, allocationLength: number, selectReport = 0): void {
  start(b, at, ScsiOp.ReportLuns);
  b.writeUInt8(selectReport, at + 2);
  b.writeUInt32BE(allocationLength, at + 6);
}

/** Which values of a mode page are meant, SPC-4 §6.11.3. */
export const PageControl = { Current: 0, Changeable: 1, Default: 2, Saved: 3 } as const;

export interface ModeSenseRequest {
  readonly page: number;
  readonly subpage?: number;
  /** One of PageControl; default Current. */
  readonly pageControl?: number;
  /** DBD: leave the block descriptor out. */
  readonly noBlockDescriptor?: boolean;
}

function modeSense(b: Buffer, at: number, opcode: number, request: ModeSenseRequest): void {
  start(b, at, opcode, request.noBlockDescriptor ? 0x08 : 0);
  b.writeUInt8(((request.pageControl ?? 0) << 6) | request.page, at + 2);
  b.writeUInt8(request.subpage ?? 0, at + 3);
}

/** MODE SENSE(6), SPC-4 §6.11: up to 255 bytes. */
export function putModeSense6(b: Buffer, at: number, request: ModeSenseRequest, allocationLength: number): void {
  modeSense(b, at, ScsiOp.ModeSense6, request);
  b.writeUInt8(allocationLength, at + 4);
}

/** MODE SENSE(10), SPC-4 §6.12. */
export function putModeSense10(b: Buffer, at: number, request: ModeSenseRequest, allocationLength: number): void {
  modeSense(b, at, ScsiOp.ModeSense10, request);
  b.writeUInt16BE(allocationLength, at + 7);
}

/** MODE SELECT(6), SPC-4 §6.9, page format; `save` also makes the values outlive a reset. */
export function putModeSelect6(b: Buffer, at: number, parameterListLength: number, save = false): void {
  start(b, at, ScsiOp.ModeSelect6, 0x10 | (save ? 1 : 0));
  b.writeUInt8(parameterListLength, at + 4);
}

/** MODE SELECT(10), SPC-4 §6.10. */
export function putModeSelect10(b: Buffer, at: number, parameterListLength: number, save = false): void {
  start(b, at, ScsiOp.ModeSelect10, 0x10 | (save ? 1 : 0));
  b.writeUInt16BE(parameterListLength, at + 7);
}

/** START STOP UNIT, SBC-3 §5.23, power condition 0 (START_VALID). */
export function putStartStopUnit(
  b: Buffer,
  at: number,
  startUnit: boolean,
  loadEject = false,
  immediate = false,
): void {
  start(b, at, ScsiOp.StartStopUnit, immediate ? 1 : 0);
  b[at + 4] = (loadEject ? 2 : 0) | (startUnit ? 1 : 0);
}

/** PREVENT ALLOW MEDIUM REMOVAL, SBC-3 §5.12. */
export function putPreventAllow(b: Buffer, at: number, prevent: boolean): void {
  start(b, at, ScsiOp.PreventAllowMediumRemoval);
  b[at + 4] = prevent ? 1 : 0;
}

/** How REPORT SUPPORTED OPERATION CODES is asked, SPC-4 §6.35. */
export type OpcodeQuery =
  | { readonly kind: 'all' }
  | { readonly kind: 'opcode'; readonly opcode: number }
  | { readonly kind: 'service-action'; readonly opcode: number; readonly serviceAction: number };

/** REPORT SUPPORTED OPERATION CODES, SPC-4 §6.35; `timeouts` asks for the timeouts descriptors too (RCTD). */
export function putReportSupportedOpcodes(
  b: Buffer,
  at: number,
  query: OpcodeQuery,
  allocationLength: number,
  timeouts = false,
): void {
  start(b, at, ScsiOp.MaintenanceIn, MaintenanceIn.ReportSupportedOperationCodes);
  const options = query.kind === 'all' ? 0 : query.kind === 'opcode' ? 1 : 2;
  b[at + 2] = (timeouts ? 0x80 : 0) | options;
  if (query.kind !== 'all') b.writeUInt8(query.opcode, at + 3);
  if (query.kind === 'service-action') b.writeUInt16BE(query.serviceAction, at + 4);
  b.writeUInt32BE(allocationLength, at + 6);
}

/** REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS, SPC-4 §6.36. */
export function putReportSupportedTmfs(b: Buffer, at: number, allocationLength: number): void {
  start(b, at, ScsiOp.MaintenanceIn, MaintenanceIn.ReportSupportedTaskManagementFunctions);
  b.writeUInt32BE(allocationLength, at + 6);
}

/** REPORT TARGET PORT GROUPS, SPC-4 §6.37, length-only header. */
export function putReportTargetPortGroups(b: Buffer, at: number, allocationLength: number): void {
  start(b, at, ScsiOp.MaintenanceIn, MaintenanceIn.ReportTargetPortGroups);
  b.writeUInt32BE(allocationLength, at + 6);
}

/** PERSISTENT RESERVE IN, SPC-4 §6.15. */
export function putPersistentReserveIn(b: Buffer, at: number, serviceAction: number, allocationLength: number): void {
  start(b, at, ScsiOp.PersistentReserveIn, serviceAction & 0x1f);
  b.writeUInt16BE(allocationLength, at + 7);
}

/** PERSISTENT RESERVE OUT, SPC-4 §6.16; scope is LU_SCOPE (0), the only one left. */
export function putPersistentReserveOut(
  b: Buffer,
  at: number,
  serviceAction: number,
  type: number,
  parameterListLength = 24,
): void {
  start(b, at, ScsiOp.PersistentReserveOut, serviceAction & 0x1f);
  b[at + 2] = type & 0x0f;
  b.writeUInt32BE(parameterListLength, at + 5);
}

/** RESERVE(6), SPC-2 §7.21: the whole unit. */
export function putReserve6(b: Buffer, at: number): void {
  start(b, at, ScsiOp.Reserve6);
}

/** RELEASE(6), SPC-2 §7.16: the whole unit. */
export function putRelease6(b: Buffer, at: number): void {
  start(b, at, ScsiOp.Release6);
}
