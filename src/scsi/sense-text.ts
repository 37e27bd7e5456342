// Sense data in words, for messages and logs: the names of SPC-4 §4.5.6 (tables 53 and 54).
import { type Sense, SenseKey } from './sense.js';

const KEY_NAMES = [
  'No Sense',
  'Recovered Error',
  'Not Ready',
  'Medium Error',
  'Hardware Error',
  'Illegal Request',
  'Unit Attention',
  'Data Protect',
  'Blank Check',
  'Vendor Specific',
  'Copy Aborted',
  'Aborted Command',
  'Reserved',
  'Volume Overflow',
  'Miscompare',
  'Completed',
] as const;

/** ASC << 8 | ASCQ to its name: those that disks and iSCSI targets report. */
const CODE_NAMES: ReadonlyMap<number, string> = new Map([
  [0x0000, 'no additional sense information'],
  [0x0006, 'I/O process terminated'],
  [0x0016, 'operation in progress'],
  [0x001d, 'ATA pass-through information available'],
  [0x0200, 'no seek complete'],
  [0x0300, 'peripheral device write fault'],
  [0x0400, 'logical unit not ready, cause not reportable'],
  [0x0401, 'logical unit is in process of becoming ready'],
  [0x0402, 'logical unit not ready, initializing command required'],
  [0x0403, 'logical unit not ready, manual intervention required'],
  [0x0404, 'logical unit not ready, format in progress'],
  [0x0405, 'logical unit not ready, rebuild in progress'],
  [0x0406, 'logical unit not ready, recalculation in progress'],
  [0x0407, 'logical unit not ready, operation in progress'],
  [0x0409, 'logical unit not ready, self-test in progress'],
  [0x040a, 'logical unit not accessible, asymmetric access state transition'],
  [0x040b, 'logical unit not accessible, target port in standby state'],
  [0x040c, 'logical unit not accessible, target port in unavailable state'],
  [0x0410, 'logical unit not ready, auxiliary memory not accessible'],
  [0x0411, 'logical unit not ready, notify (enable spinup) required'],
  [0x0412, 'logical unit not ready, offline'],
  [0x0414, 'logical unit not ready, space allocation in progress'],
  [0x041b, 'logical unit not ready, sanitize in progress'],
  [0x0500, 'logical unit does not respond to selection'],
  [0x0800, 'logical unit communication failure'],
  [0x0804, 'unreachable copy target'],
  [0x0801, 'logical unit communication time-out'],
  [0x0a00, 'error log overflow'],
  [0x0b01, 'warning - specified temperature exceeded'],
  [0x0c00, 'write error'],
  [0x0c02, 'write error - auto reallocation failed'],
  [0x0c03, 'write error - recommend reassignment'],
  [0x0c0c, 'write error - unexpected unsolicited data'],
  [0x0c0d, 'write error - not enough unsolicited data'],
  [0x0d01, 'third party device failure'],
  [0x0d02, 'copy target device not reachable'],
  [0x0d03, 'incorrect copy target device type'],
  [0x0e00, 'invalid information unit'],
  [0x1000, 'ID CRC or ECC error'],
  [0x1001, 'logical block guard check failed'],
  [0x1002, 'logical block application tag check failed'],
  [0x1003, 'logical block reference tag check failed'],
  [0x1100, 'unrecovered read error'],
  [0x1101, 'read retries exhausted'],
  [0x1104, 'unrecovered read error - auto reallocate failed'],
  [0x110b, 'unrecovered read error - recommend reassignment'],
  [0x1114, 'read error - LBA marked bad by application client'],
  [0x1400, 'recorded entity not found'],
  [0x1500, 'random positioning error'],
  [0x1700, 'recovered data with no error correction applied'],
  [0x1800, 'recovered data with error correction applied'],
  [0x1a00, 'parameter list length error'],
  [0x1b00, 'synchronous data transfer error'],
  [0x1d00, 'miscompare during verify operation'],
  [0x1d01, 'miscompare verify of unmapped LBA'],
  [0x2000, 'invalid command operation code'],
  [0x2002, 'access denied - no access rights'],
  [0x2100, 'logical block address out of range'],
  [0x2101, 'invalid element address'],
  [0x2200, 'illegal function'],
  [0x2400, 'invalid field in CDB'],
  [0x2401, 'CDB decryption error'],
  [0x2500, 'logical unit not supported'],
  [0x2600, 'invalid field in parameter list'],
  [0x2601, 'parameter not supported'],
  [0x2602, 'parameter value invalid'],
  [0x2604, 'invalid release of persistent reservation'],
  [0x2606, 'too many target descriptors'],
  [0x2607, 'unsupported target descriptor type code'],
  [0x2608, 'too many segment descriptors'],
  [0x260a, 'unexpected inexact segment'],
  [0x2609, 'unsupported segment descriptor type code'],
  [0x2700, 'write protected'],
  [0x2701, 'hardware write protected'],
  [0x2702, 'logical unit software write protected'],
  [0x2703, 'associated write protect'],
  [0x2704, 'persistent write protect'],
  [0x2705, 'permanent write protect'],
  [0x2706, 'conditional write protect'],
  [0x2707, 'space allocation failed write protect'],
  [0x2708, 'zone is read only'],
  [0x2800, 'not ready to ready change, medium may have changed'],
  [0x2900, 'power on, reset, or bus device reset occurred'],
  [0x2901, 'power on occurred'],
  [0x2902, 'SCSI bus reset occurred'],
  [0x2903, 'bus device reset function occurred'],
  [0x2904, 'device internal reset'],
  [0x2905, 'transceiver mode changed to single-ended'],
  [0x2906, 'transceiver mode changed to LVD'],
  [0x2907, 'I_T nexus loss occurred'],
  [0x2a00, 'parameters changed'],
  [0x2a01, 'mode parameters changed'],
  [0x2a02, 'log parameters changed'],
  [0x2a03, 'reservations preempted'],
  [0x2a04, 'reservations released'],
  [0x2a05, 'registrations preempted'],
  [0x2a06, 'asymmetric access state changed'],
  [0x2a07, 'implicit asymmetric access state transition failed'],
  [0x2a08, 'priority changed'],
  [0x2a09, 'capacity data has changed'],
  [0x2a0a, 'error history I_T nexus cleared'],
  [0x2a10, 'timestamp changed'],
  [0x2c00, 'command sequence error'],
  [0x2f00, 'commands cleared by another initiator'],
  [0x2f01, 'commands cleared by power loss notification'],
  [0x2f02, 'commands cleared by device server'],
  [0x3100, 'medium format corrupted'],
  [0x3101, 'format command failed'],
  [0x3103, 'sanitize command failed'],
  [0x3200, 'no defect spare location available'],
  [0x3700, 'rounded parameter'],
  [0x3807, 'thin provisioning soft threshold reached'],
  [0x3900, 'saving parameters not supported'],
  [0x3a00, 'medium not present'],
  [0x3d00, 'invalid bits in IDENTIFY message'],
  [0x3e00, 'logical unit has not self-configured yet'],
  [0x3e01, 'logical unit failure'],
  [0x3e02, 'timeout on logical unit'],
  [0x3f00, 'target operating conditions have changed'],
  [0x3f01, 'microcode has been changed'],
  [0x3f02, 'changed operating definition'],
  [0x3f03, 'inquiry data has changed'],
  [0x3f05, 'device identifier changed'],
  [0x3f0a, 'volume set created or modified'],
  [0x3f0e, 'reported LUNs data has changed'],
  [0x3f0f, 'echo buffer overwritten'],
  [0x3f10, 'medium loadable'],
  [0x4300, 'message error'],
  [0x4400, 'internal target failure'],
  [0x4471, 'ATA device failed set features'],
  [0x4500, 'select or reselect failure'],
  [0x4700, 'SCSI parity error'],
  [0x4701, 'data phase CRC error detected'],
  [0x4703, 'information unit iuCRC error detected'],
  [0x4705, 'protocol service CRC error'],
  [0x477f, 'some commands cleared by iSCSI protocol event'],
  [0x4800, 'initiator detected error message received'],
  [0x4900, 'invalid message error'],
  [0x4a00, 'command phase error'],
  [0x4b00, 'data phase error'],
  [0x4b01, 'invalid target port transfer tag received'],
  [0x4b02, 'too much write data'],
  [0x4b03, 'ACK/NAK timeout'],
  [0x4b05, 'data offset error'],
  [0x4b06, 'initiator response timeout'],
  [0x4c00, 'logical unit failed self-configuration'],
  [0x4e00, 'overlapped commands attempted'],
  [0x5300, 'media load or eject failed'],
  [0x5302, 'medium removal prevented'],
  [0x5500, 'system resource failure'],
  [0x5501, 'system buffer full'],
  [0x5502, 'insufficient reservation resources'],
  [0x5503, 'insufficient resources'],
  [0x5504, 'insufficient registration resources'],
  [0x5508, 'maximum number of supplemental decryption keys exceeded'],
  [0x550b, 'insufficient power for operation'],
  [0x5a01, 'operator medium removal request'],
  [0x5c00, 'RPL status change'],
  [0x5d00, 'failure prediction threshold exceeded'],
  [0x5dff, 'failure prediction threshold exceeded (false)'],
  [0x5e00, 'low power condition on'],
  [0x6500, 'voltage fault'],
]);

