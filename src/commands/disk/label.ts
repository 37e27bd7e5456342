// lunctl disk label: a new, empty partition table.
import { Flags } from '@oclif/core';
import { confirmFlag, DiskCommand, type DiskJobJson, devArgument, dryRunFlag } from '../../cli/disk-command.js';

export default class DiskLabel extends DiskCommand {
  static override summary = 'Write a new, empty partition table';
  static override description =
    'Refuses a disk that is mounted or held (28) or that belongs to no session (7). A disk that holds anything is ' +
    'labelled only once its name has been typed, or given by --confirm (40 otherwise); a blank one without a question.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0',
    '<%= config.bin %> <%= command.id %> iqn.2022-08.com.test:dlp.target01/0 --confirm iqn.2022-08.com.test:dlp.target01/0',
  ];
  static override args = devArgument;
  static override flags = {
    type: Flags.option({
      summary: 'gpt, or dos for what cannot read a gpt.',
      options: ['gpt', 'dos'] as const,
      default: 'gpt' as const,
    })(),
    ...confirmFlag,
    ...dryRunFlag,
  };

  async run(): Promise<DiskJobJson> {
    const { args, flags } = await this.parse(DiskLabel);
    const { prepareLabel } = await import('../../services/disk/prepare.js');
    const { paths, abortSignal: signal } = this;
    const job = await this.waiting(`looking at ${args.dev}`, () =>
      prepareLabel({ dev: args.dev, type: flags.type, paths, signal }),
    );
    const json = await this.runJob(job, flags, () => `${job.target.name}: new ${flags.type} label`);
    if (!flags['dry-run']) this.next(`lunctl disk partition ${job.target.name}`);
    return json;
  }
}
