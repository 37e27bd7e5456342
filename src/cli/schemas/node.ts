// What `node list`, `show`, `login` and `logout` print under --json.
import * as v from 'valibot';
import { error, firstError } from './error.js';
import { document, list, node, portal, type Result, sid, targetName, text } from './parts.js';
import { session } from './session.js';

export const nodeList = document('node-list', 'The node records.', {
  nodes: list(
    v.strictObject({ ...node.entries, startup: text('node.startup of the record: manual, automatic or onboot.') }),
    'One for each record.',
  ),
});

export const nodeShow = document('node-show', 'Node records in full.', {
  records: list(
    v.strictObject({
      ...node.entries,
      values: v.pipe(
        v.record(v.string(), v.nullable(v.string())),
        v.description(
          'The keys of open-iscsi, as node.session.timeo.replacement_timeout, with their values as text; null where there is none. Secrets are ******** unless they were asked for.',
        ),
      ),
    }),
    'One for each record.',
  ),
});

export const nodeLogin = document('node-login', 'What came of a login.', {
  sessions: list(session, 'The new sessions, each with its devices.'),
  failed: list(v.strictObject({ targetName, portal, error }), 'The logins that have failed, and why.'),
  error: firstError,
});

const ended = { sid, targetName, portal };
const endings = {
  sessions: list(v.strictObject(ended), 'The sessions that have ended.'),
  failed: list(v.strictObject({ ...ended, error }), 'The sessions that are still there, and why.'),
  error: firstError,
};
export const nodeLogout = document('node-logout', 'What came of a logout.', endings);
export const sessionLogout = document('session-logout', 'What came of a logout.', endings);
/** What both commands print. */
export type Ended = Omit<Result<typeof nodeLogout>, 'error'>;
