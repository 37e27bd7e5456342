// lunctl completion: what a shell needs to complete command lines, made from the commands that there are.
import { Args } from '@oclif/core';
import { BaseCommand } from '../cli/base-command.js';
import { listedColumns } from '../cli/completion/columns.js';
import { completionScript, SHELLS, type Shell } from '../cli/completion/scripts.js';
import { completionTable } from '../cli/completion/table.js';
import type { completion } from '../cli/schemas/completion.js';
import type { Result } from '../cli/schemas/parts.js';

export default class Completion extends BaseCommand {
  static override summary = 'Print what bash, zsh or fish need to complete commands';
  static override description =
    `Completes commands, options and their values, for lunctl and for lunctl-iscsiadm; targets, portals, sessions, devices and record keys are those that exist when the key is pressed. In a start-up file, or once:

  bash   eval "$(lunctl completion bash)"            in ~/.bashrc
  zsh    eval "$(lunctl completion zsh)"             in ~/.zshrc, behind compinit
  fish   lunctl completion fish | source             in ~/.config/fish/config.fish`;
  static override examples = [
    'eval "$(<%= config.bin %> completion bash)"',
    '<%= config.bin %> completion fish > ~/.config/fish/completions/lunctl.fish',
  ];
  static override args = {
    shell: Args.string({ description: 'bash, zsh or fish.', required: true, options: [...SHELLS] }),
  };

  async run(): Promise<Result<typeof completion>> {
    const { args } = await this.parse(Completion);
    const shell = args.shell as Shell;
    const script = completionScript(shell, completionTable(this.config.commands, listedColumns()));
    this.render(script);
    return { shell, script };
  }
}
