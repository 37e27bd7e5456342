// The tree as text: `o- name ...... [summary]`, the brackets in one column.
import type { TreeNode } from './tree.js';

export interface DrawOptions {
  /** Columns. */
  readonly width: number;
  /** How many levels below the first are shown; 0: all. */
  readonly depth: number;
  /** `o-` or `+-` in front of a node. */
  readonly round: boolean;
  readonly showRoot: boolean;
  readonly showStatus: boolean;
  readonly colour: boolean;
}

/** What a tree takes where there is no terminal, and at most. */
export const LARGEST_WIDTH = 132;

/** Lines without the last line end. */
export function drawTree(root: TreeNode, options: DrawOptions): string {
  const lines: string[] = [];
  if (options.showRoot) lines.push(line(root, [], options));
  drawChildren(root, options.showRoot ? [false] : [], 1, options, lines);
  return lines.join('\n');
}

/** The children that are shown: one that is quiet only when it has something in it. */
export function shownChildren(node: TreeNode): readonly TreeNode[] {
  return node.children.filter((child) => !child.quiet || child.children.length > 0);
}

/** `left`: for each column left of the children, whether a line leads through it to a later sibling of an ancestor. */
function drawChildren(
  node: TreeNode,
  left: readonly boolean[],
  level: number,
  options: DrawOptions,
  lines: string[],
): void {
  if (options.depth > 0 && level > options.depth) return;
  const children = shownChildren(node);
  for (const [at, child] of children.entries()) {
    lines.push(line(child, left, options));
    // Nothing joins the first level when the root is not drawn.
    const goesOn = left.length > 0 && at < children.length - 1;
    drawChildren(child, [...left, goesOn], level + 1, options, lines);
  }
}

function line(node: TreeNode, left: readonly boolean[], options: DrawOptions): string {
  const margin = `${left.map((rail) => (rail ? '| ' : '  ')).join('')}${options.round ? 'o' : '+'}- `;
  if (!options.showStatus) return `${margin}${bold(node.name, options)}`;
  const text = describe(node);
  const dots = options.width - 1 - (text.length + 3) - margin.length - node.name.length;
  return `${margin}${bold(node.name, options)} ${'.'.repeat(Math.max(dots, 0))} [${coloured(text, node, options)}]`;
}

/** The words in brackets. */
export function describe({ summary: { text, healthy } }: TreeNode): string {
  if (text !== '') return text;
  return healthy === null ? '...' : healthy ? 'OK' : 'ERROR';
}

function bold(text: string, { colour }: DrawOptions): string {
  return colour ? `\u001b[1m${text}\u001b[0m` : text;
}

function coloured(text: string, { summary }: TreeNode, { colour }: DrawOptions): string {
  if (!colour || summary.healthy === null) return text;
  return `\u001b[${summary.healthy ? 32 : 31}m${text}\u001b[0m`;
}
