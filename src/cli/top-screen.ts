// What `session top` shows: which lines, how sorted, and what it remembers of the last minute. It draws nothing by itself.
import type { LoadRates, SessionSample } from '../services/session/load.js';
import { printable } from '../util/printable.js';
import type { ScreenSize } from './full-screen.js';
import { defaultColumns } from './render/listing.js';
import { LOADS, type LoadRow, sparkline } from './render/load.js';
import { table } from './render/table.js';

/** How many seconds the small pictures go back. */
const REMEMBERED = 60;
/** A target's name gives way to the rest: not more of it than this many columns, its end. */
const LEAST_NAME = 16;

const ORDERS = {
  IOPS: (rates: LoadRates) => rates.commandsPerSecond,
  bytes: (rates: LoadRates) => rates.readBytesPerSecond + rates.writtenBytesPerSecond,
  P99: (rates: LoadRates) => rates.p99 ?? 0,
  SID: () => 0,
} as const satisfies Record<string, (rates: LoadRates) => number>;
type Order = keyof typeof ORDERS;

export class TopScreen {
  #rows: readonly LoadRow[] = [];
  #order: Order = 'IOPS';
  #problem: string | null = null;
  /** Commands by the second, the latest last. */
  readonly #history = new Map<number, number[]>();

  /** A new look at the sessions. */
  update(samples: readonly SessionSample[], rates: readonly (LoadRates | null)[]): void {
    this.#problem = null;
    this.#rows = samples.map((sample, i) => ({ sample, rates: rates[i] ?? null }));
    const there = new Set(samples.map(({ session }) => session.sid));
    for (const sid of this.#history.keys()) if (!there.has(sid)) this.#history.delete(sid);
    for (const { sample, rates: now } of this.#rows) {
      if (now === null) this.#history.set(sample.session.sid, []);
      else this.#remember(sample.session.sid, now.commandsPerSecond);
    }
  }
  /** The sessions could not be looked at: what is shown is old. */
  failed(reason: string): void {
    this.#problem = reason;
  }
  /** Sorts by the next of what there is. */
  nextOrder(): void {
    const orders = Object.keys(ORDERS) as Order[];
    this.#order = orders[(orders.indexOf(this.#order) + 1) % orders.length] ?? 'IOPS';
  }

  /** The whole screen: at most `rows` lines of at most `columns` columns. */
  lines({ columns, rows }: ScreenSize): string[] {
    const head = `lunctl session top   every 1 s   by ${this.#order}   q quit   s sort`;
    const body = this.#rows.length === 0 ? ['', 'no sessions'] : ['', ...this.#table(columns)];
    const problem = this.#problem === null ? [] : [`not up to date: ${printable(this.#problem)}`];
    return [head, ...problem, ...body].slice(0, Math.max(1, rows)).map((line) => cut(line, columns));
  }

  #table(width: number): string[] {
    const columns = defaultColumns(LOADS);
    const heads = [...columns, { head: 'LAST 60 s' }];
    const sorted = [...this.#rows].sort((a, b) => this.#weight(b) - this.#weight(a));
    const draw = (name: (text: string) => string) => {
      const cells = sorted.map((row) => [
        ...columns.map(({ head, text }) => (head === 'TARGET' ? name(text(row)) : text(row))),
        sparkline(this.#history.get(row.sample.session.sid) ?? []),
      ]);
      return table(heads, cells).trimEnd().split('\n');
    };
    const whole = draw((text) => text);
    const over = Math.max(...whole.map((line) => line.length)) - width;
    if (over <= 0) return whole;
    const longest = Math.max(...sorted.map((row) => row.sample.session.targetName.length));
    const most = Math.max(LEAST_NAME, longest - over);
    return draw((text) => (text.length <= most ? text : `…${text.slice(text.length - most + 1)}`));
  }
  #weight({ rates }: LoadRow): number {
    return rates === null ? 0 : ORDERS[this.#order](rates);
  }
  #remember(sid: number, value: number): void {
    const values = [...(this.#history.get(sid) ?? []), value];
    this.#history.set(sid, values.slice(-REMEMBERED));
  }
}

function cut(line: string, columns: number): string {
  return line.length <= columns ? line : line.slice(0, Math.max(0, columns));
}
