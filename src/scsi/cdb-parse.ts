// The target's reading of a CDB: one object per command, SPC-4 §6 and SBC-3 §5. The data path uses cdb-fields.ts.
// Only what a CDB alone can tell is checked here; reserved bits are ignored, ranges and support are the unit's matter.
import { ProtocolError } from '../util/errors.js';
import { cdbBlocks, cdbDpo, cdbFua, cdbLba, cdbProtect } from './cdb-fields.js';
import type { OpcodeQuery } from './cdb-primary.js';
import { parseSpecialCdb, type SpecialCdb } from './cdb-special.js';
import { invalidFieldInCdb } from './check-condition.js';
import { cdbLength, hasServiceAction, MaintenanceIn, ScsiOp, ServiceActionIn } from './opcodes.js';

export type BlockCommandKind =
  | 'read'
  | 'write'
  | 'write-atomic'
  | 'write-and-verify'
  | 'verify'
  | 'or-write'
  | 'compare-and-write'
  | 'write-same'
  | 'synchronize-cache'
  | 'pre-fetch';

/** A command on a range of blocks. Flags that the command does not have are false. */
export interface BlockCdb {
  readonly kind: BlockCommandKind;
  readonly opcode: number;
  /** OUT_OF_RANGE above 2^53 − 1. */
  readonly lba: number;
  /** As cdbBlocks. 0 means nothing for transfers, and to the end of the medium for the last three kinds. */
  readonly blocks: number;
  /** Data-Out that the command takes, in blocks. */
  readonly outBlocks: number;
  readonly protect: number;
  readonly dpo: boolean;
  readonly fua: boolean;
  /** VERIFY and WRITE AND VERIFY: BYTCHK 0, 1 or 3; 0 elsewhere. */
  readonly byteCheck: number;
  /** SYNCHRONIZE CACHE and PRE-FETCH: status at once. */
  readonly immediate: boolean;
  /** WRITE SAME: UNMAP, ANCHOR and NDOB. */
  readonly unmap: boolean;
  readonly anchor: boolean;
  readonly noDataOut: boolean;
}

/** Every other command that this layer knows; lengths in bytes. */
export type PrimaryCdb =
  | { readonly kind: 'test-unit-ready' }
  | { readonly kind: 'request-sense'; readonly descriptor: boolean; readonly allocationLength: number }
  | { readonly kind: 'inquiry'; readonly page: number | null; readonly allocationLength: number }
  | {
      readonly kind: 'mode-sense';
      readonly size: 6 | 10;
      readonly page: number;
      readonly subpage: number;
      readonly pageControl: number;
      readonly noBlockDescriptor: boolean;
      readonly longLba: boolean;
      readonly allocationLength: number;
    }
  | {
      readonly kind: 'mode-select';
      readonly size: 6 | 10;
      readonly pageFormat: boolean;
      readonly save: boolean;
      readonly parameterListLength: number;
    }
  | {
      readonly kind: 'start-stop';
      readonly start: boolean;
      readonly loadEject: boolean;
      readonly noFlush: boolean;
      readonly immediate: boolean;
      readonly powerCondition: number;
    }
  | { readonly kind: 'prevent-allow'; readonly prevent: number }
  | { readonly kind: 'reserve' | 'release'; readonly size: 6 | 10 }
  | { readonly kind: 'read-capacity-10' }
  | { readonly kind: 'read-capacity-16'; readonly allocationLength: number }
  | { readonly kind: 'get-lba-status'; readonly lba: number; readonly allocationLength: number }
  | { readonly kind: 'unmap'; readonly anchor: boolean; readonly parameterListLength: number }
  | { readonly kind: 'report-luns'; readonly selectReport: number; readonly allocationLength: number }
  | {
      readonly kind: 'report-opcodes';
      readonly query: OpcodeQuery;
      /** Reporting option 3: as 'service-action', but a code without service actions is asked with 0. */
      readonly lenient: boolean;
      readonly timeouts: boolean;
      readonly allocationLength: number;
    }
  | { readonly kind: 'report-tmfs'; readonly extended: boolean; readonly allocationLength: number }
  | { readonly kind: 'report-target-port-groups'; readonly extended: boolean; readonly allocationLength: number }
  | { readonly kind: 'persistent-reserve-in'; readonly serviceAction: number; readonly allocationLength: number }
  | {
      readonly kind: 'persistent-reserve-out';
      readonly serviceAction: number;
      readonly scope: number;
      readonly type: number;
      readonly parameterListLength: number;
    };

