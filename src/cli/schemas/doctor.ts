// What `doctor` prints under --json.
import * as v from 'valibot';
import type { Finding } from '../../services/doctor/finding.js';
import { choice, count, type Describes, document, list, text, textOrNull } from './parts.js';

const finding = v.strictObject({
  check: text('What was looked at.'),
  level: choice(['ok', 'warn', 'fail'], 'warn: it works, but somebody should know; fail: something does not work.'),
  message: text('What was found, for people.'),
  fix: textOrNull('A command, or what to change; null where there is nothing to do.'),
}) satisfies Describes<Finding>;

export const doctor = document('doctor', 'What is wrong with this machine, and with a portal.', {
  findings: list(finding, 'In the order in which they were looked at.'),
  problems: count('How many are fail: with any of them the exit status is 1.'),
  warnings: count('How many are warn.'),
});
