// What the target commands share: a path of the tree with what targetcli's commands take behind it.
import { Args, Flags } from '@oclif/core';
import { AppError } from '../util/errors.js';
import { BaseCommand } from './base-command.js';
import { parseWords } from './targetcli/command-line.js';
import type { TargetShell } from './targetcli/shell.js';

export const pathArgument = {
  path: Args.string({ name: 'PATH', required: true, description: 'Node of the tree: /iscsi/IQN/tpg1/luns.' }),
};

export const controlFlag = {
  control: Flags.string({
    summary: 'Control socket of the serve that is meant, where several run.',
    helpValue: 'SOCKET',
  }),
};

export interface TreeAnswer {
  readonly path: string;
  /** What was said, a line each. */
  readonly lines: readonly string[];
}

export abstract class TargetCommand extends BaseCommand {
  /** Runs `work` with a shell whose words go to `say`, or to standard output; `control`: see `controlFlag`. */
  protected async withShell<T>(
    control: string | undefined,
    work: (shell: TargetShell) => Promise<T>,
    say: (text: string) => void = (text) => this.render(text),
  ): Promise<T> {
    const { openShell } = await import('./targetcli/open.js');
    const { shell, store } = await openShell({
      paths: this.paths,
      control,
      version: this.config.version,
      signal: this.abortSignal,
      colour: this.toTerminal && process.env.NO_COLOR === undefined,
      echoSecrets: false,
      say,
      warn: (text) => this.warning(text),
    });
    try {
      return await work(shell);
    } finally {
      await store.close();
    }
  }

  /** Runs PATH COMMAND with the words behind the path, and renders what it says. */
  protected async runOn(command: string, words: readonly unknown[], control: string | undefined): Promise<TreeAnswer> {
    const [path = '', ...rest] = words.map(String);
    if (!path.startsWith('/')) throw notAbsolute();
    const parsed = parseWords([path, command, ...rest]);
    const lines: string[] = [];
    await this.withShell(
      control,
      async (shell) => await shell.run(parsed),
      (text) => {
        this.render(text);
        lines.push(...text.split('\n'));
      },
    );
    return { path: parsed.path, lines };
  }
}

export function notAbsolute(): AppError {
  return new AppError('ERR_USAGE', 'a path of the tree begins with a slash', {
    hint: 'lunctl target ls shows the tree',
  });
}
