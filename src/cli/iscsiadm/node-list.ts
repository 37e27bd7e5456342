// Mode node of the iscsiadm face: the list of records, and records in full.
import { NODE_KEYS } from '../../records/keys.js';
import { nodeLine, nodeTree, recordText } from '../render/iscsiadm.js';
import type { Call } from './call.js';
import { matchesByText, type Pattern } from './pattern.js';
import { recordsThat } from './records.js';
import { Reported } from './reported.js';

/** `-m node` without a choice: one line a record, with -P 1 a tree. */
export async function listNodes(call: Call): Promise<void> {
  const level = call.options.number('P') ?? 0;
  if (![-1, 0, 1].includes(level)) {
    call.talk.complain(`Invalid info level ${level}. Try 0 or 1.`);
    return call.talk.fail(Reported.Invalid);
  }
  const refs = (await recordsThat(call, () => true)).map(({ ref }) => ref);
  call.talk.out(level === 1 ? nodeTree(refs, { eachPortal: true }) : refs.map(nodeLine).join(''));
}

/** The records of a choice, in full. */
export async function showNodes(call: Call, pattern: Pattern): Promise<void> {
  const records = await recordsThat(call, (record) => matchesByText(pattern, record.ref));
  const showSecrets = call.options.has('S');
  call.talk.out(records.map(({ values }) => recordText(values, NODE_KEYS, { showSecrets })).join(''));
}
