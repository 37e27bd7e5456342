// The log of a session worker: lines of JSON in its run folder, of bounded size because that folder is in memory.
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { pino } from 'pino';

/** Two files of this size at most: `log` and, before it, `log.1`. */
const LARGEST_FILE = 2 ** 20;

/** What the worker's parts write to. Messages never contain secrets or payload. */
export interface SessionLog {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** Drops everything, for callers without a log. */
export const SILENT_LOG: SessionLog = { debug() {}, info() {}, warn() {}, error() {} };

/** A log in `path`, made 0600. A full disk or a removed folder silences it and disturbs nothing else. */
export function openSessionLog(path: string, largest = LARGEST_FILE): SessionLog & { close(): void } {
  const file = new CappedFile(path, largest);
  const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, level: 'debug' }, file);
  return {
    debug: (message) => logger.debug(message),
    info: (message) => logger.info(message),
    warn: (message) => logger.warn(message),
    error: (message) => logger.error(message),
    close: () => file.close(),
  };
}

/** Appends lines; a file that is full becomes `path.1`, in the place of the one before. */
class CappedFile {
  readonly #path: string;
  readonly #largest: number;
  #fd: number | null = null;
  #size = 0;
  #closed = false;

  constructor(path: string, largest: number) {
    this.#path = path;
    this.#largest = largest;
  }

  write(line: string): void {
    if (this.#closed) return;
    try {
      const bytes = Buffer.from(line);
      if (this.#fd !== null && this.#size + bytes.length > this.#largest) this.#rotate();
      this.#fd ??= this.#open();
      writeSync(this.#fd, bytes);
      this.#size += bytes.length;
    } catch {
      this.close();
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }

  #open(): number {
    const fd = openSync(this.#path, 'a', 0o600);
    this.#size = fstatSync(fd).size;
    return fd;
  }

  #rotate(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
    renameSync(this.#path, `${this.#path}.1`);
  }
}
