// What `session show` prints under --json, and a session as a login shows it.
import * as v from 'valibot';
import type { OperationalParams } from '../../iscsi/params.js';
import type { DeviceInfo, PartitionInfo, SessionInfo } from '../../services/session/info.js';
import {
  attach,
  bytes,
  choice,
  count,
  type Describes,
  devicePath,
  document,
  flag,
  iface,
  initiatorName,
  list,
  lun,
  moment,
  momentOrNull,
  nbd,
  portal,
  seconds,
  sid,
  targetName,
  text,
  textOrNull,
} from './parts.js';

const digest = choice(['None', 'CRC32C'], 'RFC 7143 §13.1.');

const params = v.strictObject({
  headerDigest: digest,
  dataDigest: digest,
  maxConnections: count('RFC 7143 §13.2.', 1),
  initialR2T: flag('RFC 7143 §13.10.'),
  immediateData: flag('RFC 7143 §13.11.'),
  maxRecvDataSegmentLength: bytes('The largest data segment that the initiator takes, RFC 7143 §13.12.'),
  maxXmitDataSegmentLength: bytes('The largest data segment that the target takes, RFC 7143 §13.12.'),
  maxBurstLength: bytes('RFC 7143 §13.13.'),
  firstBurstLength: bytes('RFC 7143 §13.14.'),
  defaultTime2Wait: seconds('RFC 7143 §13.15.'),
  defaultTime2Retain: seconds('RFC 7143 §13.16.'),
  maxOutstandingR2T: count('RFC 7143 §13.17.', 1),
  dataPDUInOrder: flag('RFC 7143 §13.18.'),
  dataSequenceInOrder: flag('RFC 7143 §13.19.'),
  errorRecoveryLevel: count('RFC 7143 §13.20.'),
}) satisfies Describes<OperationalParams>;

const exportName = text('Name of the NBD export: lunN or lunNpM.');

const partition = v.strictObject({
  number: count('Number of the partition, as in lun0p1.', 1),
  exportName,
  nbd,
  startBytes: bytes('Where it starts on the disk.'),
  sizeBytes: bytes('Its size.'),
  partitionType: text('GPT: the type GUID. MBR: the type byte in hexadecimal.'),
  partitionUuid: text('GPT: the unique GUID. MBR: signature and number.'),
  partitionName: text('GPT: its name; empty otherwise.'),
}) satisfies Describes<PartitionInfo>;

export const device = v.strictObject({
  lun,
  exportName,
  nbd,
  path: devicePath,
  attach,
  sizeBytes: bytes('Its size.'),
  blockSize: bytes('Logical block length.'),
  optimalIoSize: bytes('Preferred transfer size of VPD page B0h; 0 if the unit states none.'),
  vendor: text('T10 VENDOR IDENTIFICATION of the INQUIRY data.'),
  product: text('PRODUCT IDENTIFICATION of the INQUIRY data.'),
  revision: text('PRODUCT REVISION LEVEL of the INQUIRY data.'),
  serial: text('Unit serial number, VPD page 80h; empty if it states none.'),
  designator: text('Lasting name from VPD page 83h, as naa.…, eui.… or t10.…; empty if it states none.'),
  readOnly: flag('No writes are allowed.'),
  writeCache: flag('It has a volatile write cache that is on.'),
  partitions: list(partition, 'As the session has read the partition table last.'),
  note: textOrNull('Why it has no device node although one was asked for; null when there is nothing to say.'),
}) satisfies Describes<DeviceInfo>;

/** The states that an initiator's session can have: RFC 7143 §8.3. */
export const recoveryWord = choice(
  ['none', 'waiting', 'logging-in', 'checking', 'expired'],
  'What is being done about a lost connection: waiting for the next try, logging in, asking the disks who they are; expired: the same as waiting, but I/O fails at once. none while nothing is wrong.',
);
export const sessionState = choice(['FREE', 'LOGGED_IN', 'FAILED'], 'State of the session, RFC 7143 §8.3.');

export const session = v.strictObject({
  sid,
  pid: count('Process that holds the session.', 1),
  state: sessionState,
  recovery: recoveryWord,
  lostSince: momentOrNull('When the connection was lost that is being recovered; null while nothing is wrong.'),
  lastError: textOrNull(
    'Why the connection was lost last, or the last try to replace it failed; null if nothing of that kind has happened.',
  ),
  targetName,
  portal,
  iface,
  index: count('Which of the sessions of its record it is, from 0: see node.session.nr_sessions.'),
  localAddress: textOrNull("This end's address; null while there is no connection."),
  initiatorName,
  isid: v.pipe(v.string(), v.regex(/^[0-9a-f]{12}$/), v.description('ISID in hexadecimal, RFC 7143 §11.12.5.')),
  tsih: count('Target session identifying handle, RFC 7143 §11.12.6.'),
  authMethod: choice(['None', 'CHAP'], 'RFC 7143 §12.'),
  chapUser: textOrNull('Name that the login was proved with; null without CHAP.'),
  mutualUser: textOrNull('Name that the target has proved itself with; null without mutual CHAP.'),
  readOnly: flag('The login asked for no writes to any LUN.'),
  params: v.pipe(params, v.description('The operational parameters that are in force.')),
  loggedInAt: moment('When the login was complete.'),
  socket: text('Path of the unix socket that serves every LUN and partition by NBD.'),
  readBytes: bytes('Read since the login.'),
  writtenBytes: bytes('Written since the login.'),
  devices: list(device, 'One for each LUN.'),
}) satisfies Describes<SessionInfo>;

export const sessionShow = document('session-show', 'The sessions that are up, and their devices.', {
  sessions: list(
    v.strictObject({ ...session.entries, ageSeconds: seconds('Time since the login.') }),
    'One for each session, by number.',
  ),
});
