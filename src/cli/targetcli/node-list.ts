// The tree as a list, for programs.
import type { Snapshot } from '../../services/target/store.js';
import { describe, shownChildren } from './draw.js';
import { factsOf } from './facts.js';
import { buildTree, type TreeNode } from './tree.js';

export interface ListedNode {
  readonly path: string;
  readonly name: string;
  readonly kind: TreeNode['ref']['kind'];
  /** The words in brackets. */
  readonly summary: string;
  readonly healthy: boolean | null;
}

/** A node and those below it, each before its children; `depth` levels, 0: all. */
export function nodeList(node: TreeNode, depth: number): ListedNode[] {
  const list: ListedNode[] = [];
  const visit = (one: TreeNode, level: number): void => {
    const { path, name, ref, summary } = one;
    list.push({ path, name, kind: ref.kind, summary: describe(one), healthy: summary.healthy });
    if (depth === 0 || level < depth) for (const child of shownChildren(one)) visit(child, level + 1);
  };
  visit(node, 0);
  return list;
}

/** Every path of the tree. */
export function pathsOf({ config, status }: Snapshot): string[] {
  return nodeList(buildTree(config, factsOf(status)), 0).map(({ path }) => path);
}
