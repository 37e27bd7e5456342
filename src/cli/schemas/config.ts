// What `config` commands print under --json.
import * as v from 'valibot';
import type { Finding } from '../../services/config-check.js';
import type { Origin } from '../../services/config-show.js';
import { choice, count, type Describes, document, flag, list, text, textOrNull } from './parts.js';

export const configUnit = document('config-unit', 'A unit file for systemd.', {
  name: text('Name of the file, below /etc/systemd/system.'),
  text: text('What belongs into it.'),
});

export const configShim = document('config-shim', 'lunctl-iscsiadm, and a link to it under the name iscsiadm.', {
  dryRun: flag('Nothing was changed.'),
  program: text('Absolute path of lunctl-iscsiadm.'),
  link: textOrNull('The link that --install has made or found; null without it.'),
  changed: flag('The link was not there before.'),
});

const origin = v.strictObject({
  kind: choice(['default', 'file', 'flag', 'environment'], 'What has set it.'),
  name: textOrNull('The file, the flag or the variable; null for a default.'),
  line: v.pipe(v.nullable(count('Line of the file.', 1)), v.description('Line of the file; null where there is none.')),
}) satisfies Describes<Origin>;

export const configShow = document('config-show', 'What is in force on this machine.', {
  settings: list(
    v.strictObject({
      key: text('Key of open-iscsi, or config-dir, db-dir, run-dir, InitiatorName.'),
      value: textOrNull('Its value; null where there is none. Secrets are ******** unless they were asked for.'),
      origin,
    }),
    'In the order of a record.',
  ),
});

export const configCheck = document('config-check', 'Whether configuration and records are in order.', {
  ok: flag('There is no error.'),
  findings: list(
    v.strictObject({
      level: choice(['error', 'warning'], 'An error keeps something from working; a warning may be meant so.'),
      where: text('The file, with its line where there is one.'),
      message: text('What is the matter.'),
      hint: textOrNull('What to do.'),
    }) satisfies Describes<Finding>,
    'What is not in order.',
  ),
});