/** A command that this layer does not know; `serviceAction` is 0 where the code has none. */
export interface UnknownCdb {
  readonly kind: 'unknown';
  readonly opcode: number;
  readonly serviceAction: number;
}

export type Cdb = BlockCdb | PrimaryCdb | SpecialCdb | UnknownCdb;

const BLOCK_KINDS: ReadonlyMap<number, BlockCommandKind> = new Map<number, BlockCommandKind>([
  [ScsiOp.Read6, 'read'],
  [ScsiOp.Read10, 'read'],
  [ScsiOp.Read12, 'read'],
  [ScsiOp.Read16, 'read'],
  [ScsiOp.Write6, 'write'],
  [ScsiOp.Write10, 'write'],
  [ScsiOp.Write12, 'write'],
  [ScsiOp.Write16, 'write'],
  [ScsiOp.WriteAtomic16, 'write-atomic'],
  [ScsiOp.WriteAndVerify10, 'write-and-verify'],
  [ScsiOp.WriteAndVerify12, 'write-and-verify'],
  [ScsiOp.WriteAndVerify16, 'write-and-verify'],
  [ScsiOp.Verify10, 'verify'],
  [ScsiOp.Verify12, 'verify'],
  [ScsiOp.Verify16, 'verify'],
  [ScsiOp.OrWrite16, 'or-write'],
  [ScsiOp.CompareAndWrite, 'compare-and-write'],
  [ScsiOp.WriteSame10, 'write-same'],
  [ScsiOp.WriteSame16, 'write-same'],
  [ScsiOp.SynchronizeCache10, 'synchronize-cache'],
  [ScsiOp.SynchronizeCache16, 'synchronize-cache'],
  [ScsiOp.PreFetch10, 'pre-fetch'],
  [ScsiOp.PreFetch16, 'pre-fetch'],
]);

/** Whether parseCdb gives a BlockCdb for this opcode. */
export function isBlockCommand(opcode: number): boolean {
  return BLOCK_KINDS.has(opcode);
}

/** Whether parseCdb gave a command on a range of blocks. */
export function isBlockCdb(cdb: Cdb): cdb is BlockCdb {
  return 'blocks' in cdb;
}

/**
 * The CDB at b[at..]. An operation code that this layer does not know gives kind 'unknown'.
 * @throws ProtocolError if fewer bytes are at hand than the code's CDB has
 * @throws CheckCondition for a value that no standard defines: INQUIRY's CMDDT, or PAGE CODE without EVPD, BYTCHK 10b,
 *   a REPORTING OPTIONS above 3
 */
export function parseCdb(b: Buffer, at = 0): Cdb {
  const opcode = b[at];
  if (opcode === undefined || b.length - at < Math.max(6, cdbLength(opcode))) {
    throw new ProtocolError('SPC-4 §4.2.5', `a CDB of ${Math.max(0, b.length - at)} bytes`);
  }
  const kind = BLOCK_KINDS.get(opcode);
  return kind === undefined ? parsePrimary(b, at, opcode) : parseBlock(b, at, opcode, kind);
}

/** Blocks of Data-Out by kind; VERIFY's depend on BYTCHK (SBC-3 §5.33: 00b none, 01b all, 11b one). */
function outBlocks(kind: BlockCommandKind, blocks: number, byteCheck: number, noDataOut: boolean): number {
  switch (kind) {
    case 'write':
    case 'write-atomic':
    case 'write-and-verify':
    case 'or-write':
      return blocks;
    case 'compare-and-write':
      return 2 * blocks;
    case 'write-same':
      return noDataOut ? 0 : 1;
    case 'verify':
      return byteCheck === 3 ? Math.min(1, blocks) : byteCheck === 0 ? 0 : blocks;
    default:
      return 0;
  }
}

