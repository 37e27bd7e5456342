// The numbers of the standards, written down a second time: SPC-4, SBC-3 and SAM-5 against the tables of the code.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CdbFlag } from '../../src/scsi/cdb.js';
import { PageControl } from '../../src/scsi/cdb-primary.js';
import { Senses } from '../../src/scsi/check-condition.js';
import { Association, CodeSet, DesignatorType } from '../../src/scsi/designator.js';
import { DeviceType, Qualifier } from '../../src/scsi/inquiry.js';
import { LbaStatus } from '../../src/scsi/lba-status.js';
import { ModePageCode } from '../../src/scsi/mode.js';
import {
  cdbLength,
  commandName,
  MaintenanceIn,
  PersistentReserveIn,
  PersistentReserveOut,
  ServiceActionIn,
} from '../../src/scsi/opcodes.js';
import { ReservationType } from '../../src/scsi/persistent-reserve.js';
import { SENSE_LARGEST, SenseKey } from '../../src/scsi/sense.js';
import { senseToText } from '../../src/scsi/sense-text.js';
import { ScsiStatus, statusName } from '../../src/scsi/status.js';
import { AccessState } from '../../src/scsi/target-port-groups.js';
import { VpdPage } from '../../src/scsi/vpd.js';
import { ProvisioningType } from '../../src/scsi/vpd-block.js';

const COMMANDS = `
00 TEST UNIT READY; 03 REQUEST SENSE; 04 FORMAT UNIT; 07 REASSIGN BLOCKS; 08 READ(6); 0a WRITE(6); 12 INQUIRY;
15 MODE SELECT(6); 16 RESERVE(6); 17 RELEASE(6); 1a MODE SENSE(6); 1b START STOP UNIT; 1c RECEIVE DIAGNOSTIC RESULTS;
1d SEND DIAGNOSTIC; 1e PREVENT ALLOW MEDIUM REMOVAL; 25 READ CAPACITY(10); 28 READ(10); 2a WRITE(10);
2e WRITE AND VERIFY(10); 2f VERIFY(10); 34 PRE-FETCH(10); 35 SYNCHRONIZE CACHE(10); 37 READ DEFECT DATA(10);
3b WRITE BUFFER; 3c READ BUFFER; 41 WRITE SAME(10); 42 UNMAP; 48 SANITIZE; 4c LOG SELECT; 4d LOG SENSE;
55 MODE SELECT(10); 56 RESERVE(10); 57 RELEASE(10); 5a MODE SENSE(10); 5e PERSISTENT RESERVE IN;
5f PERSISTENT RESERVE OUT; 83 EXTENDED COPY; 84 RECEIVE COPY RESULTS; 88 READ(16); 89 COMPARE AND WRITE; 8a WRITE(16);
8b ORWRITE(16); 8e WRITE AND VERIFY(16); 8f VERIFY(16); 90 PRE-FETCH(16); 91 SYNCHRONIZE CACHE(16); 93 WRITE SAME(16);
9c WRITE ATOMIC(16); 9e SERVICE ACTION IN(16); a0 REPORT LUNS; a3 MAINTENANCE IN; a4 MAINTENANCE OUT; a8 READ(12);
aa WRITE(12); ae WRITE AND VERIFY(12); af VERIFY(12); b7 READ DEFECT DATA(12)`;

test('operation codes and their names, and no others', () => {
  const expected = new Map(
    COMMANDS.split(';').map((entry) => {
      const text = entry.trim();
      return [Number.parseInt(text.slice(0, 2), 16), text.slice(3)];
    }),
  );
  assert.equal(expected.size, 57);
  for (let opcode = 0; opcode < 256; opcode++) {
    const code = opcode.toString(16).padStart(2, '0');
    assert.equal(commandName(opcode), expected.get(opcode) ?? `operation code 0x${code}`);
  }
});

