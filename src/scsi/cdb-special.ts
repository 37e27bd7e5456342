// The target's reading of CDBs beside those that move blocks: SANITIZE, EXTENDED COPY and its results, READ DEFECT DATA.
import { invalidFieldInCdb } from './check-condition.js';
import { ScsiOp } from './opcodes.js';

/** Lengths in bytes. */
export type SpecialCdb =
  | {
      readonly kind: 'sanitize';
      readonly serviceAction: number;
      /** IMMED: status before the operation has ended. */
      readonly immediate: boolean;
      /** AUSE: a failed operation may be left by EXIT FAILURE MODE. */
      readonly allowExit: boolean;
      readonly parameterListLength: number;
    }
  | { readonly kind: 'extended-copy'; readonly serviceAction: number; readonly parameterListLength: number }
  | {
      readonly kind: 'receive-copy-results';
      readonly serviceAction: number;
      readonly listId: number;
      readonly allocationLength: number;
    }
  | {
      readonly kind: 'read-defect-data';
      readonly size: 10 | 12;
      /** REQ_PLIST, REQ_GLIST and DEFECT LIST FORMAT as the answer's header repeats them. */
      readonly lists: number;
      readonly allocationLength: number;
    };

/** The command at b[at..], or null if it is none of these. @throws CheckCondition for a reserved bit of SANITIZE */
export function parseSpecialCdb(b: Buffer, at: number, opcode: number): SpecialCdb | null {
  const serviceAction = b.readUInt8(at + 1) & 0x1f;
  switch (opcode) {
    case ScsiOp.Sanitize:
      return parseSanitizeCdb(b, at, serviceAction);
    case ScsiOp.ExtendedCopy:
      return { kind: 'extended-copy', serviceAction, parameterListLength: b.readUInt32BE(at + 10) };
    case ScsiOp.ReceiveCopyResults:
      return {
        kind: 'receive-copy-results',
        serviceAction,
        listId: b.readUInt8(at + 2),
        allocationLength: b.readUInt32BE(at + 10),
      };
    case ScsiOp.ReadDefectData10:
      return {
        kind: 'read-defect-data',
        size: 10,
        lists: b.readUInt8(at + 2) & 0x1f,
        allocationLength: b.readUInt16BE(at + 7),
      };
    case ScsiOp.ReadDefectData12:
      return { kind: 'read-defect-data', size: 12, lists: serviceAction, allocationLength: b.readUInt32BE(at + 6) };
    default:
      return null;
  }
}

/** SANITIZE destroys everything, so what it does not define is not passed over (SBC-3 §5.24). */
function parseSanitizeCdb(b: Buffer, at: number, serviceAction: number): SpecialCdb {
  const byte1 = b.readUInt8(at + 1);
  if ((byte1 & 0x40) !== 0) throw invalidFieldInCdb('SBC-3 §5.24', 1, 6);
  for (let i = 2; i < 7; i++) if (b.readUInt8(at + i) !== 0) throw invalidFieldInCdb('SBC-3 §5.24', i);
  return {
    kind: 'sanitize',
    serviceAction,
    immediate: (byte1 & 0x80) !== 0,
    allowExit: (byte1 & 0x20) !== 0,
    parameterListLength: b.readUInt16BE(at + 7),
  };
}
