// A terminal that is drawn on as a whole, and given back as it was whatever happens: Ctrl-C, SIGTERM, an error.

const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

export class FullScreen {
  readonly #lines: (size: ScreenSize) => readonly string[];
  readonly #redraw = () => this.draw();
  readonly #restore = () => this.close();
  #onKey: ((data: Buffer) => void) | null = null;

  /** `lines` is asked at each drawing, also when the size has changed. */
  constructor(lines: (size: ScreenSize) => readonly string[]) {
    this.#lines = lines;
  }
  /** Whether somebody looks on and can press keys. */
  static get possible(): boolean {
    return process.stdin.isTTY === true && process.stdout.isTTY === true && process.env.TERM !== 'dumb';
  }

  /** Takes the terminal; each key goes to `onKey`, Ctrl-C as well: as \u0003. */
  open(onKey: (key: string) => void): void {
    this.#onKey = (data) => {
      for (const key of data.toString('latin1')) onKey(key);
    };
    process.stdin.setRawMode(true);
    process.stdin.on('data', this.#onKey).resume();
    process.stdout.on('resize', this.#redraw);
    process.once('exit', this.#restore);
    process.stdout.write(ENTER);
    this.draw();
  }
  draw(): void {
    if (this.#onKey === null) return;
    // Some terminals do not say how large they are: then it is 0.
    const { columns, rows } = process.stdout;
    const lines = this.#lines({ columns: columns || 80, rows: rows || 24 });
    process.stdout.write(`${HOME}${lines.map((line) => `${line}${CLEAR_LINE}`).join('\r\n')}${CLEAR_BELOW}`);
  }
  /** Gives the terminal back. Idempotent. */
  close(): void {
    if (this.#onKey === null) return;
    process.stdin.off('data', this.#onKey).pause();
    this.#onKey = null;
    process.stdin.setRawMode(false);
    process.stdout.off('resize', this.#redraw);
    process.off('exit', this.#restore);
    process.stdout.write(LEAVE);
  }
}
