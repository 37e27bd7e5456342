// lunctl disk unmount: unmounts a file system of ours.
import { Args, Flags } from '@oclif/core';
import { DiskCommand, dryRunFlag, partitionFlag } from '../../cli/disk-command.js';
import type { diskUnmount } from '../../cli/schemas/disk.js';
import type { Result } from '../../cli/schemas/parts.js';

export default class DiskUnmount extends DiskCommand {
  static override summary = 'Unmount a file system';
  static override description =
    'While something uses it, it stays mounted (28), and the error names the processes. --fstab also removes the lines of fstab that mount it there, and no other byte.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> /mnt',
    '<%= config.bin %> <%= command.id %> nbd0p1',
    '<%= config.bin %> <%= command.id %> /mnt --fstab',
  ];
  static override args = {
    where: Args.string({
      name: 'DIR|DEV',
      required: true,
      description: 'Where it is mounted, or the disk or partition: all mounts of it.',
    }),
  };
  static override flags = {
    ...partitionFlag,
    fstab: Flags.boolean({ summary: 'Remove its line from fstab too.', default: false }),
    ...dryRunFlag,
  };

  async run(): Promise<Result<typeof diskUnmount>> {
    const { args, flags } = await this.parse(DiskUnmount);
    const { unmountDisk } = await import('../../services/disk/unmount.js');
    const dryRun = flags['dry-run'];
    const { paths, abortSignal: signal } = this;
    const { lines, targets, fstab } = await this.waiting(`unmounting ${args.where}`, () =>
      unmountDisk({
        where: args.where,
        partition: flags.partition,
        fstab: flags.fstab,
        dryRun,
        paths,
        signal,
      }),
    );
    this.render(dryRun ? lines.join('\n') : targets.map((target) => `unmounted ${target}`).join('\n'));
    for (const { line, path } of fstab) this.render(`removed from ${path}: ${line}`);
    return { dryRun, plan: lines, unmounted: dryRun ? [] : targets, fstab };
  }
}