function parseBlock(b: Buffer, at: number, opcode: number, kind: BlockCommandKind): BlockCdb {
  const flags = opcode >> 5 === 0 ? 0 : b.readUInt8(at + 1);
  const same = kind === 'write-same';
  const blocks = cdbBlocks(b, at);
  const byteCheck = kind === 'verify' || kind === 'write-and-verify' ? (flags >> 1) & 3 : 0;
  if (byteCheck === 2) throw invalidFieldInCdb('SBC-3 §5.33', 1, 2);
  const noDataOut = opcode === ScsiOp.WriteSame16 && (flags & 0x01) !== 0;
  return {
    kind,
    opcode,
    lba: cdbLba(b, at),
    blocks,
    outBlocks: outBlocks(kind, blocks, byteCheck, noDataOut),
    protect: kind === 'synchronize-cache' || kind === 'pre-fetch' ? 0 : cdbProtect(b, at),
    dpo: cdbDpo(b, at),
    fua: cdbFua(b, at),
    byteCheck,
    immediate: (kind === 'synchronize-cache' || kind === 'pre-fetch') && (flags & 0x02) !== 0,
    unmap: same && (flags & 0x08) !== 0,
    anchor: same && (flags & 0x10) !== 0,
    noDataOut,
  };
}

function parsePrimary(b: Buffer, at: number, opcode: number): PrimaryCdb | SpecialCdb | UnknownCdb {
  const byte1 = b.readUInt8(at + 1);
  switch (opcode) {
    case ScsiOp.TestUnitReady:
      return { kind: 'test-unit-ready' };
    case ScsiOp.RequestSense:
      return { kind: 'request-sense', descriptor: (byte1 & 1) !== 0, allocationLength: b.readUInt8(at + 4) };
    case ScsiOp.Inquiry:
      return parseInquiryCdb(b, at);
    case ScsiOp.ModeSense6:
    case ScsiOp.ModeSense10:
      return parseModeSenseCdb(b, at, opcode === ScsiOp.ModeSense6 ? 6 : 10);
    case ScsiOp.ModeSelect6:
    case ScsiOp.ModeSelect10:
      return parseModeSelectCdb(b, at, opcode === ScsiOp.ModeSelect6 ? 6 : 10);
    case ScsiOp.StartStopUnit:
      return parseStartStopCdb(b, at);
    case ScsiOp.PreventAllowMediumRemoval:
      return { kind: 'prevent-allow', prevent: b.readUInt8(at + 4) & 3 };
    case ScsiOp.Reserve6:
    case ScsiOp.Reserve10:
      return { kind: 'reserve', size: opcode === ScsiOp.Reserve6 ? 6 : 10 };
    case ScsiOp.Release6:
    case ScsiOp.Release10:
      return { kind: 'release', size: opcode === ScsiOp.Release6 ? 6 : 10 };
    case ScsiOp.ReadCapacity10:
      return { kind: 'read-capacity-10' };
    case ScsiOp.Unmap:
      return { kind: 'unmap', anchor: (byte1 & 1) !== 0, parameterListLength: b.readUInt16BE(at + 7) };
    case ScsiOp.ReportLuns:
      return { kind: 'report-luns', selectReport: b.readUInt8(at + 2), allocationLength: b.readUInt32BE(at + 6) };
    case ScsiOp.PersistentReserveIn:
      return {
        kind: 'persistent-reserve-in',
        serviceAction: byte1 & 0x1f,
        allocationLength: b.readUInt16BE(at + 7),
      };
    case ScsiOp.PersistentReserveOut:
      return parsePersistentReserveOutCdb(b, at);
    case ScsiOp.ServiceActionIn16:
      return parseServiceActionIn(b, at, byte1 & 0x1f);
    case ScsiOp.MaintenanceIn:
      return parseMaintenanceIn(b, at, byte1 & 0x1f);
    default:
      return parseSpecialCdb(b, at, opcode) ?? unknown(opcode, byte1);
  }
}

function unknown(opcode: number, byte1: number): UnknownCdb {
  return { kind: 'unknown', opcode, serviceAction: hasServiceAction(opcode) ? byte1 & 0x1f : 0 };
}

/** SPC-4 §6.6.1: without EVPD a PAGE CODE other than 0 is an error. CMDDT is obsolete and refused likewise. */
function parseInquiryCdb(b: Buffer, at: number): PrimaryCdb {
  const byte1 = b.readUInt8(at + 1);
  const page = b.readUInt8(at + 2);
  if ((byte1 & 2) !== 0) throw invalidFieldInCdb('SPC-4 §6.6.1', 1, 1);
  if ((byte1 & 1) === 0 && page !== 0) throw invalidFieldInCdb('SPC-4 §6.6.1', 2);
  return { kind: 'inquiry', page: (byte1 & 1) === 0 ? null : page, allocationLength: b.readUInt16BE(at + 3) };
}

