// lunctl disk wipe: takes the signatures off a disk, keeps them in files, and clears the disk if asked to.
import { Flags } from '@oclif/core';
import {
  confirmFlag,
  DiskCommand,
  type DiskWipeJson,
  devArgument,
  dryRunFlag,
  partitionFlag,
} from '../../cli/disk-command.js';

export default class DiskWipe extends DiskCommand {
  static override summary = 'Remove the signatures of file systems and partition tables';
  static override description =
    'What is removed is kept in files of their own, in a new folder that is printed, with a shell line that puts it back. ' +
    'Everything else stays on the disk unless --discard or --zero clears it, which nothing brings back. Refuses what is ' +
    'mounted or held (28) or belongs to no session (7), and needs the name typed, or given by --confirm (40 otherwise). ' +
    'A disk without signatures is left as it is.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> nbd0p1 --confirm iqn.2022-08.com.test:dlp.target01/0',
    '<%= config.bin %> <%= command.id %> nbd0 --zero --confirm iqn.2022-08.com.test:dlp.target01/0',
  ];
  static override args = devArgument;
  static override flags = {
    discard: Flags.boolean({
      summary: 'Then tell the disk that none of its blocks is needed; what they read as is its own affair.',
      exclusive: ['zero'],
    }),
    zero: Flags.boolean({ summary: 'Then write zeros to all of it.' }),
    ...partitionFlag,
    ...confirmFlag,
    ...dryRunFlag,
  };

  async run(): Promise<DiskWipeJson> {
    const { args, flags } = await this.parse(DiskWipe);
    const { prepareWipe } = await import('../../services/disk/wipe.js');
    const { paths, abortSignal: signal } = this;
    const { stateDir } = paths;
    const clear = flags.zero ? 'zero' : flags.discard ? 'discard' : null;
    const { dev } = args;
    const job = await this.waiting(`looking at ${dev}`, () =>
      prepareWipe({ dev, partition: flags.partition, paths, stateDir, clear, signal }),
    );
    const { backup, steps } = job;
    const { name } = job.target;
    const unchanged = steps.length === 0;
    // Signatures on a disk of zeros would name what is no longer there.
    const restore = backup === null || clear !== null ? [] : [`put back by: ${backup.restore}`];
    const kept = backup === null ? [] : [`backup in ${backup.folder}`, ...restore];
    const did = clear === null ? 'signatures removed' : clear === 'zero' ? 'filled with zeros' : 'discarded';
    const json = await this.runJob(job, flags, () =>
      unchanged ? `unchanged: ${name} holds no signature` : [`${name}: ${did}`, ...kept].join('\n'),
    );
    return { ...json, unchanged, backup };
  }
}
