// The answer to a bad CDB or parameter list: CHECK CONDITION with sense data, SPC-4 §4.5.6. It ends the command, not the
// connection. The parsers of the target's side throw it; the logical unit that catches it sends `sense`.
import { ProtocolError } from '../util/errors.js';
import { type FieldPointer, type Sense, SenseKey } from './sense.js';
import { senseToText } from './sense-text.js';

/** A command that must end with CHECK CONDITION and this sense. */
export class CheckCondition extends ProtocolError {
  readonly sense: Sense;
  constructor(clause: string, sense: Sense) {
    super(clause, senseToText(sense));
    this.sense = sense;
  }
}

/** 05/24/00: the field at `byte` (and its most significant `bit`) of the CDB is not acceptable. */
export function invalidFieldInCdb(clause: string, byte: number, bit?: number): CheckCondition {
  const field: FieldPointer = bit === undefined ? { inCdb: true, byte } : { inCdb: true, byte, bit };
  return new CheckCondition(clause, { ...Senses.InvalidFieldInCdb, field });
}

/** 05/26/00: the field at `byte` (and its most significant `bit`) of the parameter list is not acceptable. */
export function invalidFieldInParameterList(clause: string, byte: number, bit?: number): CheckCondition {
  const field: FieldPointer = bit === undefined ? { inCdb: false, byte } : { inCdb: false, byte, bit };
  return new CheckCondition(clause, { ...Senses.InvalidFieldInParameterList, field });
}

/** 05/1A/00: the parameter list is cut off within a field. */
export function parameterListLengthError(clause: string): CheckCondition {
  return new CheckCondition(clause, Senses.ParameterListLengthError);
}

/** The sense data that a block device's target sends, by name. */
export const Senses = {
  None: { key: SenseKey.NoSense, asc: 0x00, ascq: 0x00 },
  BecomingReady: { key: SenseKey.NotReady, asc: 0x04, ascq: 0x01 },
  SanitizeInProgress: { key: SenseKey.NotReady, asc: 0x04, ascq: 0x1b },
  StartRequired: { key: SenseKey.NotReady, asc: 0x04, ascq: 0x02 },
  MediumNotPresent: { key: SenseKey.NotReady, asc: 0x3a, ascq: 0x00 },
  ReadError: { key: SenseKey.MediumError, asc: 0x11, ascq: 0x00 },
  WriteError: { key: SenseKey.MediumError, asc: 0x0c, ascq: 0x00 },
  SanitizeFailed: { key: SenseKey.MediumError, asc: 0x31, ascq: 0x03 },
  InternalTargetFailure: { key: SenseKey.HardwareError, asc: 0x44, ascq: 0x00 },
  OperationInProgress: { key: SenseKey.IllegalRequest, asc: 0x00, ascq: 0x16 },
  ParameterListLengthError: { key: SenseKey.IllegalRequest, asc: 0x1a, ascq: 0x00 },
  InvalidOpcode: { key: SenseKey.IllegalRequest, asc: 0x20, ascq: 0x00 },
  LbaOutOfRange: { key: SenseKey.IllegalRequest, asc: 0x21, ascq: 0x00 },
  InvalidFieldInCdb: { key: SenseKey.IllegalRequest, asc: 0x24, ascq: 0x00 },
  LunNotSupported: { key: SenseKey.IllegalRequest, asc: 0x25, ascq: 0x00 },
  InvalidFieldInParameterList: { key: SenseKey.IllegalRequest, asc: 0x26, ascq: 0x00 },
  InvalidReleaseOfReservation: { key: SenseKey.IllegalRequest, asc: 0x26, ascq: 0x04 },
  TooManyTargetDescriptors: { key: SenseKey.IllegalRequest, asc: 0x26, ascq: 0x06 },
  UnsupportedTargetDescriptor: { key: SenseKey.IllegalRequest, asc: 0x26, ascq: 0x07 },
  TooManySegmentDescriptors: { key: SenseKey.IllegalRequest, asc: 0x26, ascq: 0x08 },
  UnsupportedSegmentDescriptor: { key: SenseKey.IllegalRequest, asc: 0x26, ascq: 0x09 },
  SavingParametersNotSupported: { key: SenseKey.IllegalRequest, asc: 0x39, ascq: 0x00 },
  InsufficientRegistrationResources: { key: SenseKey.IllegalRequest, asc: 0x55, ascq: 0x04 },
  PowerOnOrReset: { key: SenseKey.UnitAttention, asc: 0x29, ascq: 0x00 },
  PowerOn: { key: SenseKey.UnitAttention, asc: 0x29, ascq: 0x01 },
  TargetReset: { key: SenseKey.UnitAttention, asc: 0x29, ascq: 0x03 },
  NexusLoss: { key: SenseKey.UnitAttention, asc: 0x29, ascq: 0x07 },
  ModeParametersChanged: { key: SenseKey.UnitAttention, asc: 0x2a, ascq: 0x01 },
  ReservationsPreempted: { key: SenseKey.UnitAttention, asc: 0x2a, ascq: 0x03 },
  ReservationsReleased: { key: SenseKey.UnitAttention, asc: 0x2a, ascq: 0x04 },
  RegistrationsPreempted: { key: SenseKey.UnitAttention, asc: 0x2a, ascq: 0x05 },
  CapacityChanged: { key: SenseKey.UnitAttention, asc: 0x2a, ascq: 0x09 },
  CommandsCleared: { key: SenseKey.UnitAttention, asc: 0x2f, ascq: 0x00 },
  InquiryDataChanged: { key: SenseKey.UnitAttention, asc: 0x3f, ascq: 0x03 },
  ReportedLunsChanged: { key: SenseKey.UnitAttention, asc: 0x3f, ascq: 0x0e },
  WriteProtected: { key: SenseKey.DataProtect, asc: 0x27, ascq: 0x00 },
  SpaceAllocationFailed: { key: SenseKey.DataProtect, asc: 0x27, ascq: 0x07 },
  CopyAborted: { key: SenseKey.CopyAborted, asc: 0x00, ascq: 0x00 },
  UnreachableCopyTarget: { key: SenseKey.CopyAborted, asc: 0x08, ascq: 0x04 },
  ThirdPartyDeviceFailure: { key: SenseKey.CopyAborted, asc: 0x0d, ascq: 0x01 },
  CopyTargetNotReachable: { key: SenseKey.CopyAborted, asc: 0x0d, ascq: 0x02 },
  IncorrectCopyTargetType: { key: SenseKey.CopyAborted, asc: 0x0d, ascq: 0x03 },
  InexactSegment: { key: SenseKey.CopyAborted, asc: 0x26, ascq: 0x0a },
  AbortedCommand: { key: SenseKey.AbortedCommand, asc: 0x00, ascq: 0x00 },
  UnexpectedUnsolicitedData: { key: SenseKey.AbortedCommand, asc: 0x0c, ascq: 0x0c },
  NotEnoughUnsolicitedData: { key: SenseKey.AbortedCommand, asc: 0x0c, ascq: 0x0d },
  ProtocolServiceCrcError: { key: SenseKey.AbortedCommand, asc: 0x47, ascq: 0x05 },
  DataPhaseError: { key: SenseKey.AbortedCommand, asc: 0x4b, ascq: 0x00 },
  MiscompareDuringVerify: { key: SenseKey.Miscompare, asc: 0x1d, ascq: 0x00 },
} as const satisfies Record<string, Sense>;