function parseModeSenseCdb(b: Buffer, at: number, size: 6 | 10): PrimaryCdb {
  const byte1 = b.readUInt8(at + 1);
  const byte2 = b.readUInt8(at + 2);
  return {
    kind: 'mode-sense',
    size,
    page: byte2 & 0x3f,
    subpage: b.readUInt8(at + 3),
    pageControl: byte2 >> 6,
    noBlockDescriptor: (byte1 & 0x08) !== 0,
    longLba: size === 10 && (byte1 & 0x10) !== 0,
    allocationLength: size === 6 ? b.readUInt8(at + 4) : b.readUInt16BE(at + 7),
  };
}

function parseModeSelectCdb(b: Buffer, at: number, size: 6 | 10): PrimaryCdb {
  const byte1 = b.readUInt8(at + 1);
  return {
    kind: 'mode-select',
    size,
    pageFormat: (byte1 & 0x10) !== 0,
    save: (byte1 & 1) !== 0,
    parameterListLength: size === 6 ? b.readUInt8(at + 4) : b.readUInt16BE(at + 7),
  };
}

function parseStartStopCdb(b: Buffer, at: number): PrimaryCdb {
  const byte4 = b.readUInt8(at + 4);
  return {
    kind: 'start-stop',
    start: (byte4 & 1) !== 0,
    loadEject: (byte4 & 2) !== 0,
    noFlush: (byte4 & 4) !== 0,
    immediate: (b.readUInt8(at + 1) & 1) !== 0,
    powerCondition: byte4 >> 4,
  };
}

function parsePersistentReserveOutCdb(b: Buffer, at: number): PrimaryCdb {
  const byte2 = b.readUInt8(at + 2);
  return {
    kind: 'persistent-reserve-out',
    serviceAction: b.readUInt8(at + 1) & 0x1f,
    scope: byte2 >> 4,
    type: byte2 & 0x0f,
    parameterListLength: b.readUInt32BE(at + 5),
  };
}

function parseServiceActionIn(b: Buffer, at: number, serviceAction: number): PrimaryCdb | UnknownCdb {
  const allocationLength = b.readUInt32BE(at + 10);
  switch (serviceAction) {
    case ServiceActionIn.ReadCapacity16:
      return { kind: 'read-capacity-16', allocationLength };
    case ServiceActionIn.GetLbaStatus:
      return { kind: 'get-lba-status', lba: cdbLba(b, at), allocationLength };
    default:
      return { kind: 'unknown', opcode: ScsiOp.ServiceActionIn16, serviceAction };
  }
}

function parseMaintenanceIn(b: Buffer, at: number, serviceAction: number): PrimaryCdb | UnknownCdb {
  const allocationLength = b.readUInt32BE(at + 6);
  switch (serviceAction) {
    case MaintenanceIn.ReportTargetPortGroups:
      return {
        kind: 'report-target-port-groups',
        extended: b.readUInt8(at + 1) >> 5 === 1,
        allocationLength,
      };
    case MaintenanceIn.ReportSupportedOperationCodes:
      return parseReportOpcodesCdb(b, at, allocationLength);
    case MaintenanceIn.ReportSupportedTaskManagementFunctions:
      return { kind: 'report-tmfs', extended: (b.readUInt8(at + 2) & 0x80) !== 0, allocationLength };
    default:
      return { kind: 'unknown', opcode: ScsiOp.MaintenanceIn, serviceAction };
  }
}

function parseReportOpcodesCdb(b: Buffer, at: number, allocationLength: number): PrimaryCdb {
  const byte2 = b.readUInt8(at + 2);
  const opcode = b.readUInt8(at + 3);
  const serviceAction = b.readUInt16BE(at + 4);
  const options = byte2 & 7;
  if (options > 3) throw invalidFieldInCdb('SPC-4 §6.35', 2, 2);
  const query: OpcodeQuery =
    options === 0
      ? { kind: 'all' }
      : options === 1
        ? { kind: 'opcode', opcode }
        : { kind: 'service-action', opcode, serviceAction };
  return {
    kind: 'report-opcodes',
    query,
    lenient: options === 3,
    timeouts: (byte2 & 0x80) !== 0,
    allocationLength,
  };
}
