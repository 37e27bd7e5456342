// Where lunctl-iscsiadm is, and a link to it under open-iscsi's name.
import { join } from 'node:path';
import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import type { configShim } from '../../cli/schemas/config.js';
import type { Result } from '../../cli/schemas/parts.js';
import { dryRunFlag } from '../../cli/settings.js';

export default class ConfigShim extends BaseCommand {
  static override summary = 'Tell where lunctl-iscsiadm is, or install it as iscsiadm';
  static override description =
    'Prints the absolute path of lunctl-iscsiadm, which takes the command line of iscsiadm. With --install scripts that call iscsiadm get it: a link of that name is made in DIR, unless something else is there. Nothing does so by itself, as the name belongs to open-iscsi.';
  static override examples = [
    'alias iscsiadm="$(<%= config.bin %> <%= command.id %>)"',
    '<%= config.bin %> <%= command.id %> --install /usr/local/sbin',
  ];
  static override flags = {
    install: Flags.string({ summary: 'Make a link named iscsiadm in this folder.', helpValue: 'DIR' }),
    ...dryRunFlag,
  };

  async run(): Promise<Result<typeof configShim>> {
    const { flags } = await this.parse(ConfigShim);
    const dryRun = flags['dry-run'];
    const program = join(this.config.root, 'bin/iscsiadm.js');
    if (flags.install === undefined) {
      this.render(program);
      return { dryRun, program, link: null, changed: false };
    }
    const { installShim } = await import('../../services/shim-link.js');
    const { path, changed } = installShim(program, flags.install, { dryRun });
    const did = changed ? (dryRun ? 'would be linked' : 'linked') : 'unchanged, linked';
    this.render(`${path} ${did} to ${program}`);
    return { dryRun, program, link: path, changed };
  }
}