test('service actions and their names', () => {
  for (const [opcode, action, name] of [
    [0x9e, 0x10, 'READ CAPACITY(16)'],
    [0x9e, 0x12, 'GET LBA STATUS'],
    [0xa3, 0x0a, 'REPORT TARGET PORT GROUPS'],
    [0xa3, 0x0c, 'REPORT SUPPORTED OPERATION CODES'],
    [0xa3, 0x0d, 'REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS'],
    [0xa3, 0x0e, 'MAINTENANCE IN'],
    [0x28, 0x0a, 'READ(10)'],
  ] as const) {
    assert.equal(commandName(opcode, action), name);
  }
  assert.deepEqual(Object.values(ServiceActionIn), [0x10, 0x12]);
  assert.deepEqual(Object.values(MaintenanceIn), [0x0a, 0x0c, 0x0d]);
  assert.deepEqual(PersistentReserveIn, { ReadKeys: 0, ReadReservation: 1, ReportCapabilities: 2, ReadFullStatus: 3 });
  assert.deepEqual(Object.values(PersistentReserveOut), [0, 1, 2, 3, 4, 5, 6, 7]);
});

test('the group code gives the length of a CDB', () => {
  for (const [from, length] of [
    [0x00, 6],
    [0x20, 10],
    [0x40, 10],
    [0x60, 0],
    [0x80, 16],
    [0xa0, 12],
    [0xc0, 0],
    [0xe0, 0],
  ] as const) {
    assert.equal(cdbLength(from), length);
    assert.equal(cdbLength(from + 0x1f), length);
  }
});

test('status codes', () => {
  const expected = [
    [0x00, 'GOOD'],
    [0x02, 'CHECK CONDITION'],
    [0x04, 'CONDITION MET'],
    [0x08, 'BUSY'],
    [0x18, 'RESERVATION CONFLICT'],
    [0x28, 'TASK SET FULL'],
    [0x30, 'ACA ACTIVE'],
    [0x40, 'TASK ABORTED'],
  ];
  assert.deepEqual(
    Object.values(ScsiStatus).map((status) => [status, statusName(status)]),
    expected,
  );
});

const SENSES: Record<keyof typeof Senses, string> = {
  None: 'No Sense: no additional sense information (00/00/00)',
  BecomingReady: 'Not Ready: logical unit is in process of becoming ready (02/04/01)',
  SanitizeInProgress: 'Not Ready: logical unit not ready, sanitize in progress (02/04/1b)',
  StartRequired: 'Not Ready: logical unit not ready, initializing command required (02/04/02)',
  MediumNotPresent: 'Not Ready: medium not present (02/3a/00)',
  ReadError: 'Medium Error: unrecovered read error (03/11/00)',
  WriteError: 'Medium Error: write error (03/0c/00)',
  SanitizeFailed: 'Medium Error: sanitize command failed (03/31/03)',
  InternalTargetFailure: 'Hardware Error: internal target failure (04/44/00)',
  OperationInProgress: 'Illegal Request: operation in progress (05/00/16)',
  ParameterListLengthError: 'Illegal Request: parameter list length error (05/1a/00)',
  InvalidOpcode: 'Illegal Request: invalid command operation code (05/20/00)',
  LbaOutOfRange: 'Illegal Request: logical block address out of range (05/21/00)',
  InvalidFieldInCdb: 'Illegal Request: invalid field in CDB (05/24/00)',
  LunNotSupported: 'Illegal Request: logical unit not supported (05/25/00)',
  InvalidFieldInParameterList: 'Illegal Request: invalid field in parameter list (05/26/00)',
  InvalidReleaseOfReservation: 'Illegal Request: invalid release of persistent reservation (05/26/04)',
  TooManyTargetDescriptors: 'Illegal Request: too many target descriptors (05/26/06)',
  UnsupportedTargetDescriptor: 'Illegal Request: unsupported target descriptor type code (05/26/07)',
  TooManySegmentDescriptors: 'Illegal Request: too many segment descriptors (05/26/08)',
  UnsupportedSegmentDescriptor: 'Illegal Request: unsupported segment descriptor type code (05/26/09)',
  SavingParametersNotSupported: 'Illegal Request: saving parameters not supported (05/39/00)',
  InsufficientRegistrationResources: 'Illegal Request: insufficient registration resources (05/55/04)',
  PowerOnOrReset: 'Unit Attention: power on, reset, or bus device reset occurred (06/29/00)',
  PowerOn: 'Unit Attention: power on occurred (06/29/01)',
  TargetReset: 'Unit Attention: bus device reset function occurred (06/29/03)',
  NexusLoss: 'Unit Attention: I_T nexus loss occurred (06/29/07)',
  ModeParametersChanged: 'Unit Attention: mode parameters changed (06/2a/01)',
  ReservationsPreempted: 'Unit Attention: reservations preempted (06/2a/03)',
  ReservationsReleased: 'Unit Attention: reservations released (06/2a/04)',
  RegistrationsPreempted: 'Unit Attention: registrations preempted (06/2a/05)',
  CapacityChanged: 'Unit Attention: capacity data has changed (06/2a/09)',
  CommandsCleared: 'Unit Attention: commands cleared by another initiator (06/2f/00)',
  InquiryDataChanged: 'Unit Attention: inquiry data has changed (06/3f/03)',
  ReportedLunsChanged: 'Unit Attention: reported LUNs data has changed (06/3f/0e)',
  WriteProtected: 'Data Protect: write protected (07/27/00)',
  SpaceAllocationFailed: 'Data Protect: space allocation failed write protect (07/27/07)',
  CopyAborted: 'Copy Aborted: no additional sense information (0a/00/00)',
  UnreachableCopyTarget: 'Copy Aborted: unreachable copy target (0a/08/04)',
  ThirdPartyDeviceFailure: 'Copy Aborted: third party device failure (0a/0d/01)',
  CopyTargetNotReachable: 'Copy Aborted: copy target device not reachable (0a/0d/02)',
  IncorrectCopyTargetType: 'Copy Aborted: incorrect copy target device type (0a/0d/03)',
  InexactSegment: 'Copy Aborted: unexpected inexact segment (0a/26/0a)',
  AbortedCommand: 'Aborted Command: no additional sense information (0b/00/00)',
  UnexpectedUnsolicitedData: 'Aborted Command: write error - unexpected unsolicited data (0b/0c/0c)',
  NotEnoughUnsolicitedData: 'Aborted Command: write error - not enough unsolicited data (0b/0c/0d)',
  ProtocolServiceCrcError: 'Aborted Command: protocol service CRC error (0b/47/05)',
  DataPhaseError: 'Aborted Command: data phase error (0b/4b/00)',
  MiscompareDuringVerify: 'Miscompare: miscompare during verify operation (0e/1d/00)',
};

