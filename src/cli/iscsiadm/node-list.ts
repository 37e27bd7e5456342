// Mode node of the iscsiadm face: the list of records, and records in full.
import { NODE_KEYS } from '../../records/keys.js';
import { type NodeRecord, listNodes as readNodes } from '../../records/node-store.js';
import { resolvePaths } from '../../services/paths.js';
import { nodeLine, nodeTree, recordText } from '../render/iscsiadm.js';
import type { Call } from './call.js';
import { matchesByText, type Pattern } from './pattern.js';

const INVALID = 7;
const NO_OBJECTS = 21;

/** `-m node` without a choice: one line a record, with -P 1 a tree. */
export async function listNodes(call: Call): Promise<void> {
  const level = call.options.number('P') ?? 0;
  if (![-1, 0, 1].includes(level)) {
    call.talk.complain(`Invalid info level ${level}. Try 0 or 1.`);
    return call.talk.fail(INVALID);
  }
  const refs = (await readRecords(call)).map(({ ref }) => ref);
  call.talk.out(level === 1 ? nodeTree(refs, { eachPortal: true }) : refs.map(nodeLine).join(''));
}

/** The records of a choice, in full. */
export async function showNodes(call: Call, pattern: Pattern): Promise<void> {
  const records = await readRecords(call, (record) => matchesByText(pattern, record.ref));
  const showSecrets = call.options.has('S');
  call.talk.out(records.map(({ values }) => recordText(values, NODE_KEYS, { showSecrets })).join(''));
}

/**
 * The records to show. What is wrong with others is told only when there is nothing to show, or with -d: callers take
 * any word on standard error for a failure.
 */
async function readRecords({ options, talk }: Call, meant: (record: NodeRecord) => boolean = () => true) {
  const { items, warnings } = await readNodes(resolvePaths().dbDir);
  const records = items.filter(meant);
  if (records.length === 0 || (options.number('d') ?? 0) > 0) for (const warning of warnings) talk.complain(warning);
  if (records.length > 0) return records;
  talk.complain('No records found');
  talk.fail(NO_OBJECTS);
  return [];
}
