// The records that a command line means.
import { listNodes, type NodeRecord } from '../../records/node-store.js';
import { resolvePaths } from '../../services/paths.js';
import type { Call } from './call.js';
import { matches, type Pattern } from './pattern.js';
import { Reported } from './reported.js';

/** Those that match, sorted; see `recordsThat`. */
export async function matchingRecords(call: Call, pattern: Pattern): Promise<readonly NodeRecord[]> {
  return recordsThat(call, ({ ref }) => matches(pattern, ref));
}

/**
 * Those that are meant, sorted; says so where there is none. What is wrong with others is told only then, or with -d:
 * callers take any word on standard error for a failure.
 */
export async function recordsThat(
  { options, talk }: Call,
  areMeant: (record: NodeRecord) => boolean | Promise<boolean>,
): Promise<readonly NodeRecord[]> {
  const { items, warnings } = await listNodes(resolvePaths().dbDir);
  const records: NodeRecord[] = [];
  for (const record of items) if (await areMeant(record)) records.push(record);
  if (records.length === 0 || (options.number('d') ?? 0) > 0) for (const text of warnings) talk.complain(text);
  if (records.length === 0) {
    talk.complain('No records found');
    talk.fail(Reported.NoObjects);
  }
  return records;
}
