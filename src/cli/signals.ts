// Ctrl-C and SIGTERM: the first one asks the command to end and clean up, the second one ends the process.
import { AppError } from '../util/errors.js';
import { EXIT_CODE } from './exit-codes.js';

const KINDS = {
  SIGINT: { code: 'ERR_INTERRUPTED', message: 'interrupted' },
  SIGTERM: { code: 'ERR_TERMINATED', message: 'terminated' },
} as const;
type Kind = keyof typeof KINDS;

/** How long a command may take to clean up after the first signal. */
const CLEANUP_MS = 15_000;

/** Turns signals into an AbortSignal whose reason is the AppError to end with. */
export class SignalWatch {
  readonly #controller = new AbortController();
  readonly #handlers: [Kind, () => void][] = [];
  #deadline: NodeJS.Timeout | undefined;

  constructor() {
    for (const kind of Object.keys(KINDS) as Kind[]) {
      const handler = () => this.#on(kind);
      this.#handlers.push([kind, handler]);
      process.on(kind, handler);
    }
  }
  get signal(): AbortSignal {
    return this.#controller.signal;
  }
  /** A signal that comes between this and the end of the process changes nothing any more; the next one ends it. */
  stop(): void {
    for (const [kind, handler] of this.#handlers) process.off(kind, handler).once(kind, () => {});
    this.#handlers.length = 0;
    clearTimeout(this.#deadline);
  }
  #on(kind: Kind): void {
    const { code, message } = KINDS[kind];
    if (this.signal.aborted) process.exit(EXIT_CODE[code]);
    this.#deadline = setTimeout(() => process.exit(EXIT_CODE[code]), CLEANUP_MS);
    this.#deadline.unref();
    this.#controller.abort(new AppError(code, message));
  }
}
