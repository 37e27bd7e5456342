// What `discovery sendtargets` and `discovery list` print under --json.
import * as v from 'valibot';
import {
  changedValues,
  choice,
  document,
  dryRun,
  endpoint,
  iface,
  list,
  node,
  portal,
  recordValues,
  targetName,
} from './parts.js';

export const discoverySendtargets = document('discovery-sendtargets', 'The targets behind a portal.', {
  portal: v.pipe(endpoint, v.description('The portal that was asked.')),
  targets: list(v.strictObject({ targetName, portal }), 'One for each way to a target, in the order received.'),
  changes: list(
    v.strictObject({
      what: choice(['new', 'update', 'delete'], 'What became of the record.'),
      targetName,
      portal,
      iface,
    }),
    'The node records that were written or removed.',
  ),
});

export const discoveryList = document('discovery-list', 'The portals that have been asked for targets.', {
  discoveries: list(
    v.strictObject({
      type: choice(['sendtargets', 'isns'], 'How it was asked.'),
      portal: endpoint,
      nodes: list(node, 'What it named last.'),
    }),
    'One for each portal.',
  ),
});

export const discoveryShow = document('discovery-show', 'The record of a portal in full.', {
  portal: endpoint,
  values: recordValues,
});

export const discoverySet = document('discovery-set', 'What came of changing the record of a portal.', {
  dryRun,
  portal: endpoint,
  changed: changedValues,
});

export const discoveryDelete = document('discovery-delete', 'The record of a portal that was removed.', {
  dryRun,
  portal: endpoint,
  deleted: list(node, 'The node records that went with it.'),
  kept: list(node, 'Those that a session uses.'),
});
