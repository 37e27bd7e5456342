// The records that a command line means.
import { listNodes, type NodeRecord } from '../../records/node-store.js';
import { resolvePaths } from '../../services/paths.js';
import type { Call } from './call.js';
import { matches, type Pattern } from './pattern.js';
import { Reported } from './reported.js';

/**
 * Those that match, sorted; says so where there is none. What is wrong with others is told only then, or with -d: callers
 * take any word on standard error for a failure.
 */
export async function matchingRecords({ options, talk }: Call, pattern: Pattern): Promise<readonly NodeRecord[]> {
  const { items, warnings } = await listNodes(resolvePaths().dbDir);
  const records: NodeRecord[] = [];
  for (const record of items) if (await matches(pattern, record.ref)) records.push(record);
  if (records.length === 0 || (options.number('d') ?? 0) > 0) for (const text of warnings) talk.complain(text);
  if (records.length === 0) {
    talk.complain('No records found');
    talk.fail(Reported.NoObjects);
  }
  return records;
}
