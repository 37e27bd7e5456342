// lunctl disk unmount: unmounts a file system of ours.
import { Args } from '@oclif/core';
import { DiskCommand, dryRunFlag, partitionFlag } from '../../cli/disk-command.js';
import type { diskUnmount } from '../../cli/schemas/disk.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class DiskUnmount extends DiskCommand {
  static override summary = 'Unmount a file system';
  static override examples = ['<%= config.bin %> <%= command.id %> /mnt', '<%= config.bin %> <%= command.id %> nbd0p1'];
  static override args = {
    where: Args.string({
      name: 'DIR|DEV',
      required: true,
      description: 'Where it is mounted, or the disk or partition: all mounts of it.',
    }),
  };
  static override flags = { ...partitionFlag, ...dryRunFlag };

  async run(): Promise<Result<typeof diskUnmount>> {
    const { args, flags } = await this.parse(DiskUnmount);
    const { unmountDisk } = await import('../../services/disk/mount.js');
    const dryRun = flags['dry-run'];
    const { paths, abortSignal: signal } = this;
    const { lines, targets } = await this.waiting(`unmounting ${args.where}`, () =>
      unmountDisk({
        where: args.where,
        partition: flags.partition,
        dryRun,
        paths,
        signal,
      }),
    );
    this.render(dryRun ? lines.join('\n') : targets.map((target) => `unmounted ${target}`).join('\n'));
    return { dryRun, plan: lines, unmounted: dryRun ? [] : targets };
  }
}
