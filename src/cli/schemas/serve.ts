// What `serve` prints under --json, one object a line: first where it listens, then what happens.
import * as v from 'valibot';
import type { ServedDisk } from '../../services/serve/options.js';
import type { TargetEvent } from '../../target/events.js';
import {
  bytes,
  choice,
  count,
  type Describes,
  document,
  endpoint,
  flag,
  initiatorName,
  list,
  lun,
  moment,
  targetName,
  text,
  textOrNull,
} from './parts.js';

const disk = v.strictObject({
  targetName,
  tag: count('Tag of the portal group.'),
  lun,
  kind: choice(
    ['fileio', 'block', 'ramdisk', 'pscsi', 'user'],
    'What is behind it: a file, a block device, memory, a SCSI device, or a user-space server such as NBD.',
  ),
  name: text('Name of the backing store.'),
  path: textOrNull('The file or device; null for memory.'),
  sizeBytes: bytes('Its size.'),
  created: flag('The file was made now.'),
}) satisfies Describes<ServedDisk>;

export const serve = document('serve', 'The first line: the target is being served.', {
  targetName: v.pipe(v.nullable(targetName), v.description('The first target; null where there is none.')),
  portals: list(endpoint, 'Where it listens.'),
  disks: list(disk, 'One for each LUN.'),
  configuration: textOrNull('The configuration that is served; null for disks of the command line.'),
  control: textOrNull('The socket by which target commands reach it; null where there is none.'),
});

const name = v.pipe(v.nullable(v.string()), v.description('iSCSI name of the target; null in a discovery session.'));
const session = count('Number of the session on this target.');
const reason = text('Why, in words.');

const event = v.variant('kind', [
  v.strictObject({
    kind: v.literal('login'),
    initiatorName,
    targetName: name,
    session,
    authenticated: flag('The initiator has proved itself by CHAP.'),
    reinstated: flag('It took the place of an older session, RFC 7143 §6.3.5.'),
  }),
  v.strictObject({
    kind: v.literal('refuse'),
    initiatorName: v.nullable(initiatorName),
    targetName: v.nullable(targetName),
    status: count('Status-Class and Status-Detail of RFC 7143 §11.13.5 as one number: 513 is 0201h.'),
    reason,
  }),
  v.strictObject({
    kind: v.literal('end'),
    initiatorName,
    targetName: name,
    session,
    cause: v.pipe(
      v.picklist(['logout', 'lost', 'reinstated', 'protocol', 'target']),
      v.description(
        'Logout of the initiator, connection lost, replaced by a new session of the same initiator port, fault of the initiator, or decision of the target.',
      ),
    ),
    reason,
  }),
  v.strictObject({ kind: v.literal('fault'), reason }),
  v.strictObject({
    kind: v.literal('omitted'),
    count: count(
      'Refusals, faults and discoveries of this address that were not told one by one: there were too many.',
    ),
  }),
]) satisfies Describes<TargetEvent>;

export const serveEvent = document('serve-event', 'Every other line: a login, a refusal, an end.', {
  at: moment('When.'),
  remote: v.pipe(endpoint, v.description('The other end of the connection.')),
  event,
});
