// Paths in the tree, as in a file system: absolute or from the current node, with `.`, `..` and bookmarks.
import { absent } from '../../saveconfig/edits/edit.js';
import type { TreeNode } from './tree.js';

/** Bookmark names and the paths behind them. */
export type Bookmarks = Readonly<Record<string, string>>;

/**
 * The node that `path` names from `from`.
 * @throws RefusedEdit ERR_NOT_FOUND
 */
export function resolvePath(from: TreeNode, path: string, bookmarks: Bookmarks = {}): TreeNode {
  const named = path.startsWith('@') ? bookmarked(path.slice(1).trim(), bookmarks) : path;
  let node = named.startsWith('/') ? rootOf(from) : from;
  for (const step of named.split('/')) {
    if (step === '' || step === '.') continue;
    if (step === '..') node = node.parent ?? node;
    else node = childOf(node, step);
  }
  return node;
}

export function rootOf(node: TreeNode): TreeNode {
  let root = node;
  while (root.parent !== null) root = root.parent;
  return root;
}

function childOf(node: TreeNode, name: string): TreeNode {
  const child = node.children.find((one) => one.name === name);
  if (child === undefined) throw absent(`No such path ${node.path === '/' ? '' : node.path}/${name}`);
  return child;
}

function bookmarked(name: string, bookmarks: Bookmarks): string {
  const path = bookmarks[name];
  if (path === undefined) throw absent(`No such bookmark ${name}`);
  return path;
}
