// What `node list`, `show`, `login` and `logout` print under --json.
import * as v from 'valibot';
import { error, firstError } from './error.js';
import {
  changedValues,
  choice,
  document,
  dryRun,
  list,
  node,
  portal,
  type Result,
  recordValues,
  sid,
  targetName,
  text,
} from './parts.js';
import { session } from './session.js';

const failedRecords = list(v.strictObject({ ...node.entries, error }), 'The records that are as they were, and why.');

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
      values: recordValues,
    }),
    'One for each record.',
  ),
});

export const nodeNew = document('node-new', 'A record made by hand.', {
  dryRun,
  node: v.pipe(node, v.description('The record.')),
});

export const nodeSet = document('node-set', 'What came of changing records.', {
  dryRun,
  records: list(
    v.strictObject({ ...node.entries, changed: changedValues }),
    'The records that are as they were wished.',
  ),
  failed: failedRecords,
  error: firstError,
});

export const nodeDelete = document('node-delete', 'What came of removing records.', {
  dryRun,
  records: list(node, 'The records that are gone.'),
  failed: failedRecords,
  error: firstError,
});

const path = text('Relative to the folder of the records.');
const reason = text('Why nothing needs it.');
export const nodePrune = document('node-prune', 'What was taken out of the records.', {
  dryRun,
  removed: list(
    v.strictObject({
      kind: choice(
        ['unreadable', 'orphan', 'link', 'folder'],
        'A record that cannot be read, one that no portal names, a link to nothing, an empty folder.',
      ),
      path,
      reason,
    }),
    'What is gone.',
  ),
  kept: list(v.strictObject({ path, reason }), 'Records that a session uses: they would be gone otherwise.'),
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
