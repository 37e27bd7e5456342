// How lines come to the target shell: as the arguments of one call, or one after the other from a pipe.
import { AppError } from '../../util/errors.js';
import { printable } from '../../util/printable.js';
import { parseWords } from './command-line.js';
import type { TargetShell } from './shell.js';

/** Where text goes. */
export interface ShellOutput {
  /** To standard output, as it is. */
  readonly write: (text: string) => void;
  /** To standard error, as it is. */
  readonly complain: (text: string) => void;
  /** Whether a person reads along: hints are for people. */
  readonly people: boolean;
}

/** targetcli's exit code of one command: 0, or 1 after any error. */
export async function runOneCommand(
  shell: TargetShell,
  words: readonly string[],
  output: ShellOutput,
): Promise<number> {
  if (words.length === 1 && /^(?:-v|(?:--)?version)$/.test(words[0] ?? '')) {
    output.complain(`${shell.versionText}\n`);
    return 0;
  }
  try {
    await shell.run(parseWords(words));
    return 0;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    complain(error, output);
    return 1;
  }
}

/**
 * Runs lines until `exit` or their end. An error ends its line only, and the shell ends with 0, as targetcli does.
 * An aborted `signal` ends it without a save.
 */
export async function runLines(
  shell: TargetShell,
  lines: AsyncIterable<string>,
  output: ShellOutput,
  signal?: AbortSignal,
): Promise<number> {
  output.write(shell.banner);
  output.write(shell.prompt);
  for await (const line of lines) {
    await runOne(shell, line, output);
    if (shell.ended || signal?.aborted) break;
    output.write(shell.prompt);
  }
  signal?.throwIfAborted();
  if (!shell.ended) output.write('exit\n');
  await endOf(shell, output);
  return 0;
}

/** One line of several: what is wrong with it is said, and the next one may come. */
export async function runOne(shell: TargetShell, line: string, output: ShellOutput): Promise<void> {
  try {
    await shell.runLine(line);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    complain(error, output);
  }
}

/** The save at the end. */
export async function endOf(shell: TargetShell, output: ShellOutput): Promise<void> {
  try {
    await shell.saveOnExit();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    complain(error, output);
  }
}

function complain(error: AppError, { complain: write, people }: ShellOutput): void {
  write(
    `${error.message
      .split('\n')
      .map((line) => printable(line))
      .join('\n')}\n`,
  );
  if (people && error.hint !== undefined && error.hint !== '') write(`hint: ${printable(error.hint)}\n`);
}
