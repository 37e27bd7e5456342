// What TAB offers in the target shell: commands, paths of the tree, parameters and their values, paths of the host.
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { SaveConfig } from '../../saveconfig/model.js';
import type { Preferences } from '../../services/target/preferences.js';
import type { Command } from './command.js';
import { parseWords } from './command-line.js';
import { commandsOf } from './commands/of-node.js';
import { type GroupParameter, groupsOf, preferenceParameters } from './groups.js';
import { resolvePath } from './path.js';
import type { TreeNode } from './tree.js';

export interface Completing {
  readonly here: TreeNode;
  readonly config: SaveConfig;
  readonly preferences: Preferences;
}

/** The words that may stand in place of the last one of `line`, and that last word. */
export function completeLine(line: string, about: Completing): [string[], string] {
  const words = line.trimStart().split(/\s+/);
  const last = words.at(-1) ?? '';
  const offered = candidates(words.slice(0, -1), last, about);
  return [offered.filter((word) => word.startsWith(last)).sort(), last];
}

function candidates(before: readonly string[], last: string, about: Completing): string[] {
  try {
    if (before.length === 0) return [...pathsFrom(about.here, last), ...commandNames(about.here), ...marks(about)];
    const typed = parseWords(before);
    const node = resolvePath(about.here, typed.path === '' ? '.' : typed.path, about.preferences.bookmarks);
    if (typed.command === '') return commandNames(node);
    const command = commandsOf(node).find(({ name }) => name === typed.command);
    return command === undefined ? [] : values(command, node, typed.positional, last, about);
  } catch {
    return [];
  }
}

function commandNames(node: TreeNode): string[] {
  return commandsOf(node).map(({ name }) => name);
}

function marks({ preferences }: Completing): string[] {
  return Object.keys(preferences.bookmarks).map((name) => `@${name}`);
}

/** `iscsi/`: the nodes below what is typed of a path. */
function pathsFrom(here: TreeNode, typed: string): string[] {
  const base = typed.slice(0, typed.lastIndexOf('/') + 1);
  const node = resolvePath(here, base === '' ? '.' : base);
  return node.children.map(({ name, children }) => `${base}${name}${children.length === 0 ? '' : '/'}`);
}

function values(
  command: Command,
  node: TreeNode,
  positional: readonly string[],
  last: string,
  about: Completing,
): string[] {
  if (command.name === 'set' || command.name === 'get') return settings(command.name, node, positional, last, about);
  const names = [...command.required, ...command.optional];
  const at = last.indexOf('=');
  const key = at < 0 ? names[positional.length] : last.slice(0, at);
  const keyed = at < 0 ? '' : last.slice(0, at + 1);
  const offered = valuesOf(command.name, key ?? '', node, last.slice(at + 1), about).map((value) => `${keyed}${value}`);
  return at < 0 ? [...offered, ...names.map((name) => `${name}=`)] : offered;
}

function valuesOf(command: string, parameter: string, node: TreeNode, typed: string, about: Completing): string[] {
  switch (parameter) {
    case 'path':
      return [...pathsFrom(node, typed), ...marks(about)];
    case 'topic':
      return commandNames(node);
    case 'action':
      return command === 'bookmarks' ? ['add', 'del', 'go', 'show'] : ['list', 'detail'];
    case 'bookmark':
      return Object.keys(about.preferences.bookmarks);
    case 'storage_object':
    case 'tpg_lun_or_backstore':
      return [...objectPaths(about.config), ...hostPaths(typed)];
    case 'file_or_dev':
    case 'dev':
    case 'savefile':
      return hostPaths(typed);
    case 'readonly':
    case 'nullio':
    case 'sparse':
    case 'write_back':
    case 'add_mapped_luns':
      return ['true', 'false'];
    default:
      return command === 'delete' ? deletable(node, parameter) : [];
  }
}

function objectPaths(config: SaveConfig): string[] {
  return config.storage_objects.map(({ plugin, name }) => `/backstores/${plugin}/${name}`);
}

/** What `delete` takes, by the names of the children. */
function deletable({ children }: TreeNode, parameter: string): string[] {
  const names = children.map(({ name }) => name);
  if (parameter === 'ip_address')
    return names.map((name) => name.slice(0, name.lastIndexOf(':')).replace(/^\[|\]$/g, ''));
  if (parameter === 'ip_port') return names.map((name) => name.slice(name.lastIndexOf(':') + 1));
  return names.map((name) => name.replace(/^(?:mapped_lun|tpg)(?=\d+$)/, ''));
}

function settings(
  command: 'get' | 'set',
  node: TreeNode,
  positional: readonly string[],
  last: string,
  { config, preferences }: Completing,
): string[] {
  const groups = groupsOf(config, node.ref);
  const [group] = positional;
  if (group === undefined) return ['global', ...groups.map(({ name }) => name)];
  const parameters: readonly GroupParameter[] =
    group === 'global'
      ? preferenceParameters(preferences)
      : (groups.find(({ name }) => name === group)?.parameters ?? []);
  if (command === 'get') return parameters.map(({ name }) => name);
  const key = last.slice(0, Math.max(last.indexOf('='), 0));
  const typed = parameters.find(({ name }) => name === key);
  if (typed?.type === 'bool') return [`${key}=true`, `${key}=false`];
  return parameters.filter(({ writable }) => writable).map(({ name }) => `${name}=`);
}

/** Files and folders of the host; a folder ends with a slash. */
function hostPaths(typed: string): string[] {
  if (!typed.startsWith('/')) return [];
  const folder = typed.endsWith('/') ? typed : `${dirname(typed)}/`.replace('//', '/');
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.map((entry) => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`);
  } catch {
    return [];
  }
}
