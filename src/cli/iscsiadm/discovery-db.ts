// Discovery records of the iscsiadm face: listed, shown, made, changed and deleted.
import { RefusedChange } from '../../records/changes.js';
import { SENDTARGETS_KEYS } from '../../records/keys.js';
import { resolvePaths } from '../../services/paths.js';
import {
  addDiscovery,
  deleteDiscovery,
  listAllDiscoveries,
  updateDiscovery,
} from '../../services/records/edit-discoveries.js';
import { recordsInUse } from '../../services/records/in-use.js';
import { type NodeRef, type PortalRef, readDiscovery } from '../../services/records/records.js';
import { discoveryLine, nodeTree, recordText } from '../render/iscsiadm.js';
import type { Call } from './call.js';
import { inUseLine } from './node-edit.js';
import { changesOf, operationOf, operationsOf } from './operations.js';
import { ignoredLine, refusedLines } from './refusals.js';
import { Reported } from './reported.js';

/** Every portal that has been asked; with -P 1 a tree of what it has answered. Says nothing where there is none. */
export async function listDiscoveries({ options, talk }: Call): Promise<void> {
  const all = await listAllDiscoveries(resolvePaths());
  const inTree = (options.number('P') ?? 0) >= 1;
  if (!inTree) {
    talk.out(all.sendTargets.map(({ portal }) => discoveryLine(portal)).join(''));
    talk.out(all.isns.map(({ server }) => discoveryLine(server, 'isns')).join(''));
  } else {
    const tree = (title: string, texts: readonly string[]) =>
      talk.out(`${title}:\n${texts.join('') || 'No targets found.\n'}`);
    const answered = ({ address, port }: PortalRef, nodes: readonly NodeRef[]) =>
      `DiscoveryAddress: ${address},${port}\n${nodeTree(nodes)}`;
    tree(
      'SENDTARGETS',
      all.sendTargets.map(({ portal, nodes }) => answered(portal, nodes)),
    );
    tree(
      'iSNS',
      all.isns.map(({ server, nodes }) => answered(server, nodes)),
    );
    tree('STATIC', [nodeTree(all.static)]);
    tree('FIRMWARE', [nodeTree(all.firmware)]);
  }
  // What was found without asking anybody counts where it is shown.
  const found = [all.sendTargets, all.isns, ...(inTree ? [all.static, all.firmware] : [])];
  if (found.every(({ length }) => length === 0)) talk.fail(Reported.NoObjects);
}

/** What -o says is done to the record of one portal; without it, the record is shown. */
export async function discoveryOperation(call: Call, portal: PortalRef): Promise<void> {
  const { options, talk, signal } = call;
  const paths = resolvePaths();
  const name = `[${portal.address},${portal.port}]`;
  if (operationsOf(options).has('new')) {
    await addDiscovery(paths, portal, signal);
    return talk.out(`New discovery record for ${name} added.\n`);
  }
  const record = await readDiscovery(paths, portal).catch(() => undefined);
  if (record === undefined) {
    talk.complain(`Discovery record ${name} not found.`);
    return talk.fail(Reported.Database);
  }
  switch (operationOf(options)) {
    case 'none':
    case 'show':
      return talk.out(recordText(record.values, SENDTARGETS_KEYS, { showSecrets: options.has('S') }));
    case 'update':
      return update(call, portal);
    case 'delete': {
      const inUse = await recordsInUse(paths);
      const { kept } = await deleteDiscovery(paths, portal, { inUse }, signal);
      for (const ref of kept) talk.complain(inUseLine(ref));
      return;
    }
    default:
      talk.complain('Operation is not supported.');
      talk.fail(Reported.Invalid);
  }
}

async function update({ options, talk, signal }: Call, portal: PortalRef): Promise<void> {
  const changes = changesOf(options);
  if (changes.length === 0) {
    talk.complain('Update requires name and value.');
    return talk.fail(Reported.Invalid);
  }
  try {
    const { ignored } = await updateDiscovery(resolvePaths(), portal, changes, signal);
    for (const one of ignored) talk.complain(ignoredLine(one));
  } catch (error) {
    if (!(error instanceof RefusedChange)) throw error;
    for (const line of refusedLines(error, { inNode: false })) talk.complain(line);
    talk.fail(Reported.Invalid);
  }
}
