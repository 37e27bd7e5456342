// Listings whose columns can be chosen, as lsblk has it: one table for each of them says what there is to see of an object.
import { AppError } from '../../util/errors.js';
import { oneLine } from '../../util/printable.js';
import { table } from './table.js';
import { formatSize } from './text.js';

export interface ListColumn<Row> {
  /** In capitals; in any case it is the column's name for -o. */
  readonly head: string;
  /** For --list-columns. */
  readonly about: string;
  readonly align?: 'right';
  /** For people. */
  readonly text: (row: Row) => string;
  /** With --bytes: an integer of bytes or seconds. Without it that is the text too. */
  readonly exact?: (row: Row) => number;
  /** Only shown when it is asked for. */
  readonly extra?: true;
}
export type Listing<Row> = readonly ListColumn<Row>[];

/** What the flags say of the columns; see cli/columns.ts. */
export interface ColumnChoice {
  readonly output?: string | undefined;
  readonly 'output-all'?: boolean | undefined;
}

/** A size, for people as `10G`, otherwise in bytes. */
export function sizeColumn<Row>(
  head: string,
  about: string,
  bytes: (row: Row) => number,
  more: { readonly extra?: true } = {},
): ListColumn<Row> {
  return { head, about, align: 'right', text: (row) => formatSize(bytes(row)), exact: bytes, ...more };
}

/** Those that are shown without a choice. */
export function defaultColumns<Row>(listing: Listing<Row>): Listing<Row> {
  return listing.filter(({ extra }) => extra !== true);
}

/** The columns that are asked for, in that order. @throws AppError ERR_USAGE for one that there is not, with all there are */
export function chosenColumns<Row>(listing: Listing<Row>, choice: ColumnChoice): Listing<Row> {
  if (choice['output-all']) return listing;
  const { output } = choice;
  if (output === undefined) return defaultColumns(listing);
  const columns = output
    .replace(/^\+/, '')
    .split(',')
    .map((name) => columnOf(listing, name));
  if (!output.startsWith('+')) return columns;
  const before = defaultColumns(listing);
  return [...before, ...columns.filter((column) => !before.includes(column))];
}

function columnOf<Row>(listing: Listing<Row>, name: string): ListColumn<Row> {
  const column = listing.find(({ head }) => head === name.trim().toUpperCase());
  if (column !== undefined) return column;
  const names = listing.map(({ head }) => head).join(', ');
  throw new AppError('ERR_USAGE', `no column is called "${oneLine(name)}"`, { hint: `the columns are ${names}` });
}

/** One line for each row. */
export function listText<Row>(
  columns: Listing<Row>,
  rows: readonly Row[],
  { bytes = false, headings = true }: { readonly bytes?: boolean; readonly headings?: boolean } = {},
): string {
  const cells = rows.map((row) =>
    columns.map(({ text, exact }) => (bytes && exact !== undefined ? exactText(exact(row)) : text(row))),
  );
  return table(columns, cells, { headings });
}

function exactText(value: number): string {
  return Number.isFinite(value) ? String(value) : '-';
}

/** For --list-columns: a name a line, and what it is. */
export function columnsText<Row>(listing: Listing<Row>): string {
  return table(
    [{ head: 'COLUMN' }, { head: 'DEFAULT' }, { head: 'WHAT IT IS' }],
    listing.map(({ head, about, extra }) => [head, extra ? 'no' : 'yes', about]),
  );
}
