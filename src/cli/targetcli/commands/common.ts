// The commands of every node: going about the tree, looking at it, settings, help, the end.
import { absent, exists, invalid } from '../../../saveconfig/edits/edit.js';
import { type Call, type Command, define, type Outcome } from '../command.js';
import { drawTree } from '../draw.js';
import { type GroupParameter, groupsOf, preferenceParameters, requireGroup, withPreference } from '../groups.js';
import { MASK } from '../mask.js';
import { resolvePath } from '../path.js';
import type { TreeNode } from '../tree.js';

export const COMMON: readonly Command[] = [
  define(
    'bookmarks',
    ['action', '[bookmark]'],
    'Names for paths: bookmarks add NAME keeps the current path, @NAME stands for it anywhere; del NAME, go NAME, show.',
    bookmarks,
  ),
  define('cd', ['[path]'], 'Goes to a node. Without a path: to the root. cd < and cd > go back and forth.', cd),
  define(
    'exit',
    [],
    'Ends the shell; the configuration is saved first, unless auto_save_on_exit is off.',
    () => 'exit',
  ),
  define(
    'get',
    ['[group]'],
    'Shows the settings of a group, all or those that are named; without a group, which groups there are.',
    get,
    'values',
  ),
  define('ls', ['[path]', '[depth]'], 'Draws the tree from a node on, to a depth if one is given.', ls),
  define('pwd', [], 'Shows the path of the current node.', (call) => call.shell.say(call.node.path) as undefined),
  define('refresh', [], 'Reads the tree anew, which every command does by itself.', () => undefined),
  define(
    'set',
    ['[group]'],
    'Changes settings of a group: set GROUP NAME=VALUE. set global changes the shell itself.',
    set,
    'pairs',
  ),
  define('status', [], 'Shows the summary of a node.', (call) => {
    call.shell.say(`Status for ${call.node.path}: ${call.node.summary.text}`);
    return undefined;
  }),
];

/** The node that a path names as this call sees it. */
export function nodeAt(call: Call, path: string): TreeNode {
  return resolvePath(call.node, path, call.shell.preferences.bookmarks);
}

function ls(call: Call): undefined {
  const { shell, params } = call;
  const root = nodeAt(call, params.path ?? '.');
  const depth = params.depth ?? String(shell.preferences.tree_max_depth);
  if (!/^\d+$/.test(depth)) throw invalid('The tree depth must be a number.');
  const { tree_round_nodes: round, tree_show_root: showRoot, tree_status_mode: showStatus } = shell.preferences;
  shell.say(
    drawTree(root, { width: shell.width, depth: Number(depth), round, showRoot, showStatus, colour: shell.colour }),
  );
  return undefined;
}

function cd(call: Call): Outcome {
  const { history, root, preferences } = call.shell;
  const path = call.params.path ?? '/';
  if (path === '<' || path === '>') return { cd: back(call, path === '<' ? -1 : 1) };
  const target = resolvePath(call.node, path, preferences.bookmarks);
  if (target.path !== history.paths[history.at]) {
    history.paths = [...history.paths.slice(0, history.at + 1), target.path];
    history.at = history.paths.length - 1;
  }
  return { cd: target.path === root.path ? '/' : target.path };
}

/** The next place in that direction that is still there. */
function back({ shell, node }: Call, step: number): string {
  const { history, root } = shell;
  for (let at = history.at + step; at >= 0 && at < history.paths.length; at += step) {
    const path = history.paths[at] ?? '/';
    if (!isThere(root, path)) continue;
    history.at = at;
    shell.say(`Taking you back to ${path}.`);
    return path;
  }
  shell.say(step < 0 ? 'Reached begining of path history.' : 'Reached the end of path history.');
  return node.path;
}

function isThere(root: TreeNode, path: string): boolean {
  try {
    resolvePath(root, path);
    return true;
  } catch {
    return false;
  }
}

async function bookmarks(call: Call): Promise<Outcome> {
  const { shell, node, params } = call;
  const kept = shell.preferences.bookmarks;
  const name = params.bookmark;
  const keep = async (changed: Readonly<Record<string, string>>): Promise<void> =>
    await shell.setPreferences({ ...shell.preferences, bookmarks: changed });
  if (params.action === 'show') return shell.say(bookmarkText(kept)) as undefined;
  if (name === undefined) throw invalid("Syntax error, see 'help bookmarks'.");
  if (params.action === 'add') {
    if (name in kept) throw exists(`Bookmark ${name} already exists.`);
    if (!/^[\w:.-]{1,64}$/.test(name)) throw invalid(`${name} is no name for a bookmark`);
    await keep({ ...kept, [name]: node.path });
    return shell.say(`Bookmarked ${node.path} as ${name}.`) as undefined;
  }
  const path = kept[name];
  if (path === undefined) throw absent(`No such bookmark ${name}.`);
  if (params.action === 'go') return cd({ ...call, params: { path } });
  if (params.action !== 'del') throw invalid("Syntax error, see 'help bookmarks'.");
  const { [name]: _, ...rest } = kept;
  await keep(rest);
  return shell.say(`Deleted bookmark ${name}.`) as undefined;
}