function hex2(n: number): string {
  return n.toString(16).padStart(2, '0');
}

/** The sense key's name, such as "Not Ready". */
export function senseKeyName(key: number): string {
  return KEY_NAMES[key & 0x0f] ?? 'Reserved';
}

/** The name of an additional sense code, or undefined where this table has none. */
export function senseCodeName(asc: number, ascq: number): string | undefined {
  return CODE_NAMES.get((asc << 8) | ascq);
}

/** Whether INFORMATION is the first block in error; istgt sets VALID with 0 everywhere, which would only confuse. */
function namesBlock(key: number): boolean {
  return key === SenseKey.MediumError || key === SenseKey.HardwareError || key === SenseKey.RecoveredError;
}

/** One line such as "Illegal Request: invalid field in CDB (05/24/00)", with the LBA or field where it is told. */
export function senseToText(sense: Sense): string {
  const code = `${hex2(sense.key)}/${hex2(sense.asc)}/${hex2(sense.ascq)}`;
  const name = senseCodeName(sense.asc, sense.ascq);
  const words = [`${senseKeyName(sense.key)}${name === undefined ? '' : `: ${name}`} (${code})`];
  if (sense.deferred) words.push('of an earlier command');
  if (sense.field) {
    const bit = sense.field.bit === undefined ? '' : ` bit ${sense.field.bit}`;
    words.push(`at ${sense.field.inCdb ? 'CDB' : 'parameter list'} byte ${sense.field.byte}${bit}`);
  }
  if (sense.information !== undefined && namesBlock(sense.key)) {
    words.push(`at LBA ${Number.isFinite(sense.information) ? sense.information : 'above 2^53'}`);
  }
  return words.join(', ');
}
