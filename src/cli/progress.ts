// The sign that a wait goes on: one line on a terminal's standard error, shown past a second, gone when the wait is over.
import { oneLine } from '../util/printable.js';

/** How long nobody wonders. */
const SILENCE_MS = 1000;
const STEP_MS = 1000;
const WIDTH = 80;

/** What of a stream the sign needs. */
export interface SignOutput {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** At most one sign is shown at a time: there is one standard error. */
export class ProgressSign {
  readonly #output: SignOutput;
  readonly #plain: boolean;
  #text = '';
  #since = 0;
  #timer: NodeJS.Timeout | undefined;
  #shown = false;

  constructor(output: SignOutput = process.stderr, env: Readonly<Record<string, string | undefined>> = process.env) {
    this.#output = output;
    this.#plain = env.TERM === 'dumb';
  }

  /** From now on `text` is waited for. Does nothing where standard error is no terminal. */
  start(text: string): void {
    this.stop();
    if (this.#output.isTTY !== true) return;
    this.#text = oneLine(text);
    this.#since = performance.now();
    this.#timer = setTimeout(() => this.#tick(), SILENCE_MS);
    this.#timer.unref();
  }

  /** The wait is for something else now: a part of the same, whose time goes on, or with `afresh` another one. */
  say(text: string, { afresh = false } = {}): void {
    if (this.#timer === undefined) return;
    if (afresh) this.start(text);
    else this.#text = oneLine(text);
  }

  /** Makes room for other output; the sign comes back with its next step. */
  hide(): void {
    if (!this.#shown) return;
    this.#shown = false;
    if (!this.#plain) this.#output.write('\r\x1b[K');
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.hide();
  }

  #tick(): void {
    const seconds = Math.round((performance.now() - this.#since) / 1000);
    // A terminal that does not know its size says 0.
    const room = (this.#output.columns || WIDTH) - 1;
    const time = ` … ${seconds} s`;
    const text =
      this.#text.length + time.length > room ? this.#text.slice(0, Math.max(0, room - time.length)) : this.#text;
    if (this.#plain) {
      // Nothing can be taken back there: it is said once.
      this.#output.write(`${this.#text} …\n`);
      return;
    }
    this.#output.write(`\r${text}${time}\x1b[K`);
    this.#shown = true;
    this.#timer = setTimeout(() => this.#tick(), STEP_MS);
    this.#timer.unref();
  }
}