function bookmarkText(kept: Readonly<Record<string, string>>): string {
  const entries = Object.entries(kept).map(([name, path]) => `${name}\n${'-'.repeat(name.length)}\n${path}\n`);
  return `BOOKMARKS\n=========\n${entries.length === 0 ? 'No bookmarks yet.' : `\n${entries.join('\n')}`}`;
}

/** The parameters of a group of the node, or of the shell. */
export function parametersOf({ shell, node }: Call, group: string): readonly GroupParameter[] {
  if (group === 'global') return preferenceParameters(shell.preferences);
  return requireGroup(groupsOf(shell.config, node.ref), group).parameters;
}

/** The names of the groups of a node. */
export function groupNames({ shell, node }: Call): string[] {
  return ['global', ...groupsOf(shell.config, node.ref).map(({ name }) => name)];
}

function get(call: Call): undefined {
  const { shell, values, params } = call;
  const { group } = params;
  if (group === undefined) return shell.say(groupList(call)) as undefined;
  const parameters = parametersOf(call, group);
  if (values.length === 0) {
    const blocks = parameters.map((one) => {
      const line = `${one.name}=${shown(one)}${one.writable ? '' : ' [ro]'}`;
      return `${line}\n${'-'.repeat(line.length)}\n${one.about}\n\n`;
    });
    return shell.say(`${heading(group)}${blocks.join('')}`.replace(/\n$/, '')) as undefined;
  }
  for (const name of values) {
    const one = parameters.find((parameter) => parameter.name === name);
    if (one === undefined) throw absent(`No parameter '${name}' in group '${group}'.`);
    shell.say(`${name}=${shown(one)} ${one.writable ? '' : '[ro]'}`);
  }
  return undefined;
}

/** What people see of a value. */
export function shown({ value, secret }: GroupParameter): string {
  return secret && value !== '' ? MASK : value;
}

function heading(group: string): string {
  const title = `${group.toUpperCase()} CONFIG GROUP`;
  return `${title}\n${'='.repeat(title.length)}\n`;
}

function groupList(call: Call): string {
  return `\nAVAILABLE CONFIGURATION GROUPS\n==============================\n${groupNames(call).join(' ')}`;
}

async function set(call: Call): Promise<Outcome> {
  const { shell, pairs, params, node } = call;
  const { group } = params;
  if (group === undefined) return shell.say(groupList(call)) as undefined;
  const parameters = parametersOf(call, group);
  if (pairs.size === 0) {
    const blocks = parameters
      .filter(({ writable }) => writable)
      .map((one) => ({ ...one, line: `${one.name}=${one.type}` }))
      .map(({ line, about }) => `${line}\n${'-'.repeat(line.length)}\n${about}\n\n`);
    return shell.say(`${heading(group)}${blocks.join('')}`.replace(/\n$/, '')) as undefined;
  }
  for (const name of pairs.keys()) {
    const one = parameters.find((parameter) => parameter.name === name);
    if (one === undefined) throw invalid(`Unknown parameter ${name} in group '${group}'.`);
    if (!one.writable) throw invalid(`Parameter ${name} is read-only.`);
  }
  if (group === 'global') return await setGlobal(call);
  const lines: string[] = [];
  let { config } = shell;
  for (const [name, value] of pairs) {
    config = requireGroup(groupsOf(config, node.ref), group).set(config, name, value);
    const now = requireGroup(groupsOf(config, node.ref), group).parameters.find((one) => one.name === name);
    if (now !== undefined) lines.push(`Parameter ${name} is now '${shell.echoSecrets ? now.value : shown(now)}'.`);
  }
  await shell.change({ config, lines });
  return undefined;
}

async function setGlobal({ shell, pairs }: Call): Promise<undefined> {
  let { preferences } = shell;
  const lines: string[] = [];
  for (const [name, value] of pairs) {
    preferences = withPreference(preferences, name, value);
    const now = preferenceParameters(preferences).find((one) => one.name === name);
    lines.push(`Parameter ${name} is now '${now?.value}'.`);
  }
  await shell.setPreferences(preferences);
  for (const line of lines) shell.say(line);
  return undefined;
}
