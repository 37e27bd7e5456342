// Mode iface of the iscsiadm face: interfaces made, changed and removed.
import { type Change, RefusedChange } from '../../records/changes.js';
import { BUILT_IN_IFACES } from '../../records/iface-store.js';
import { resolvePaths } from '../../services/paths.js';
import * as edit from '../../services/records/edit-ifaces.js';
import { recordsInUse } from '../../services/records/in-use.js';
import type { NodeRef } from '../../services/records/records.js';
import { exitCodeOf } from '../exit-codes.js';
import type { Call } from './call.js';
import { ifaceIsThere } from './iface-list.js';
import { inUseLine } from './node-edit.js';
import { changesOf } from './operations.js';
import { ignoredLine, refusedLines } from './refusals.js';
import { Reported, reportedText } from './reported.js';

/** `-o new`: one that is there is made anew. */
export async function newIface(call: Call, name: string): Promise<void> {
  const { talk, signal } = call;
  const failed = (code: number) => {
    talk.complain(`Could not create new interface ${name}.`);
    talk.fail(code);
  };
  if (BUILT_IN_IFACES.has(name)) {
    talk.complain(`iface ${name} is a special interface and is not stored in ${resolvePaths().dbDir}/ifaces.`);
    return failed(Reported.Invalid);
  }
  if ((await usedRecords(name)).length > 0) return failed(Reported.SessionExists);
  await edit.addIface(resolvePaths(), name, signal);
  await applyChanges(call, name, changesOf(call.options));
  talk.out(`New interface ${name} added\n`);
}

/** `-o update`: what is wrong with a change is told, and is no error. */
export async function updateIface(call: Call, name: string | undefined): Promise<void> {
  const { options, talk } = call;
  const changes = changesOf(options);
  if (name === undefined || changes.length === 0) {
    talk.complain('Update requires name, value, and iface.');
    return talk.fail(Reported.Invalid);
  }
  if (!(await isThere(call, name))) return talk.fail(Reported.Invalid);
  if ((await usedRecords(name)).length > 0) {
    talk.complain(
      'Updating iface while iscsi sessions are using it. You must logout the running sessions then log back in for the new settings to take affect.',
    );
  }
  await applyChanges(call, name, changes);
}

/** Tells either that the changes are made or why not. */
async function applyChanges({ talk, signal }: Call, name: string, changes: readonly Change[]): Promise<void> {
  try {
    const { ignored } = await edit.updateIface(resolvePaths(), name, changes, signal);
    for (const one of ignored) talk.complain(ignoredLine(one));
    talk.out(`${name} updated.\n`);
  } catch (error) {
    if (!(error instanceof RefusedChange)) throw error;
    for (const line of refusedLines(error, { inNode: false })) talk.complain(line);
    talk.complain(`Could not update iface ${name}: ${reportedText(exitCodeOf(error))}`);
  }
}

/** `-o delete`, with the records that are bound to it; while a session uses one of them nothing is removed. */
export async function removeIface(call: Call, name: string): Promise<void> {
  const { talk, signal } = call;
  const failed = (code: number) => {
    talk.complain(`Could not delete iface ${name}: ${reportedText(code)}`);
    talk.fail(code);
  };
  if (BUILT_IN_IFACES.has(name)) {
    talk.complain(`iface ${name} is a special interface and cannot be deleted.`);
    return failed(Reported.Invalid);
  }
  if (!(await isThere(call, name))) return failed(Reported.Invalid);
  const used = await usedRecords(name);
  for (const ref of used) talk.complain(inUseLine(ref));
  if (used.length > 0) return failed(Reported.SessionExists);
  const inUse = await recordsInUse(resolvePaths());
  await edit.deleteIface(resolvePaths(), name, { inUse }, signal);
  talk.out(`${name} unbound and deleted.\n`);
}

/** `-o apply`: for network hardware alone, and an interface of ours has none. */
export async function applyIface({ talk }: Call, name: string): Promise<void> {
  if (!(await ifaceIsThere(name))) {
    talk.complain(`Could not read iface ${name} (${Reported.Database}).`);
    return talk.fail(Reported.Database);
  }
  talk.complain('Nothing to configure.');
  talk.out(`${name} applied.\n`);
}

async function isThere({ talk }: Call, name: string): Promise<boolean> {
  const there = await ifaceIsThere(name);
  if (!there) talk.complain(`Could not read iface info for ${name}.`);
  return there;
}

async function usedRecords(name: string): Promise<readonly NodeRef[]> {
  const paths = resolvePaths();
  const bound = await edit.boundNodes(paths, name);
  if (bound.length === 0) return [];
  const inUse = await recordsInUse(paths);
  return bound.map(({ ref }) => ref).filter(inUse);
}
