// The settings of a node, for programs.
import { absent, invalid } from '../../saveconfig/edits/edit.js';
import type { SaveConfig } from '../../saveconfig/model.js';
import type { Preferences } from '../../services/target/preferences.js';
import { shown } from './commands/common.js';
import { type GroupParameter, groupsOf, preferenceParameters } from './groups.js';
import { resolvePath } from './path.js';
import type { TreeNode } from './tree.js';

export interface Asked {
  readonly path: string;
  /** All groups of the node but the global one, where none is named. */
  readonly group: string | undefined;
  /** All settings of the group, where none is named. */
  readonly names: readonly string[];
}

/** @throws RefusedEdit for what the node does not have */
export function settingsOf(
  { root, config }: { readonly root: TreeNode; readonly config: SaveConfig },
  preferences: Preferences,
  { path, group, names }: Asked,
) {
  const node = resolvePath(root, path);
  const all = [...groupsOf(config, node.ref), { name: 'global', parameters: preferenceParameters(preferences) }];
  const wanted = group === undefined ? all.slice(0, -1) : all.filter(({ name }) => name === group);
  if (group !== undefined && wanted.length === 0) throw invalid(`Unknown configuration group: ${group}`);
  const groups = wanted.map(({ name, parameters }) => ({ name, parameters: chosen(parameters, names, name) }));
  return { path: node.path, groups };
}

function chosen(parameters: readonly GroupParameter[], names: readonly string[], group: string) {
  for (const name of names) {
    if (!parameters.some((one) => one.name === name)) throw absent(`No parameter '${name}' in group '${group}'.`);
  }
  const kept = names.length === 0 ? parameters : parameters.filter(({ name }) => names.includes(name));
  return kept.map((one) => ({ name: one.name, value: shown(one), writable: one.writable, about: one.about }));
}
