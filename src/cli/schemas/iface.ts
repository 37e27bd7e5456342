// What the `iface` commands print under --json.
import * as v from 'valibot';
import { changedValues, document, dryRun, list, node, recordValues, text, textOrNull } from './parts.js';

const name = text('Name of the interface record.');
const nodes = list(node, 'The node records that are bound to it.');

export const ifaceList = document('iface-list', 'The interface records.', {
  ifaces: list(
    v.strictObject({
      name,
      transport: text('tcp, or what needs a kernel.'),
      address: textOrNull('Address that connections come from.'),
      netdev: textOrNull('Network device whose address they come from.'),
      hwaddress: textOrNull('Hardware address of that device.'),
      initiatorName: textOrNull('Initiator name to log in with; null: that of the host.'),
    }),
    'One for each record, the built-in ones last.',
  ),
});

export const ifaceShow = document('iface-show', 'An interface record in full.', { name, values: recordValues });

export const ifaceNew = document('iface-new', 'An interface record that was made.', { dryRun, name });

export const ifaceSet = document('iface-set', 'What came of changing an interface record.', {
  dryRun,
  name,
  changed: changedValues,
  nodes,
});

export const ifaceDelete = document('iface-delete', 'An interface record that was removed.', { dryRun, name, nodes });
