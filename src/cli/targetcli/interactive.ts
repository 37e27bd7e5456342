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
}

/** Reads and runs lines until `exit` or Ctrl-D; Ctrl-C drops what was typed of one. */
export async function runInteractive(shell: TargetShell, terminal: Terminal, output: ShellOutput): Promise<number> {
  output.write(shell.banner);
  const kept = [...terminal.history];
  const lines = open(shell, terminal, kept);
  try {
    while (!shell.ended) {
      const line = await nextLine(lines, shell.prompt);
      if (line === null) {
        output.write('exit\n');
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
  await endOf(shell, output);
  return 0;
}

function open(shell: TargetShell, { input, output }: Terminal, kept: readonly string[]): Interface {
  const lines = createInterface({
    input,
    output,
    terminal: true,
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

/** Null at the end of input. */
async function nextLine(lines: Interface, prompt: string): Promise<string | null> {
  return await new Promise((resolve) => {
    const again = (): void => {
      lines.write('', { ctrl: true, name: 'u' });
      process.stdout.write('\n');
      lines.prompt();
    };
    const done = (line: string | null): void => {
      lines.off('line', done);
      lines.off('close', ended);
      lines.off('SIGINT', again);
      resolve(line);
    };
    const ended = (): void => done(null);
    lines.on('line', done);
    lines.on('close', ended);
    lines.on('SIGINT', again);
    lines.setPrompt(prompt);
    lines.prompt();
  });
}
