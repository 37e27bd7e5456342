// The records that a command line means.
import { resolvePaths } from '../../services/paths.js';
import type { NodeRecord } from '../../services/records/records.js';
import type { Call } from './call.js';
import { matches, type Pattern } from './pattern.js';
import { Reported } from './reported.js';

/** Those that match, sorted. Says so where there is none; records that cannot be used are told of and left out. */
export async function matchingRecords({ talk }: Call, pattern: Pattern): Promise<readonly NodeRecord[]> {
  const { selectNodes } = await import('../../services/records/records.js');
  const { items, warnings } = await selectNodes(resolvePaths());
  for (const text of warnings) talk.complain(text);
  const records: NodeRecord[] = [];
  for (const record of items) if (await matches(pattern, record.ref)) records.push(record);
  if (records.length === 0) {
    talk.complain('No records found');
    talk.fail(Reported.NoObjects);
  }
  return records;
}