test('the sense data that the target sends', () => {
  const texts = Object.fromEntries(Object.entries(Senses).map(([name, sense]) => [name, senseToText(sense)]));
  assert.deepEqual(texts, SENSES);
  assert.deepEqual(Object.values(SenseKey), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15]);
  assert.equal(SENSE_LARGEST, 252);
});

test('the smaller tables', () => {
  assert.deepEqual(CdbFlag, {
    Dpo: 0x10,
    Fua: 0x08,
    ByteCheck: 0x02,
    ByteCheckOne: 0x06,
    Immediate: 0x02,
    Unmap: 0x08,
    Anchor: 0x10,
    NoDataOut: 0x01,
  });
  assert.deepEqual(PageControl, { Current: 0, Changeable: 1, Default: 2, Saved: 3 });
  assert.deepEqual(Object.values(VpdPage), [0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2]);
  assert.deepEqual(Object.values(ModePageCode), [0x01, 0x08, 0x0a, 0x1c, 0x3f]);
  assert.deepEqual(Object.values(DeviceType), [0x00, 0x0c, 0x1e, 0x1f]);
  assert.deepEqual(Object.values(Qualifier), [0, 1, 3]);
  assert.deepEqual(Object.values(Association), [0, 1, 2]);
  assert.deepEqual(Object.values(CodeSet), [1, 2, 3]);
  assert.deepEqual(Object.values(DesignatorType), [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]);
  assert.deepEqual(LbaStatus, { Mapped: 0, Deallocated: 1, Anchored: 2 });
  assert.deepEqual(ProvisioningType, { Unknown: 0, Resource: 1, Thin: 2 });
  assert.deepEqual(Object.values(AccessState), [0, 1, 2, 3, 4, 14, 15]);
  assert.deepEqual(ReservationType, {
    WriteExclusive: 1,
    ExclusiveAccess: 3,
    WriteExclusiveRegistrantsOnly: 5,
    ExclusiveAccessRegistrantsOnly: 6,
    WriteExclusiveAllRegistrants: 7,
    ExclusiveAccessAllRegistrants: 8,
  });
});
