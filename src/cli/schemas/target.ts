// What the `target` commands that are not the tree's print under --json.
import * as v from 'valibot';
import type { Remark } from '../../saveconfig/check.js';
import type { AccessExplanation } from '../../saveconfig/explain.js';
import type { SessionRow } from '../../services/target/store.js';
import {
  bytes,
  choice,
  count,
  type Describes,
  document,
  flag,
  initiatorName,
  list,
  lun,
  targetName,
  text,
  textOrNull,
} from './parts.js';

const where = choice(['running', 'saved'], 'A serve that runs, or the saved file.');
const path = text('Path in the tree: /backstores/fileio/disk01.');
const remark = v.strictObject({ path, reason: text('Why, in words.') }) satisfies Describes<Remark>;
const address = text('IPv4 or IPv6 address, without brackets.');
const mapped = v.strictObject({
  lun,
  backstore: path,
  readOnly: flag('The initiator may not write to it.'),
});

const session = v.strictObject({
  sid: count('Number of the session (its TSIH).', 1),
  type: choice(['Normal', 'Discovery'], 'RFC 7143 §4.3.'),
  state: text('RFC 7143 §8.1: LOGGED_IN and so on.'),
  initiatorName,
  alias: text('Alias of the initiator, if it has told one.'),
  targetName: v.pipe(v.nullable(v.string()), v.description('iSCSI name of the target; null in a discovery session.')),
  tag: count('Tag of the portal group; 0 in a discovery session.'),
  authenticated: flag('The initiator has proved itself by CHAP.'),
  dynamic: flag('It has no ACL of its own: demo mode has let it in.'),
  luns: list(mapped, 'What it sees, by number.'),
  connections: list(
    v.strictObject({
      cid: count('Connection id.'),
      address,
      port: count('TCP port of the initiator.', 1),
      transport: v.literal('TCP'),
      state: text('RFC 7143 §8.1.'),
    }),
    'Its connections.',
  ),
}) satisfies Describes<SessionRow>;

export const targetSessions = document('target-sessions', 'Who is logged in.', {
  sessions: list(session, 'One for each session, dynamic ones too.'),
});

const access = v.strictObject({
  targetName,
  tag: count('Tag of the portal group.', 1),
  portals: list(v.string(), 'Where it listens: ADDRESS:PORT.'),
  allowed: flag('It gets in, if it proves what is asked.'),
  reason: text('The rule that decides.'),
  status: count('What it would be told: Status-Class and Status-Detail of RFC 7143 §11.13.5; 0 where it gets in.'),
  listed: flag('SendTargets shows the portal group to it.'),
  by: v.pipe(v.nullable(v.picklist(['acl', 'demo'])), v.description('Its own ACL, or demo mode; null: neither.')),
  chap: choice(['none', 'one-way', 'mutual'], 'Which proof is asked.'),
  chapUser: textOrNull('The name that it must prove itself with.'),
  luns: list(mapped, 'What it would see, by number.'),
}) satisfies Describes<AccessExplanation>;

export const targetExplainAuth = document('target-explain-auth', 'What an initiator gets, and why.', {
  where,
  initiatorName,
  groups: list(access, 'One for each portal group.'),
});

export const targetSaveconfig = document('target-saveconfig', 'The configuration was saved.', {
  where,
  path: text('The file.'),
  backedUp: flag('A backup was made: the newest one was another.'),
});

export const targetRestoreconfig = document('target-restoreconfig', 'A configuration was restored as a whole.', {
  where,
  path: text('The file that was read.'),
  restored: list(v.string(), 'Objects that are from this file: storage objects and targets, by their paths.'),
  notHonoured: list(remark, 'What the file says and this target does not do; it is kept.'),
});

export const targetClearconfig = document('target-clearconfig', 'Everything was removed from the configuration.', {
  where,
  removed: list(v.string(), 'Storage objects and targets, by their paths. Files and disks are as they were.'),
});

export const targetGrow = document('target-grow', 'The size of a storage object.', {
  path,
  sizeBytes: bytes('Its size now.'),
});

export const targetMetrics = document('target-metrics', 'What a running target has counted.', {
  text: text('Prometheus text, exposition format 0.0.4.'),
});
