// The target shell on a terminal: line editing, completion, and a history without secrets.
import { createInterface, type Interface } from 'node:readline/promises';
import { AppError } from '../../util/errors.js';
import { holdsSecret } from './command-line.js';
import { completeLine } from './complete.js';
import { endOf, runOne, type ShellOutput } from './drive.js';
import type { TargetShell } from './shell.js';

export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  /** The lines of earlier shells, the newest last. */
  readonly history: readonly string[];
  readonly keepHistory: (lines: readonly string[]) => Promise<void>;
  /** Ends the shell, without a save. */
  readonly signal: AbortSignal;
}

/** Reads and runs lines until `exit` or Ctrl-D; Ctrl-C drops what was typed of one. */
export async function runInteractive(shell: TargetShell, terminal: Terminal, output: ShellOutput): Promise<number> {
  output.write(shell.banner);
  const kept = [...terminal.history];
  const lines = open(shell, terminal, kept);
  const typed = new TypedLines(lines, output.write);
  try {
    while (!shell.ended) {
      const line = await typed.next(shell.prompt);
      if (line === null) {
        output.write(terminal.signal.aborted ? '\n' : 'exit\n');
        break;
      }
      if (line.trim() !== '' && !holdsSecret(line) && kept.at(-1) !== line) kept.push(line);
      await runOne(shell, line, output);
    }
  } finally {
    lines.close();
    await terminal.keepHistory(kept).catch((error: unknown) => {
      if (!(error instanceof AppError)) throw error;
      output.complain(`${error.message}\n`);
    });
  }
  terminal.signal.throwIfAborted();
  await endOf(shell, output);
  return 0;
}

function open(shell: TargetShell, { input, output, signal }: Terminal, kept: readonly string[]): Interface {
  const lines = createInterface({
    input,
    output,
    terminal: true,
    signal,
    history: [...kept].reverse(),
    removeHistoryDuplicates: true,
    completer: async (line: string): Promise<[string[], string]> => {
      const looked = await shell.look().catch(() => null);
      return looked === null ? [[], line] : completeLine(line, { ...looked, preferences: shell.preferences });
    },
  });
  // What is typed of a secret can be seen on the terminal; but no arrow key brings it back.
  lines.on('history', (typed: string[]) => {
    for (let at = typed.length - 1; at >= 0; at--) if (holdsSecret(typed[at] ?? '')) typed.splice(at, 1);
  });
  return lines;
}

/** The lines of a terminal, one at a time: several that are pasted at once wait for their turn. */
class TypedLines {
  readonly #waiting: string[] = [];
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(
    private readonly lines: Interface,
    private readonly write: (text: string) => void,
  ) {
    lines.on('line', (line: string) => {
      this.#waiting.push(line);
      this.#wake?.();
    });
    lines.on('close', () => {
      this.#closed = true;
      this.#wake?.();
    });
    lines.on('SIGINT', () => {
      lines.write('', { ctrl: true, name: 'e' });
      lines.write('', { ctrl: true, name: 'u' });
      write('^C\n');
      lines.prompt();
    });
  }

  /** Null at the end of input. */
  async next(prompt: string): Promise<string | null> {
    const early = this.#waiting.shift();
    if (early !== undefined) {
      // It was shown as it came, among other output: now it is shown where it belongs.
      this.write(`${prompt}${early}\n`);
      return early;
    }
    this.lines.setPrompt(prompt);
    if (!this.#closed) this.lines.prompt();
    while (this.#waiting.length === 0 && !this.#closed) await new Promise<void>((wake) => (this.#wake = wake));
    return this.#waiting.shift() ?? null;
  }
}
