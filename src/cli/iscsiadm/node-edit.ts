// Mode node of the iscsiadm face: records made, changed and deleted.
import { checkChanges, RefusedChange } from '../../records/changes.js';
import type { NodeRef } from '../../records/node-ref.js';
import { listNodes, type NodeRecord } from '../../records/node-store.js';
import { resolvePaths } from '../../services/paths.js';
import * as edit from '../../services/records/edit-nodes.js';
import type { AppError } from '../../util/errors.js';
import { exitCodeOf } from '../exit-codes.js';
import { pathName } from '../render/iscsiadm.js';
import type { Call } from './call.js';
import { changesOf } from './operations.js';
import { matchesByText, type Pattern } from './pattern.js';
import { matchingRecords } from './records.js';
import { ignoredLine, refusedLines } from './refusals.js';
import { Reported, reportedText } from './reported.js';

/**
 * `-o new`: the record that -T and -p name; with one of them, or none, the records that are there already, made anew.
 * Nothing to do is told as an error, and is none.
 */
export async function newNodes({ talk, signal }: Call, pattern: Pattern): Promise<void> {
  const paths = resolvePaths();
  const wanted = await recordsToAdd(pattern);
  for (const { targetName, address, port, tpgt } of wanted) {
    const portal = { address, port };
    const record = await edit.addNode(paths, { targetName, portal, tpgt, iface: pattern.iface }, signal);
    talk.out(addedLine(record));
  }
  if (wanted.length === 0) talk.complain('Error while adding record: ');
}

type Way = Omit<NodeRef, 'iface'>;

async function recordsToAdd(pattern: Pattern): Promise<readonly Way[]> {
  const { targetName, address, port, tpgt } = pattern;
  if (targetName !== undefined && address !== undefined && port !== undefined) {
    return [{ targetName, address, port, tpgt }];
  }
  const { items } = await listNodes(resolvePaths().dbDir);
  const ways = new Map<string, Way>();
  for (const { ref } of items) {
    if (!matchesByText({ ...pattern, iface: undefined }, ref)) continue;
    ways.set([ref.targetName, ref.address, ref.port, ref.tpgt].join(), ref);
  }
  return [...ways.values()];
}

function addedLine({ ref, values }: NodeRecord): string {
  const of = (key: string) => values.text(`iface.${key}`);
  const iface = `hw=${of('hwaddress')},ip=${of('ipaddress')},net_if=${of('net_ifacename')},iscsi_if=${ref.iface}`;
  const way = `${ref.address},${ref.port},${ref.tpgt}`;
  return `New iSCSI node [${of('transport_name')}:[${iface}] ${way} ${ref.targetName}] added\n`;
}

/** `-o update`: all changes to every record that is meant, or none. */
export async function updateNodes(call: Call, pattern: Pattern): Promise<void> {
  const { talk, signal } = call;
  const changes = changesOf(call.options).map(([key, value]): [string, string] => [asKnown(key), value]);
  if (changes.length === 0) {
    talk.complain('update requires name and value');
    return talk.fail(Reported.Invalid);
  }
  const foreign = changes.find(([key]) => key.startsWith('iface.') && key !== TRANSPORT);
  if (foreign !== undefined) {
    talk.complain(`Cannot modify ${foreign[0]}. Use iface mode to update this value.`);
    return talk.fail(Reported.Invalid);
  }
  const records = await matchingRecords(call, pattern);
  if (records.length === 0) return;
  if (changes.some(([key]) => key === TRANSPORT) && (await anyInUse(records))) {
    talk.complain(
      'Cannot modify node/iface transport name while a session is using it. Log out the session then update record.',
    );
    return talk.fail(Reported.SessionExists);
  }
  const refusal = firstRefusal(changes);
  if (refusal !== undefined) {
    for (const _ of records) for (const line of refusedLines(refusal)) talk.complain(line);
    return notAll(call, refusal);
  }
  const refs = records.map(({ ref }) => ref);
  const { results, ignored } = await edit.updateNodes(resolvePaths(), refs, changes, signal);
  for (const _ of records) for (const one of ignored) talk.complain(ignoredLine(one));
  finish(call, results);
}

const TRANSPORT = 'iface.transport_name';

/** The name that older tools used. */
function asKnown(key: string): string {
  return key === 'node.transport_name' ? TRANSPORT : key;
}

async function anyInUse(records: readonly NodeRecord[]): Promise<boolean> {
  const { recordsInUse } = await import('../../services/records/in-use.js');
  const inUse = await recordsInUse(resolvePaths());
  return records.some(({ ref }) => inUse(ref));
}

/** What is wrong with the names comes before what is wrong with a value. */
function firstRefusal(changes: readonly (readonly [string, string])[]): RefusedChange | undefined {
  const refusals = changes.map(refusalOf).filter((refusal) => refusal !== undefined);
  return refusals.find(({ refusal }) => refusal !== 'bad-value') ?? refusals[0];
}

function refusalOf(change: readonly [string, string]): RefusedChange | undefined {
  try {
    checkChanges('node', [change]);
    return undefined;
  } catch (error) {
    if (error instanceof RefusedChange) return error;
    throw error;
  }
}

/** `-o delete`: every record that is meant, but for those that a session uses. */
export async function deleteNodes(call: Call, pattern: Pattern): Promise<void> {
  const records = await matchingRecords(call, pattern);
  if (records.length === 0) return;
  const { recordsInUse } = await import('../../services/records/in-use.js');
  const paths = resolvePaths();
  const inUse = await recordsInUse(paths);
  const refs = records.map(({ ref }) => ref);
  finish(call, await edit.deleteNodes(paths, refs, { inUse }, call.signal));
}

export function inUseLine(ref: NodeRef): string {
  return `This command will remove the record ${pathName(ref)}, but a session is using it. Logout session then rerun command to remove record.`;
}

/** Tells each failure, and once that there were some. A record that has gone meanwhile is none. */
function finish(call: Call, results: readonly edit.Edited[]): void {
  const failed = results.flatMap(({ ref, error }) =>
    error === null || error.code === 'ERR_NOT_FOUND' ? [] : [{ ref, error }],
  );
  for (const { ref, error } of failed) {
    call.talk.complain(error.code === 'ERR_SESSION_EXISTS' ? inUseLine(ref) : error.message);
  }
  const [first] = failed;
  if (first !== undefined) notAll(call, first.error);
}

function notAll({ talk }: Call, error: AppError): void {
  const code = exitCodeOf(error);
  talk.complain(`Could not execute operation on all records: ${reportedText(code)}`);
  talk.fail(code);
}
