// How the shim speaks: data and news on standard output as they are, complaints on standard error behind the program's name.
// Of several failures all are told, and the first one is the exit code.
import { writeSync } from 'node:fs';
import { AppError, messageOf } from '../../util/errors.js';
import { printable } from '../../util/printable.js';
import { exitCodeOf } from '../exit-codes.js';

const FULL_PIPE_MS = 5;

export class Talk {
  #first = 0;

  /** Whole lines, as they are. */
  out(text: string): void {
    if (text !== '') writeAll(1, text);
  }
  /** One line on standard error, behind `iscsiadm: `. */
  complain(text: string): void {
    writeAll(2, `iscsiadm: ${asWritten(text)}\n`);
  }
  /** One line on standard error without the prefix, as the library below iscsiadm writes it. */
  bare(text: string): void {
    writeAll(2, `${asWritten(text)}\n`);
  }
  /** Remembers an exit code; the first that is not 0 stays. */
  fail(code: number): void {
    if (this.#first === 0) this.#first = code;
  }
  /** Tells an error that has no words of iscsiadm's own. */
  error(error: unknown): void {
    this.complain(messageOf(error));
    if (error instanceof AppError && error.hint !== undefined) this.bare(`hint: ${error.hint}`);
    this.fail(exitCodeOf(error));
  }
  /** The exit code of everything told so far. */
  get exitCode(): number {
    return this.#first;
  }
}

/** On one line, blanks as they are: iscsiadm has double ones and some at the end. */
function asWritten(text: string): string {
  return printable(text.replaceAll(/[\r\n]+/g, ' '));
}

/** At once and in order, whatever the stream is: a pipe whose reader has gone is no failure. */
function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : '';
      if (code === 'EPIPE') return;
      if (code !== 'EAGAIN') throw error;
      // A pipe that is not to block, and is full: its reader needs the processor too.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_MS);
    }
  }
}
