// Node records by what a command was given to find them.
import type { Listing } from '../../records/node-store.js';
import type { Paths } from '../paths.js';
import { type NodeRecord, requireRecords, selectNodes } from './records.js';
import { chooseTargets, splitTarget, type TargetChoice } from './target.js';

/** The records that are meant. @throws AppError ERR_NOT_FOUND when there is none, ERR_USAGE when it is not clear */
export async function chooseNodes(
  paths: Pick<Paths, 'configDir' | 'dbDir'>,
  choice: TargetChoice,
): Promise<Listing<NodeRecord>> {
  const { items, warnings } = await selectNodes(paths);
  const candidates = items.map((record) => ({ ...record.ref, record }));
  const chosen = chooseTargets(candidates, splitTarget(choice)).map(({ record }) => record);
  return { items: requireRecords(chosen), warnings };
}
