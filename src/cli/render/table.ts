// Plain aligned columns: two blanks between, upper-case heads, no boxes, one object a row.
import { createRequire } from 'node:module';
import { printable } from '../../util/printable.js';

export interface Column {
  readonly head: string;
  /** Numbers are aligned to the right. */
  readonly align?: 'left' | 'right';
}

/** Above this many rows the columns are padded by hand: cli-table3 takes 0.1 ms a row. */
const LIBRARY_ROWS = 500;
const NO_BORDER = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};
// cli-table3 is CommonJS; loaded when the first table is drawn, as most commands draw none.
const require = createRequire(import.meta.url);

/** Lines without trailing blanks, each ended by a line feed. Cells are freed of control characters, never cut or wrapped. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { headings = true }: { readonly headings?: boolean } = {},
): string {
  const cells = rows.map((row) => columns.map((_, i) => printable(row[i] ?? '')));
  if (!headings && rows.length === 0) return '';
  const text = rows.length > LIBRARY_ROWS ? padded(columns, cells, headings) : drawn(columns, cells, headings);
  return `${text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}

function drawn(columns: readonly Column[], cells: string[][], headings: boolean): string {
  const Table = require('cli-table3') as typeof import('cli-table3');
  const grid = new Table({
    head: headings ? columns.map((column) => column.head) : [],
    colAligns: columns.map((column) => column.align ?? 'left'),
    chars: NO_BORDER,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  grid.push(...cells);
  return grid.toString();
}

function padded(columns: readonly Column[], cells: string[][], headings: boolean): string {
  const lines = headings ? [columns.map((column) => column.head), ...cells] : cells;
  const widths = columns.map((_, i) => lines.reduce((widest, line) => Math.max(widest, line[i]?.length ?? 0), 0));
  return lines
    .map((line) =>
      line
        .map((cell, i) => (columns[i]?.align === 'right' ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
        .join('  '),
    )
    .join('\n');
}
