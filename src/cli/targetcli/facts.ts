// What a running server, or the saved file, knows beyond the configuration.
import type { StorageObject } from '../../saveconfig/model.js';
import { backstorePath } from '../../saveconfig/paths.js';
import type { LiveStatus } from '../../services/target/store.js';
import type { TreeFacts } from './tree.js';

export function factsOf(status: LiveStatus): TreeFacts {
  return {
    sizeOf: (object: StorageObject) => status.backstores[backstorePath(object)]?.sizeBytes ?? null,
    portalProblem: (_, address, port) =>
      status.portals[`${address}:${port}`]?.listening === false ? 'not listening' : null,
  };
}
